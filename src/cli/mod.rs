//! The command line: parses arguments, runs a command, and returns an exit code: 0 success, 1 failure, 2 wrong usage.
//!
//! The commands contain no logic of the daemon. The commands that manage a daemon use its HTTP API and can do nothing
//! else.

mod backup;
mod catalog;
mod check;
mod completions;
mod connection;
mod deliveries;
mod events;
mod export;
mod journal;
mod keygen;
mod listen;
mod log;
mod lookup;
mod man;
mod pages;
mod preset;
mod progress;
mod replay;
mod restore;
mod send;
mod serve;
mod service;
mod setting_args;
mod stats;
mod subscriptions;
mod table;
mod tail;
mod time_arg;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

#[cfg(feature = "bench")]
use crate::bench;
use crate::console::{Output, UsageError};
#[cfg(feature = "demo")]
use crate::demo;

const SEND_EXAMPLES: &str = "Examples:
  postrider send --type TODO_CREATED --project website --data '{\"title\":\"Hello\"}'
  postrider send --type TODO_CREATED --project website --id 42 --data @todo.json
  postrider send events.ndjson";
const LISTEN_EXAMPLES: &str = "Examples:
  postrider listen --port 9000 --verbose
  postrider listen --secret whsec_… --fail-first 2";
const SUBSCRIPTIONS_EXAMPLES: &str = "Examples:
  postrider subscriptions add http://127.0.0.1:9000/ --name crm --events 'TODO_*'
  postrider subscriptions edit crm --timeout 5s
  postrider subscriptions test crm";
const DELIVERIES_EXAMPLES: &str = "Examples:
  postrider deliveries list --subscription crm --state exhausted
  postrider deliveries retry dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4G";
const REPLAY_EXAMPLES: &str = "Examples:
  postrider replay event evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G --to crm
  postrider replay subscription crm --since 2h --states exhausted --dry-run";
const BACKUP_EXAMPLES: &str = "Examples:
  postrider backup postrider.backup
  postrider restore postrider.backup --data-dir data --key key";

/// The arguments of the process.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, about, max_term_width = 100)]
pub struct Cli {
    /// The config file [default: config.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print results as JSON, one value per line
    #[arg(long, global = true)]
    pub json: bool,
    /// The subcommand; none means `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands of `postrider`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: accept events and deliver them (the default command)
    Serve,
    /// Run a daemon on sample events in a temporary data directory, and show what it does
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Measure throughput, latency and resource use of a daemon under load
    #[cfg(feature = "bench")]
    Bench(bench::Bench),
    /// Check the config file: print every error with its line, or the resulting settings
    Check,
    /// Submit one event, or many from a file or standard input
    #[command(after_help = SEND_EXAMPLES)]
    Send(send::Send),
    /// Receive webhooks on this machine, verify their signatures and print them
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(listen::Listen),
    /// Create, show, change, test and delete subscriptions
    #[command(after_help = SUBSCRIPTIONS_EXAMPLES)]
    Subscriptions(subscriptions::Subscriptions),
    /// List and show events
    Events(events::Events),
    /// List, show, retry and cancel deliveries
    #[command(after_help = DELIVERIES_EXAMPLES)]
    Deliveries(deliveries::Deliveries),
    /// Deliver past events again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(replay::Replay),
    /// Follow events, attempts and changes of subscriptions as they happen
    Tail(tail::Tail),
    /// Show the daemon's statistics
    Stats(stats::Stats),
    /// List the event types from the config file and from accepted events
    EventTypes(catalog::Catalog),
    /// List the projects from the config file and from accepted events
    Projects(catalog::Catalog),
    /// Back up a running daemon into one file
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(backup::Backup),
    /// Create a data directory from a backup
    Restore(restore::Restore),
    /// Print a built-in catalog of event types for the config file
    Catalog(preset::Preset),
    /// Generate an API key, or with --webhook a signing secret
    Keygen(keygen::Keygen),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Man),
}

/// Runs the command and returns the exit code. Errors are printed on standard error.
pub fn run(cli: Cli) -> ExitCode {
    let Err(error) = dispatch(cli) else { return ExitCode::SUCCESS };
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    // The reader of the output has closed the pipe, as `head` does: that is no failure.
    if kind == Some(std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "postrider: {error:#}");
    if error.is::<UsageError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let output = Output { json: cli.json };
    let config = cli.config.as_deref();
    match cli.command {
        #[cfg(feature = "demo")]
        Some(Command::Demo(demo)) => run_on_all_cores(demo::run(demo, output)),
        #[cfg(feature = "bench")]
        Some(Command::Bench(bench)) if bench.serves() => run_on_all_cores(bench::run(bench, None, output)),
        #[cfg(feature = "bench")]
        Some(Command::Bench(bench)) => run_on_one_core(bench::run(bench, cli.config, output)),
        Some(Command::Check) => check::run(config, output),
        Some(Command::Send(send)) => run_on_one_core(send::run(send, config, output)),
        Some(Command::Listen(listen)) => run_on_one_core(listen::run(listen, output)),
        Some(Command::Subscriptions(args)) => run_on_one_core(subscriptions::run(args, config, output)),
        Some(Command::Events(args)) => run_on_one_core(events::run(args, config, output)),
        Some(Command::Deliveries(args)) => run_on_one_core(deliveries::run(args, config, output)),
        Some(Command::Replay(args)) => run_on_one_core(replay::run(args, config, output)),
        Some(Command::Tail(args)) => run_on_one_core(tail::run(args, config, output)),
        Some(Command::Stats(args)) => run_on_one_core(stats::run(args, config, output)),
        Some(Command::EventTypes(args)) => run_on_one_core(catalog::event_types(args, config, output)),
        Some(Command::Projects(args)) => run_on_one_core(catalog::projects(args, config, output)),
        Some(Command::Backup(args)) => run_on_one_core(backup::run(args, config, output)),
        Some(Command::Restore(args)) => restore::run(&args, config, output),
        Some(Command::Catalog(preset)) => preset::run(&preset, output),
        Some(Command::Keygen(keygen)) => keygen::run(&keygen, output),
        Some(Command::Completions(completions)) => completions::run(&completions, Cli::command()),
        Some(Command::Man(man)) => man::run(&man, Cli::command()),
        Some(Command::Serve) | None => {
            // `sockets` changes the environment, so it runs before the runtime starts threads.
            let sockets = service::sockets()?;
            let mut env: Vec<_> = std::env::vars().collect();
            env.extend(service::listen_variable(&sockets)?);
            run_on_all_cores(serve::run(serve::ConfigSource { file: cli.config, env }, sockets))
        }
    }
}

fn run_on_all_cores(daemon: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let done = runtime.block_on(daemon);
    // A blocking call to a disk or a name server that hangs must not keep the process alive.
    runtime.shutdown_background();
    done
}

fn run_on_one_core(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start the runtime")?.block_on(work)
}
