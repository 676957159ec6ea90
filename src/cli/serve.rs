//! `postrider serve`: runs the daemon as a process, handles signals and starts the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::serve::Inherited;
use crate::app::{Daemon, Options};
use crate::config::{Config, Listen, Server, TlsFiles};

use super::log::{self, Log};
use super::service;
use super::watch::Watch;

/// The sources of the configuration, for the start and every reload.
#[derive(Clone, Debug)]
pub(super) struct ConfigSource {
    /// The config file; none means `config.toml` in the working directory, if it exists.
    pub(super) file: Option<PathBuf>,
    /// The environment variables.
    pub(super) env: Vec<(String, String)>,
}

impl ConfigSource {
    /// Reads the configuration.
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.file.as_deref(), self.env.iter().cloned())?)
    }
}

/// Runs the daemon until a signal stops it. SIGTERM and SIGINT shut down gracefully; a second one stops immediately.
/// SIGHUP, or a change of the config file, reloads the configuration. The service manager is notified of each step.
///
/// # Errors
/// The daemon cannot start or cannot continue.
pub(super) async fn run(source: ConfigSource, sockets: Vec<Inherited>) -> anyhow::Result<()> {
    let config = source.load()?;
    let log = Log::start(&config.log)?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut hangup = listen_for(SignalKind::hangup())?;
    raise_open_files();
    let mut watch = Watch::new(source.file.as_deref().unwrap_or(Path::new(crate::config::FILE)));
    let mut running = config.clone();
    warn_about_plain_http(&config.server);
    let listens: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    if !sockets.is_empty() {
        tracing::info!("listening on the sockets of the service manager instead of server.listen");
    }
    let mut daemon = Daemon::start_on(sockets, config, Options::system()).await?;
    let status = format!("serving {}", listens.join(" "));
    service::ready(&status);
    let mut watchdog = Box::pin(service::run_watchdog(daemon.flow().clone()));
    tracing::info!(listen = listens.join(" "), version = env!("CARGO_PKG_VERSION"), "ready");
    let mut every_window = tokio::time::interval(log::WINDOW);
    loop {
        tokio::select! {
            _ = every_window.tick() => log.report_suppressed(),
            error = daemon.failed() => return Err(error),
            never = watchdog.as_mut() => match never {},
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload_and_report(&source, &daemon, &log, &mut running, &status).await,
            () = watch.changed() => reload_and_report(&source, &daemon, &log, &mut running, &status).await,
        }
    }
    service::stopping();
    // The watchdog holds a handle of the flow, which ends with its last handle.
    drop(watchdog);
    tracing::info!("stopping: finishing the attempts in flight; a second signal stops immediately");
    tokio::select! {
        stopped = daemon.stop() => stopped?,
        _ = terminate.recv() => anyhow::bail!("stopped by a second signal; acknowledged events are safe"),
        _ = interrupt.recv() => anyhow::bail!("stopped by a second signal; acknowledged events are safe"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Raises the limit of open files to the most that the system allows. With many receivers, idle connections alone can
/// exceed the usual limit.
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, current, "failed to raise the limit of open files");
    }
}

fn warn_about_plain_http(server: &Server) {
    let open = |listen: &&Listen| server.tls.is_none() && !listen.is_local();
    for listen in server.listen.iter().filter(open) {
        tracing::warn!(%listen, "API keys and events are sent unencrypted on this address: set server.tls_cert and server.tls_key, or put a TLS proxy in front");
    }
}

fn listen_for(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("failed to listen for signals")
}

/// Reloads the configuration, logs an error if that fails, and notifies the service manager of the result.
async fn reload_and_report(
    source: &ConfigSource,
    daemon: &Daemon,
    log: &Log,
    running: &mut Config,
    status: &str,
) {
    service::reloading();
    match reload(source, daemon, log, running).await {
        Ok(()) => service::ready(status),
        Err(error) => {
            tracing::error!("failed to reload the configuration, nothing has changed: {error:#}");
            service::ready(&format!("{status}; the last reload failed, see the log"));
        }
    }
}

/// Reads the configuration again and applies what changed.
///
/// # Errors
/// The configuration is invalid. Then nothing has changed, except that a valid certificate is in use.
async fn reload(
    source: &ConfigSource,
    daemon: &Daemon,
    log: &Log,
    running: &mut Config,
) -> anyhow::Result<()> {
    let loaded = source.load();
    // An error elsewhere in the file must not prevent the renewal of an expiring certificate.
    reload_certificate(daemon, loaded.as_ref().unwrap_or(running).server.tls.as_ref());
    let config = loaded?;
    if config == *running {
        return Ok(());
    }
    // The listeners do not change until the next start, so the addresses in use count, not those in the file.
    let open_to_others = running.server.listen.iter().any(|listen| !listen.is_local());
    if config.auth.keys.is_empty() && open_to_others {
        anyhow::bail!(
            "auth.keys is empty but other machines can connect: keep at least one key, or restart to change server.listen"
        );
    }
    for key in running.restart_keys(&config) {
        tracing::warn!(key, "this key has changed: restart the daemon to apply it");
    }
    let reconciled = daemon.flow().apply(Arc::new(config.clone())).await?;
    tracing::info!(
        added = reconciled.added,
        changed = reconciled.changed,
        removed = reconciled.removed,
        "reloaded the configuration"
    );
    if let Err(error) = log.set_level(&config.log.level) {
        tracing::error!("failed to change the log level: {error:#}");
    }
    running.clone_from(&Config {
        server: Server { listen: running.server.listen.clone(), ..config.server },
        ..config
    });
    Ok(())
}

/// Loads the certificate again for new connections. If that fails, the current certificate stays in use.
fn reload_certificate(daemon: &Daemon, files: Option<&TlsFiles>) {
    let (Some(tls), Some(files)) = (daemon.tls(), files) else { return };
    match tls.reload(files) {
        Ok(true) => {
            tracing::info!(cert = %files.cert.display(), "loaded a new certificate for new connections");
        }
        Ok(false) => tracing::debug!(cert = %files.cert.display(), "the certificate has not changed"),
        Err(error) => tracing::error!(
            "failed to reload the certificate, the current one stays in use: failed to {error}"
        ),
    }
}
