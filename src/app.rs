//! The daemon: binds its listeners, opens the log, recovers, starts all tasks, and stops them in reverse order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Resource, getrlimit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::api::serve::tls::Tls;
use crate::api::serve::{Inherited, Limits, Listener};
use crate::config::Config;
use crate::flow::Flow;
use crate::flow::recover::Dependencies;
use crate::model::span::SpanExporter;
use crate::model::time::Clock;
use crate::net::{Client, ClientOptions, SystemResolver};
use crate::rules::target::AllowedNetworks;
use crate::store::{self, Released, StoreError, StoreOptions};
use crate::ui;

/// The clock and the random seed of a daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clock of the daemon.
    pub clock: Clock,
    /// The seed of everything random: ids, jitter and secrets.
    pub seed: [u8; 32],
}

impl Options {
    /// Returns the system clock and a seed from the operating system.
    pub fn system() -> Self {
        Self { clock: Clock::system(), seed: rand::random() }
    }

    /// Returns a clock and a fixed seed, for repeatable tests.
    pub fn seeded(clock: Clock, seed: u64) -> Self {
        let mut bytes = [0; 32];
        StdRng::seed_from_u64(seed).fill(&mut bytes);
        Self { clock, seed: bytes }
    }
}

/// A running daemon.
pub struct Daemon {
    flow: Flow,
    addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    shutdown: CancellationToken,
    api: JoinSet<()>,
    committer: JoinSet<Result<(), StoreError>>,
    released: Released,
    exporter: Option<Arc<dyn SpanExporter>>,
}

impl Daemon {
    /// Opens the log, recovers the unfinished deliveries, binds the listeners and serves. The daemon is ready on return.
    ///
    /// # Errors
    /// The daemon cannot start. Then none of its tasks is left running.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        Self::start_on(Vec::new(), config, options).await
    }

    /// Starts like [`start`](Self::start), on inherited sockets. Other addresses of `server.listen` are bound. Connections
    /// that arrive early wait in the sockets until the daemon is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(
        inherited: Vec<Inherited>,
        config: Config,
        options: Options,
    ) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let tls = config.server.tls.as_ref().map(Tls::open).transpose().context("failed to set up TLS")?;
        let listeners = bind(inherited, &config).await?;
        let addresses = listeners.iter().filter_map(Listener::address).collect();
        let mut rng = StdRng::from_seed(options.seed);
        let opened = open(&config, &options.clock, StdRng::from_rng(&mut rng)).await?;
        let exporter = exporter(&config)?;
        let surroundings = Dependencies {
            config: Arc::clone(&config),
            clock: options.clock.clone(),
            rng,
            client: client(&config, &options.clock)?,
            exporter: exporter.clone(),
        };
        let released = opened.released.clone();
        let (flow, recovered, run) = Flow::recover(surroundings, opened);
        let mut committer = JoinSet::new();
        committer.spawn(run.run());
        if let Err(error) = flow.apply(config).await {
            flow.kill().await;
            return Err(error.into());
        }
        flow.start(recovered);
        let shutdown = CancellationToken::new();
        let api = api::router(flow.clone(), options.clock.clone());
        let router = ui::router(flow.clone(), options.clock, api);
        let mut api = JoinSet::new();
        api.spawn(api::serve::serve(listeners, router, tls.clone(), limits(), shutdown.clone()));
        Ok(Self { flow, addresses, tls, shutdown, api, committer, released, exporter })
    }

    /// Returns the TCP addresses of the listeners, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the flow, which accepts events and delivers them.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Returns the TLS settings of new connections, or none if the daemon started without TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Waits until the daemon cannot continue, and returns the reason. Cancel safe.
    pub async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            () = self.flow.broken() => anyhow::anyhow!("a bug: a task of the daemon panicked, see the log"),
            Some(ended) = self.committer.join_next() => match ended {
                Ok(Ok(())) => anyhow::anyhow!("the committer stopped unexpectedly"),
                Ok(Err(error)) => anyhow::Error::new(error).context("failed to write the log"),
                Err(error) => anyhow::Error::new(error).context("the committer panicked"),
            },
            Some(ended) = self.api.join_next() => match ended {
                Ok(()) => anyhow::anyhow!("the listeners stopped unexpectedly"),
                Err(error) => anyhow::Error::new(error).context("the listeners panicked"),
            },
            else => anyhow::anyhow!("no task is running"),
        }
    }

    /// Shuts down gracefully: finishes the attempts in flight, then the open requests, and makes everything durable. The
    /// daemon accepts events while attempts finish, so senders never wait for a slow receiver. On inherited sockets,
    /// senders wait only for the restart of the process.
    ///
    /// # Errors
    /// The last writes to the log failed. Acknowledged events are safe.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.flow.quiesce().await;
        self.shutdown.cancel();
        self.flow.close_stream();
        while self.api.join_next().await.is_some() {}
        self.flow.stop().await;
        let Self { flow, mut committer, released, exporter, .. } = self;
        drop(flow);
        while let Some(ended) = committer.join_next().await {
            ended
                .context("the committer panicked")?
                .context("failed to complete the last writes to the log")?;
        }
        released.wait().await;
        if let Some(exporter) = exporter {
            tokio::task::spawn_blocking(move || exporter.shut_down())
                .await
                .context("the shutdown of the trace exporter panicked")?;
        }
        Ok(())
    }

    /// Stops all tasks immediately, as a kill of the process would, and releases the data directory.
    pub async fn kill(mut self) {
        self.api.shutdown().await;
        self.flow.kill().await;
        self.committer.shutdown().await;
        let released = self.released.clone();
        drop(self);
        released.wait().await;
    }
}

/// Returns the limits of the listeners. Their connections use at most half of the open files that the process may have,
/// so that files remain for the log and for deliveries.
fn limits() -> Limits {
    let limits = Limits::default();
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections_max = limits.connections_max.min(usize::try_from(open_files / 2).unwrap_or(usize::MAX));
    if connections_max < limits.connections_max {
        tracing::info!(
            connections_max,
            open_files,
            "the limit of open files reduces the number of connections: raise LimitNOFILE to allow more"
        );
    }
    Limits { connections_max, ..limits }
}

async fn bind(inherited: Vec<Inherited>, config: &Config) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::with_capacity(config.server.listen.len());
    let mut adopted = Vec::with_capacity(inherited.len());
    for socket in inherited {
        let listen = socket.listen().context("failed to use an inherited socket")?;
        let listener = Listener::adopt(socket);
        listeners.push(listener.with_context(|| format!("failed to serve the inherited socket {listen}"))?);
        adopted.push(listen);
    }
    for listen in config.server.listen.iter().filter(|listen| !adopted.contains(listen)) {
        let listener = Listener::bind(listen, config.server.unix_mode).await;
        let hint = "stop the other daemon on this address, or change server.listen";
        listeners.push(listener.with_context(|| format!("failed to listen on {listen}: {hint}"))?);
    }
    Ok(listeners)
}

fn client(config: &Config, clock: &Clock) -> anyhow::Result<Client> {
    let options = ClientOptions {
        connect_timeout: config.delivery.connect_timeout.get(),
        response_bytes_max: config.delivery.response_bytes_max,
        networks: AllowedNetworks::new(config.delivery.allow_networks.clone()),
        proxy: config.delivery.proxy.clone(),
        clock: clock.clone(),
    };
    Client::new(options, Arc::new(SystemResolver::default()))
        .context("failed to create the HTTP client for deliveries")
}

/// Returns the exporter of traces. Without the feature `otel`, the config has no collector.
#[cfg(feature = "otel")]
fn exporter(config: &Config) -> anyhow::Result<Option<Arc<dyn SpanExporter>>> {
    let Some(endpoint) = &config.otlp.endpoint else { return Ok(None) };
    tracing::info!(%endpoint, "exporting traces");
    let exporter = crate::net::otlp::Exporter::new(endpoint).context("failed to set up otlp.endpoint")?;
    Ok(Some(Arc::new(exporter)))
}

#[cfg(not(feature = "otel"))]
#[expect(clippy::unnecessary_wraps, reason = "the function can fail with the feature otel")]
fn exporter(_: &Config) -> anyhow::Result<Option<Arc<dyn SpanExporter>>> {
    Ok(None)
}

async fn open(config: &Config, clock: &Clock, rng: StdRng) -> anyhow::Result<store::Opened> {
    let options = StoreOptions {
        path: config.storage.path.clone(),
        key_file: config.storage.key_file.clone(),
        cache_bytes: config.storage.cache,
        dedup_window: config.events.dedup_window.get(),
        queue_steps_max: config.server.queue_events_max,
    };
    let clock = clock.clone();
    let opening = tokio::task::spawn_blocking(move || {
        store::open(&options, clock, rng, &mut |progress| tracing::info!("{progress}"))
    });
    Ok(opening.await.context("a bug: opening the log panicked")??)
}
