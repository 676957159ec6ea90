//! The daemon under load: a running one, or a process of this executable with a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::console::client::{Answer, Client};
use crate::model::time::Clock;

/// The longest time of a start, including recovery.
const READY_WITHIN: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The settings of the daemon, except for its address and its data directory.
const CONFIG: &str = "\
    [storage]\n\
    disk_reserve = \"64MiB\"\n\
    [delivery]\n\
    allow_networks = [\"127.0.0.0/8\"]\n\
    [log]\n\
    level = \"warn\"\n";

/// A directory and an address on which a daemon can be started repeatedly.
#[derive(Debug)]
pub(super) struct DaemonDirectory {
    directory: TempDir,
    address: String,
    config: PathBuf,
}

impl DaemonDirectory {
    /// Creates a directory under `parent`, with the config file `config`, or with the settings of a load run and `settings`.
    pub(super) fn new(parent: &Path, config: Option<&Path>, settings: &str) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(parent).context("failed to make a temporary directory")?;
        // The port is free now and very likely stays free. A killed daemon must come back on the same port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
        let address = free.local_addr()?.to_string();
        let config = if let Some(file) = config {
            file.canonicalize().with_context(|| format!("failed to find {}", file.display()))?
        } else {
            let file = directory.path().join("config.toml");
            std::fs::write(&file, format!("{CONFIG}{settings}")).context("failed to write the config")?;
            file
        };
        Ok(Self { directory, address, config })
    }

    /// Starts a daemon and waits until it is ready. Dropping it kills it.
    pub(super) async fn start(&self) -> anyhow::Result<Daemon> {
        let mut command = Command::new(executable()?);
        command.arg("serve").arg("--config").arg(&self.config);
        command.env("POSTRIDER_SERVER__LISTEN", json!([self.address]).to_string());
        command.env("POSTRIDER_STORAGE__PATH", self.directory.path().join("data"));
        command.current_dir(self.directory.path());
        self.await_ready(command).await
    }

    /// Starts a process that serves HTTP without a log, and waits until it is ready.
    pub(super) async fn start_limit(&self) -> anyhow::Result<Daemon> {
        let mut command = Command::new(executable()?);
        command.arg("bench").arg("--serve-limit").arg(&self.address);
        self.await_ready(command).await
    }

    async fn await_ready(&self, mut command: Command) -> anyhow::Result<Daemon> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = ChildGuard(child.context("failed to start the daemon")?);
        let api = Api::new(&format!("http://{}", self.address), None)?;
        let clock = Clock::system();
        let patience = clock.instant() + READY_WITHIN;
        while !api.is_ready().await {
            if let Some(status) = child.0.try_wait()? {
                bail!("the daemon ended with {status} instead of becoming ready");
            }
            if clock.instant() > patience {
                bail!("the daemon was not ready within {} s", READY_WITHIN.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Daemon { api, process: Some(child.0.id()), child: Some(child) })
    }
}

fn executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find this executable")
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    /// The API of the daemon.
    pub(super) api: Api,
    process: Option<u32>,
    child: Option<ChildGuard>,
}

impl Daemon {
    /// Returns a daemon that is already running. Its resource use is measured if the process id is given.
    pub(super) fn running(api: Api, process: Option<u32>) -> Self {
        Self { api, process, child: None }
    }

    /// Returns the process id, if it is known.
    pub(super) const fn process(&self) -> Option<u32> {
        self.process
    }

    /// Kills the daemon with SIGKILL.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            child.0.kill()?;
            child.0.wait()?;
        }
        Ok(())
    }
}

/// A process that is killed on drop.
#[derive(Debug)]
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The resource use of a process since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// The processor time.
    pub(super) cpu: Duration,
    /// The bytes that it caused to be written to disk.
    pub(super) written_bytes: u64,
    /// The resident memory now, in bytes.
    pub(super) resident_bytes: u64,
}

impl Usage {
    /// Reads the resource use from `/proc`.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
        };
        let (stat, io, status) = (read("stat")?, read("io")?, read("status")?);
        let ticks = cpu_ticks(&stat).with_context(|| format!("failed to parse /proc/PID/stat: '{stat}'"))?;
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        Ok(Self {
            cpu: Duration::from_micros(ticks * 1_000_000 / ticks_per_s.max(1)),
            written_bytes: labelled(&io, "write_bytes:").context("/proc/PID/io has no write_bytes")?,
            resident_bytes: labelled(&status, "VmRSS:").context("/proc/PID/status has no VmRSS")? * 1024,
        })
    }
}

/// Returns the user and system time: fields 14 and 15 of `stat`. Field 2, in brackets, may contain spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn labelled(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The API calls of a load run apart from its load.
#[derive(Debug)]
pub(super) struct Api {
    client: Arc<Client>,
}

impl Api {
    /// Returns a client of the API at `url`.
    pub(super) fn new(url: &str, key: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { client: Arc::new(Client::new(url, key)?) })
    }

    /// Returns the HTTP client.
    pub(super) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    async fn is_ready(&self) -> bool {
        self.client.get("/readyz").await.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// Creates a subscription and returns its id.
    pub(super) async fn subscribe(&self, settings: &Value) -> anyhow::Result<String> {
        let body = Bytes::from(settings.to_string());
        let answer = self.client.post("/v1/subscriptions", "application/json", body).await?;
        let made: Value = expect(StatusCode::CREATED, &answer)?;
        let id = made.get("id").and_then(Value::as_str).context("the new subscription has no id")?;
        Ok(id.to_owned())
    }

    /// Deletes a subscription.
    pub(super) async fn unsubscribe(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("/v1/subscriptions/{id}");
        self.client
            .call(Method::DELETE, &path, None)
            .await
            .with_context(|| format!("failed to delete {id}"))?;
        Ok(())
    }

    /// Submits events as NDJSON.
    pub(super) async fn submit_lines(&self, lines: Bytes) -> anyhow::Result<()> {
        let answer = self.client.post("/v1/events", "application/x-ndjson", lines).await?;
        expect(StatusCode::ACCEPTED, &answer).map(drop)
    }

    /// Returns the number of unfinished deliveries of a subscription.
    pub(super) async fn unfinished(&self, id: &str) -> anyhow::Result<u64> {
        let shown = expect(StatusCode::OK, &self.client.get(&format!("/v1/subscriptions/{id}")).await?)?;
        let count = |name| shown.pointer(&format!("/stats/{name}")).and_then(Value::as_u64);
        let (pending, in_flight, held) = (count("pending"), count("in_flight"), count("held"));
        let known = pending.zip(in_flight).zip(held);
        known.map(|((a, b), c)| a + b + c).with_context(|| format!("the subscription has no stats: {shown}"))
    }
}

fn expect(status: StatusCode, answer: &Answer) -> anyhow::Result<Value> {
    if answer.status != status {
        bail!(
            "the daemon answered {} instead of {status}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    serde_json::from_slice(&answer.body).context("the daemon's answer is not JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_of_a_process_is_understood() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1005 0 0 0 250 31 0 0 20 0 3 0 46 1 2";
        assert_eq!(cpu_ticks(stat), Some(281));
        assert_eq!(labelled("rchar: 1\nwrite_bytes: 4096\n", "write_bytes:"), Some(4096));
        assert_eq!(labelled("VmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234));
        let own = Usage::of(std::process::id()).unwrap();
        assert!(own.resident_bytes > 1 << 20, "{own:?}");
    }
}
