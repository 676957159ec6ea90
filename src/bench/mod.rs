//! `postrider bench`: measures a running daemon, or one that it starts, under load.
//!
//! The daemon is a separate process, so that its resource use is measured without that of the load. The senders and the
//! receivers are one thread each of this process. All share the machine.

mod backlog;
mod daemon;
mod figures;
mod limits;
mod load;
mod neighbour;
mod receiver;
mod scoreboard;
mod steady;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::console::{Output, UsageError};
use crate::model::time::Interval;
use backlog::Backlog;
use daemon::{Api, Daemon, DaemonDirectory};
use figures::{Figures, Spread};
use load::{LoadPlan, SendRate};
use neighbour::SlowNeighbours;
use steady::MeasurementWindow;

/// The most receivers of one event. The scoreboard tracks the copies of an event in 64 bits.
const FAN_OUT_MAX: u16 = 64;

/// Arguments of `bench`.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, required_unless_present = "serve_limit")]
    modes: Vec<Mode>,
    /// Serve HTTP without a log on this address: the process that limit-http measures
    #[arg(long, hide = true, value_name = "ADDRESS")]
    serve_limit: Option<SocketAddr>,
    /// The address of a running daemon on this machine, http://HOST:PORT or <unix:/PATH> [default: start a daemon]
    #[arg(long)]
    url: Option<String>,
    /// An API key of that daemon with the role admin
    #[arg(long, env = "POSTRIDER_KEY", hide_env_values = true, requires = "url")]
    key: Option<String>,
    /// The process id of that daemon, to measure its resource use
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// The directory for the data of the daemon that it starts [default: the temporary directory]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    directory: Option<PathBuf>,
    /// The number of runs; several runs show the spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// The measured time of each run
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Interval,
    /// The time before the measurement of each run
    #[arg(long, value_name = "TIME", default_value = "2s")]
    warm_up: Interval,
    /// The approximate bytes of data in each event
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
    /// The number of connections that submit events
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// batch: the events in one request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// end-to-end and fan-out: the most events that are submitted but not delivered
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// fan-out: the receivers of each event; backlog: the number of subscriptions
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=i64::from(FAN_OUT_MAX)))]
    fan_out: u16,
    /// slow-neighbour: the events per second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// slow-neighbour: the receivers that never answer
    #[arg(long, default_value_t = 50)]
    hanging: u16,
    /// slow-neighbour: the receivers whose response never ends
    #[arg(long, default_value_t = 20)]
    dripping: u16,
    /// slow-neighbour: the receivers that refuse connections
    #[arg(long, default_value_t = 20)]
    refusing: u16,
    /// backlog: the number of waiting deliveries
    #[arg(long, default_value_t = 100_000)]
    deliveries: u64,
}

/// What a run measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Accept events that match no subscription, one per request
    Ingest,
    /// Accept events that match no subscription, many per request
    Batch,
    /// Deliver events to one receiver, submitted as fast as they are delivered
    EndToEnd,
    /// Deliver each event to many receivers
    FanOut,
    /// Deliver to a fast receiver, first alone and then beside receivers that hang, drip or refuse
    SlowNeighbour,
    /// Memory of waiting deliveries, and the time from a start after SIGKILL to the first request
    Backlog,
    /// Upper bound of ingest: HTTP without a log
    LimitHttp,
    /// Upper bound of ingest: the log without HTTP
    LimitStore,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Batch => "batch",
            Self::EndToEnd => "end-to-end",
            Self::FanOut => "fan-out",
            Self::SlowNeighbour => "slow-neighbour",
            Self::Backlog => "backlog",
            Self::LimitHttp => "limit-http",
            Self::LimitStore => "limit-store",
        }
    }
}

/// Measures the modes in order and prints the result of each.
///
/// # Errors
/// The daemon cannot be started or reached, refuses events, or does not deliver the events that it accepted.
pub(crate) async fn run(args: Bench, config: Option<PathBuf>, output: Output) -> anyhow::Result<()> {
    if let Some(address) = args.serve_limit {
        return limits::serve_http(address).await;
    }
    for mode in &args.modes {
        let mut spread = Spread::of(mode.name());
        for _ in 0..args.runs {
            spread.add(args.measure(*mode, config.as_ref()).await.context(mode.name())?);
        }
        output.print(&spread.to_json(), &spread.to_text())?;
    }
    Ok(())
}

impl Bench {
    /// Returns whether this is the process that limit-http measures.
    pub(crate) const fn serves(&self) -> bool {
        self.serve_limit.is_some()
    }

    async fn measure(&self, mode: Mode, config: Option<&PathBuf>) -> anyhow::Result<Figures> {
        let (free, window) = (SendRate::Answer, SendRate::Window);
        match mode {
            Mode::Ingest => self.window_of(1, free, 0).run(&self.daemon(config).await?.1).await,
            Mode::Batch => {
                self.window_of(usize::from(self.batch), free, 0).run(&self.daemon(config).await?.1).await
            }
            Mode::EndToEnd => self.window_of(1, window, 1).run(&self.daemon(config).await?.1).await,
            Mode::FanOut => {
                let receivers = usize::from(self.fan_out);
                self.window_of(1, window, receivers).run(&self.daemon(config).await?.1).await
            }
            Mode::SlowNeighbour => {
                let measured = self.window_of(1, SendRate::PerSecond(f64::from(self.rate)), 1);
                self.neighbours().run(&measured, &self.daemon(config).await?.1).await
            }
            Mode::Backlog if self.url.is_some() => {
                Err(UsageError("backlog kills the daemon that it measures: remove --url".to_owned()).into())
            }
            Mode::Backlog => self.backlog().run(&self.site(config, backlog::SETTINGS)?).await,
            Mode::LimitHttp => {
                let site = self.site(None, "")?;
                let measured = self.window_of(1, free, 0);
                measured.load(&site.start_limit().await?, &measured.board()).await
            }
            Mode::LimitStore => limits::store(&self.window_of(1, free, 0), &self.parent()).await,
        }
    }

    fn parent(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn site(&self, config: Option<&PathBuf>, settings: &str) -> anyhow::Result<DaemonDirectory> {
        DaemonDirectory::new(&self.parent(), config.map(PathBuf::as_path), settings)
    }

    /// Returns the daemon to measure, and its directory if this call started it.
    async fn daemon(&self, config: Option<&PathBuf>) -> anyhow::Result<(Option<DaemonDirectory>, Daemon)> {
        if let Some(url) = &self.url {
            let api = Api::new(url, self.key.clone()).map_err(|error| UsageError(format!("{error:#}")))?;
            return Ok((None, Daemon::running(api, self.pid)));
        }
        let site = self.site(config, "")?;
        let daemon = site.start().await?;
        Ok((Some(site), daemon))
    }

    fn project() -> String {
        format!("bench-{:016x}", rand::random::<u64>())
    }

    fn window_of(&self, batch: usize, pace: SendRate, receivers: usize) -> MeasurementWindow {
        let plan = LoadPlan {
            project: Self::project(),
            connections: usize::from(self.connections),
            data_bytes: self.size,
            batch,
            pace,
        };
        MeasurementWindow {
            plan,
            receivers,
            window: usize::from(self.window),
            warm_up: self.warm_up.get(),
            measured: self.duration.get(),
        }
    }

    fn neighbours(&self) -> SlowNeighbours {
        SlowNeighbours {
            hanging: usize::from(self.hanging),
            dripping: usize::from(self.dripping),
            refusing: usize::from(self.refusing),
        }
    }

    fn backlog(&self) -> Backlog {
        Backlog {
            deliveries: self.deliveries,
            subscriptions: usize::from(self.fan_out),
            project: Self::project(),
            data_bytes: self.size,
        }
    }
}
