//! The real executable as a child process.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::client::ApiClient;

/// The time within which the daemon must be ready, including recovery.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A config file, a data directory and an address on which a daemon can be started repeatedly.
pub(crate) struct DaemonSetup {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
}

impl DaemonSetup {
    /// Creates the setup in `dir` with the settings of every test, then `settings`.
    pub(crate) fn new(dir: TempDir, settings: &str) -> Self {
        // The port is free now and very likely stays free. A killed daemon must be able to bind it again.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let setup = Self { address, dir };
        setup.configure(settings);
        setup
    }

    /// Rewrites the config file with the settings of every test, then `settings`.
    pub(crate) fn configure(&self, settings: &str) {
        let text = super::daemon::config(&self.data(), settings);
        let text = text.replace("127.0.0.1:0", &self.address.to_string());
        std::fs::write(self.dir.path().join("config.toml"), text).unwrap();
    }

    /// Returns the data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns the daemon's log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the executable, through `wrapper` if it is not empty. Dropping the result kills the process.
    /// `POSTRIDER_EXECUTABLE` can name another executable, such as a release build to measure.
    pub(crate) fn spawn(&self, wrapper: &[&str]) -> RunningDaemon {
        RunningDaemon(self.command(wrapper).spawn().unwrap())
    }

    /// Starts the executable as a service manager does, with these environment variables. `listener` is
    /// passed on as an inherited socket.
    pub(crate) fn spawn_as_service(
        &self,
        variables: &[(&str, &str)],
        listener: Option<OwnedFd>,
    ) -> RunningDaemon {
        // The daemon must get its own process id in a variable, which only the new process itself knows.
        let hand_over =
            ["sh", "-c", "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"", "sh"];
        let wrapper = if listener.is_some() { &hand_over[..] } else { &[] };
        let mut command = self.command(wrapper);
        command.envs(variables.iter().copied());
        if let Some(listener) = listener {
            command.stdin(Stdio::from(listener));
        }
        RunningDaemon(command.spawn().unwrap())
    }

    fn command(&self, wrapper: &[&str]) -> Command {
        let executable: String =
            super::variable("POSTRIDER_EXECUTABLE", env!("CARGO_BIN_EXE_postrider").to_owned());
        let words = [executable.as_str(), "serve", "--config"];
        let mut words = wrapper.iter().copied().chain(words);
        let log =
            std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .arg(self.dir.path().join("config.toml"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// If the process ends or the time is over, with its log.
    pub(crate) async fn ready(&self, running: &mut RunningDaemon) -> ApiClient {
        let ask = async || {
            let ended = running.0.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", self.log());
            let api = ApiClient::new(self.address);
            let answer = api.call(Method::GET, "/readyz", "", "").await.ok()?;
            answer.status.is_success().then_some(api)
        };
        super::eventually("/readyz answers 200", READY_WITHIN, Duration::from_millis(2), ask).await
    }
}

/// A child process. Dropping it kills the process.
pub(crate) struct RunningDaemon(Child);

impl RunningDaemon {
    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.status("VmRSS:").trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns the number of threads.
    pub(crate) fn threads(&self) -> u64 {
        self.status("Threads:").parse().unwrap()
    }

    fn status(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    }

    /// Returns the number of open files.
    pub(crate) fn open_files(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count().try_into().unwrap()
    }

    /// Sets the soft limit of open files.
    pub(crate) fn allow_open_files(&self, current: u64) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let maximum = line.split_whitespace().nth(1).unwrap().parse().ok();
        prlimit(Some(self.pid()), Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
    }

    /// Sends SIGTERM to the process.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP to the process.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends SIGTERM to the child of this process, for a daemon that runs under a wrapper.
    pub(crate) fn terminate_child(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.id());
        let child = std::fs::read_to_string(children).unwrap();
        kill_process(child.trim().parse().ok().and_then(Pid::from_raw).unwrap(), Signal::TERM).unwrap();
    }

    /// Returns the exit status if the process has ended.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.0.kill().unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for RunningDaemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns whether the program can be started.
pub(crate) fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path: PathBuf| Path::new(&path).join(program).is_file())
}
