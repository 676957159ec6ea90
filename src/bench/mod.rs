//! `postrider bench`: a load run against a running daemon, or against one that it starts for the purpose.
//!
//! The daemon under load is a process of its own, so that what it uses can be told from what the load takes. The
//! senders and the receivers are one thread each of this process; all of them share the machine.

mod backlog;
mod board;
mod daemon;
mod figures;
mod limits;
mod load;
mod neighbour;
mod receiver;
mod steady;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::console::{Output, UsageError};
use crate::model::time::Interval;
use backlog::Backlog;
use daemon::{Api, Daemon, Site};
use figures::{Figures, Spread};
use load::{Pace, Plan};
use neighbour::Neighbours;
use steady::Stretch;

/// The most receivers of one event whose copies are told apart.
const FAN_OUT_MAX: u16 = 64;

/// Arguments of `bench`.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, required_unless_present = "serve_limit")]
    modes: Vec<Mode>,
    /// Serve the limit of ingest on this address: the process that limit-http measures
    #[arg(long, hide = true, value_name = "ADDRESS")]
    serve_limit: Option<SocketAddr>,
    /// A running daemon, http://HOST:PORT or <unix:/PATH> on this machine; without one, it starts its own
    #[arg(long)]
    url: Option<String>,
    /// An API key of that daemon that may do everything
    #[arg(long, env = "POSTRIDER_KEY", hide_env_values = true, requires = "url")]
    key: Option<String>,
    /// The process of that daemon, to measure what it uses
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Where its own daemon has its data for the time of the run [default: the temporary directory]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    directory: Option<PathBuf>,
    /// How often to measure; more than one shows the spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// How long each run is measured
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Interval,
    /// How long each run goes on before that
    #[arg(long, value_name = "TIME", default_value = "2s")]
    warm_up: Interval,
    /// About how many bytes of data each event has
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
    /// How many connections submit events
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// batch: events in a request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// end-to-end and fan-out: the most events submitted and not yet delivered
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// fan-out: receivers of each event; backlog: subscriptions that the deliveries are of
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=i64::from(FAN_OUT_MAX)))]
    fan_out: u16,
    /// slow-neighbour: events a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// slow-neighbour: receivers that never answer
    #[arg(long, default_value_t = 50)]
    hanging: u16,
    /// slow-neighbour: receivers whose answer never ends
    #[arg(long, default_value_t = 20)]
    dripping: u16,
    /// slow-neighbour: receivers where nobody listens
    #[arg(long, default_value_t = 20)]
    refusing: u16,
    /// backlog: how many deliveries wait
    #[arg(long, default_value_t = 100_000)]
    deliveries: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Events in, one a request, that no subscription matches
    Ingest,
    /// The same, many a request
    Batch,
    /// Events to one receiver, no faster than they are delivered
    EndToEnd,
    /// Each event to many receivers
    FanOut,
    /// A fast receiver without, then beside, others that hang, drip and refuse
    SlowNeighbour,
    /// Deliveries that wait: memory, and the time from a start after SIGKILL to the first request
    Backlog,
    /// The limit of ingest: the same HTTP without a log
    LimitHttp,
    /// The limit of ingest: the same log without HTTP
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

/// Measures one mode after the other and prints each as it is done.
///
/// # Errors
/// The daemon cannot be started or reached, refuses events, or does not deliver what it accepted.
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
    /// Whether it is the process that is measured.
    pub(crate) const fn serves(&self) -> bool {
        self.serve_limit.is_some()
    }

    async fn measure(&self, mode: Mode, config: Option<&PathBuf>) -> anyhow::Result<Figures> {
        let (free, window) = (Pace::Answer, Pace::Window);
        match mode {
            Mode::Ingest => self.stretch(1, free, 0).run(&self.daemon(config).await?.1).await,
            Mode::Batch => {
                self.stretch(usize::from(self.batch), free, 0).run(&self.daemon(config).await?.1).await
            }
            Mode::EndToEnd => self.stretch(1, window, 1).run(&self.daemon(config).await?.1).await,
            Mode::FanOut => {
                let receivers = usize::from(self.fan_out);
                self.stretch(1, window, receivers).run(&self.daemon(config).await?.1).await
            }
            Mode::SlowNeighbour => {
                let stretch = self.stretch(1, Pace::PerSecond(f64::from(self.rate)), 1);
                self.neighbours().run(&stretch, &self.daemon(config).await?.1).await
            }
            Mode::Backlog if self.url.is_some() => {
                Err(UsageError("a daemon that runs already is not killed: leave out --url".to_owned()).into())
            }
            Mode::Backlog => self.backlog().run(&self.site(config, backlog::SETTINGS)?).await,
            Mode::LimitHttp => {
                let site = self.site(None, "")?;
                let stretch = self.stretch(1, free, 0);
                stretch.load(&site.start_limit().await?, &stretch.board()).await
            }
            Mode::LimitStore => limits::store(&self.stretch(1, free, 0), &self.parent()).await,
        }
    }

    fn parent(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn site(&self, config: Option<&PathBuf>, settings: &str) -> anyhow::Result<Site> {
        Site::new(&self.parent(), config.map(PathBuf::as_path), settings)
    }

    /// The running daemon, or a new one and its place.
    async fn daemon(&self, config: Option<&PathBuf>) -> anyhow::Result<(Option<Site>, Daemon)> {
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

    fn stretch(&self, batch: usize, pace: Pace, receivers: usize) -> Stretch {
        let plan = Plan {
            project: Self::project(),
            connections: usize::from(self.connections),
            data_bytes: self.size,
            batch,
            pace,
        };
        Stretch {
            plan,
            receivers,
            window: usize::from(self.window),
            warm_up: self.warm_up.get(),
            measured: self.duration.get(),
        }
    }

    fn neighbours(&self) -> Neighbours {
        Neighbours {
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
