//! The daemon: opens, recovers, binds, spawns the loops, and stops them in reverse.

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

/// What a daemon runs on beside its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time.
    pub clock: Clock,
    /// What all chance follows from: ids, jitter, secrets.
    pub seed: [u8; 32],
}

impl Options {
    /// The system's clock, and chance from the operating system.
    pub fn system() -> Self {
        Self { clock: Clock::system(), seed: rand::random() }
    }

    /// A clock and chance that a test repeats.
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
    /// Opens the log, recovers what the last run left, binds and serves. On return the daemon is ready.
    ///
    /// # Errors
    /// Whatever keeps it from starting; then nothing of it is left running.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        Self::start_on(Vec::new(), config, options).await
    }

    /// As [`start`](Self::start), on sockets that listen already; what of `server.listen` is not among them is bound
    /// to. Connections that came before wait in them until the daemon is ready.
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

    /// The TCP addresses that it serves, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The journey.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// What new connections get their certificate from; none if the daemon was started without.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Returns only if the daemon cannot go on, with the reason. Cancel safe.
    pub async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            () = self.flow.broken() => anyhow::anyhow!("a bug: a step of the journey panicked, which the log tells of"),
            Some(ended) = self.committer.join_next() => match ended {
                Ok(Ok(())) => anyhow::anyhow!("the committer ended by itself"),
                Ok(Err(error)) => anyhow::Error::new(error).context("failed to write the log"),
                Err(error) => anyhow::Error::new(error).context("the committer panicked"),
            },
            Some(ended) = self.api.join_next() => match ended {
                Ok(()) => anyhow::anyhow!("the listeners ended by themselves"),
                Err(error) => anyhow::Error::new(error).context("the listeners panicked"),
            },
            else => anyhow::anyhow!("nothing is running"),
        }
    }

    /// Stops cleanly: finishes attempts that are out, takes events until then, finishes requests, makes all durable.
    /// Whoever submits events therefore never waits for a slow receiver, and on sockets that stay open only for as long
    /// as it takes to end the process and start the next.
    ///
    /// # Errors
    /// When the log could not be finished; what was acknowledged is safe all the same.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.flow.quiesce().await;
        self.shutdown.cancel();
        self.flow.close_stream();
        while self.api.join_next().await.is_some() {}
        self.flow.stop().await;
        let Self { flow, mut committer, released, exporter, .. } = self;
        drop(flow);
        while let Some(ended) = committer.join_next().await {
            ended.context("the committer panicked")?.context("failed to finish the log")?;
        }
        released.wait().await;
        if let Some(exporter) = exporter {
            tokio::task::spawn_blocking(move || exporter.shut_down())
                .await
                .context("the collector's end panicked")?;
        }
        Ok(())
    }

    /// Drops everything where it stands, as the end of the process would, and lets go of the data directory.
    pub async fn kill(mut self) {
        self.api.shutdown().await;
        self.flow.kill().await;
        self.committer.shutdown().await;
        let released = self.released.clone();
        drop(self);
        released.wait().await;
    }
}

/// The bounds of the listeners: their connections take at most half of the files that the process may have open, so
/// that the log and the receivers never want for any.
fn limits() -> Limits {
    let limits = Limits::default();
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections_max = limits.connections_max.min(usize::try_from(open_files / 2).unwrap_or(usize::MAX));
    if connections_max < limits.connections_max {
        tracing::info!(
            connections_max,
            open_files,
            "fewer connections than usual, since few files may be open"
        );
    }
    Limits { connections_max, ..limits }
}

async fn bind(inherited: Vec<Inherited>, config: &Config) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::with_capacity(config.server.listen.len());
    let mut adopted = Vec::with_capacity(inherited.len());
    for socket in inherited {
        let listen = socket.listen().context("failed to use a socket that was handed over")?;
        let listener = Listener::adopt(socket);
        listeners.push(listener.with_context(|| format!("failed to serve {listen}, which was handed over"))?);
        adopted.push(listen);
    }
    for listen in config.server.listen.iter().filter(|listen| !adopted.contains(listen)) {
        let listener = Listener::bind(listen, config.server.unix_mode).await;
        let hint = "is another daemon running there? change server.listen";
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
        .context("failed to make the client that delivers")
}

/// Whom traces are sent to; the config has none without the feature.
#[cfg(feature = "otel")]
fn exporter(config: &Config) -> anyhow::Result<Option<Arc<dyn SpanExporter>>> {
    let Some(endpoint) = &config.otlp.endpoint else { return Ok(None) };
    tracing::info!(%endpoint, "traces go to a collector");
    let exporter = crate::net::otlp::Exporter::new(endpoint).context("failed to set up otlp.endpoint")?;
    Ok(Some(Arc::new(exporter)))
}

#[cfg(not(feature = "otel"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
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
    Ok(opening.await.context("the start of the log panicked")??)
}
