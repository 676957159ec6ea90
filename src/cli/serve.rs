//! `postrider serve`: the daemon as a process, with its signals and its log.

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

/// Where the configuration comes from, each time that it is read.
#[derive(Clone, Debug)]
pub(super) struct ConfigSource {
    /// The file; if none is named, `config.toml` in the working directory if there is one.
    pub(super) file: Option<PathBuf>,
    /// The environment's variables.
    pub(super) env: Vec<(String, String)>,
}

impl ConfigSource {
    /// Reads it.
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.file.as_deref(), self.env.iter().cloned())?)
    }
}

/// Serves until a signal says to stop. SIGTERM and SIGINT stop cleanly, a second one at once; SIGHUP, or a change
/// of the file, reloads the configuration. The service manager hears of all of it.
///
/// # Errors
/// What kept the daemon from starting, or from going on.
pub(super) async fn run(source: ConfigSource, sockets: Vec<Inherited>) -> anyhow::Result<()> {
    let config = source.load()?;
    let log = Log::start(&config.log)?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut hangup = listen_for(SignalKind::hangup())?;
    raise_open_files();
    let mut watch = Watch::new(source.file.as_deref().unwrap_or(Path::new(crate::config::FILE)));
    let mut running = config.clone();
    warn_of_plain_http(&config.server);
    let listens: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    if !sockets.is_empty() {
        tracing::info!("serving the sockets that the service manager holds, in the place of server.listen");
    }
    let mut daemon = Daemon::start_on(sockets, config, Options::system()).await?;
    let status = format!("serving {}", listens.join(" "));
    service::ready(&status);
    let mut watchdog = Box::pin(service::run_watchdog(daemon.flow().clone()));
    tracing::info!(listen = listens.join(" "), version = env!("CARGO_PKG_VERSION"), "ready");
    let mut every_span = tokio::time::interval(log::SPAN);
    loop {
        tokio::select! {
            _ = every_span.tick() => log.tell_left_out(),
            error = daemon.failed() => return Err(error),
            never = watchdog.as_mut() => match never {},
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => tell_reload(&source, &daemon, &log, &mut running, &status).await,
            () = watch.changed() => tell_reload(&source, &daemon, &log, &mut running, &status).await,
        }
    }
    service::stopping();
    // It holds the journey, which ends with the last of its handles.
    drop(watchdog);
    tracing::info!("stopping: finishing what is out; a second signal stops at once");
    tokio::select! {
        stopped = daemon.stop() => stopped?,
        _ = terminate.recv() => anyhow::bail!("stopped at once by a second signal; nothing acknowledged is lost"),
        _ = interrupt.recv() => anyhow::bail!("stopped at once by a second signal; nothing acknowledged is lost"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Asks for as many open files as the system allows: with many receivers, idle connections alone may be more than
/// the usual bound.
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, current, "failed to raise the bound of open files");
    }
}

fn warn_of_plain_http(server: &Server) {
    let open = |listen: &&Listen| server.tls.is_none() && !listen.is_local();
    for listen in server.listen.iter().filter(open) {
        tracing::warn!(%listen, "keys and events travel in the clear here: set server.tls_cert and server.tls_key, or put a proxy with TLS before it");
    }
}

fn listen_for(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("failed to listen for signals")
}

/// Puts a changed configuration in force, or says why not; the service manager hears of both.
async fn tell_reload(source: &ConfigSource, daemon: &Daemon, log: &Log, running: &mut Config, status: &str) {
    service::reloading();
    match reload(source, daemon, log, running).await {
        Ok(()) => service::ready(status),
        Err(error) => {
            tracing::error!("the configuration was not reloaded, nothing has changed: {error:#}");
            service::ready(&format!("{status}; the configuration was not reloaded, the log says why"));
        }
    }
}

/// Puts a changed configuration in force.
///
/// # Errors
/// What is wrong with a bad one, which changes nothing.
async fn reload(
    source: &ConfigSource,
    daemon: &Daemon,
    log: &Log,
    running: &mut Config,
) -> anyhow::Result<()> {
    let loaded = source.load();
    // Whatever else the file says: a certificate that runs out must be exchangeable.
    reload_certificate(daemon, loaded.as_ref().unwrap_or(running).server.tls.as_ref());
    let config = loaded?;
    if config == *running {
        return Ok(());
    }
    // The listeners stay as they are until the next start, whatever the new file says of them.
    let open_to_others = running.server.listen.iter().any(|listen| !listen.is_local());
    if config.auth.keys.is_empty() && open_to_others {
        anyhow::bail!("auth.keys would be empty while other machines can connect: restart instead");
    }
    for key in running.restart_keys(&config) {
        tracing::warn!(key, "a changed key takes effect at the next start only");
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

/// Loads the certificate again for new connections; a bad one leaves the one before in use.
fn reload_certificate(daemon: &Daemon, files: Option<&TlsFiles>) {
    let (Some(tls), Some(files)) = (daemon.tls(), files) else { return };
    match tls.reload(files) {
        Ok(true) => tracing::info!(cert = %files.cert.display(), "new connections get another certificate"),
        Ok(false) => tracing::debug!(cert = %files.cert.display(), "the certificate is the same as before"),
        Err(error) => tracing::error!(
            "the certificate was not reloaded, the one before stays in use: failed to {error}"
        ),
    }
}
