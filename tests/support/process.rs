//! The real executable as a child process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use http::Method;
use tempfile::TempDir;

use super::client::ApiClient;

/// How long a start may take, recovery included.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A config file, a data directory and an address that a daemon can be started on again and again.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
}

impl Site {
    /// A site in `dir` with the settings of every test, then `settings`.
    pub(crate) fn new(dir: TempDir, settings: &str) -> Self {
        // The port is free now and stays ours in all likelihood: a killed daemon has to come back on it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = super::daemon::config(&dir.path().join("data"), settings)
            .replace("127.0.0.1:0", &address.to_string());
        std::fs::write(dir.path().join("config.toml"), text).unwrap();
        Self { address, dir }
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the daemon said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the executable, by way of `wrapper` if there is one; it is killed when dropped.
    pub(crate) fn spawn(&self, wrapper: &[&str]) -> Running {
        let words = [env!("CARGO_BIN_EXE_postrider"), "serve", "--config"];
        let mut words = wrapper.iter().copied().chain(words);
        let log =
            std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new(words.next().unwrap())
            .args(words)
            .arg(self.dir.path().join("config.toml"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Running(child)
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// If the process ends or the time is over, with its log.
    pub(crate) async fn ready(&self, running: &mut Running) -> ApiClient {
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

/// A child process, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGTERM to the child of this process, for a daemon that runs under a wrapper.
    pub(crate) fn terminate_child(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.id());
        let child = std::fs::read_to_string(children).unwrap();
        let child = child.trim().parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
    }

    /// Whether the process is over.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// SIGKILL, and the end of the process.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.0.kill().unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether the program can be started.
pub(crate) fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path: PathBuf| Path::new(&path).join(program).is_file())
}
