//! The command line: what is asked, said back aloud, and an exit code: 0 done, 1 failed, 2 bad use.
//!
//! Holds no logic of the daemon's. `send`, `listen` and what manages a daemon are its peers: they speak to it over
//! HTTP alone, and can do nothing that the API cannot.

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
mod moment;
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

/// What was asked for.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, about, max_term_width = 100)]
pub struct Cli {
    /// The config file [default: config.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Without one, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: take events in and deliver them
    Serve,
    /// Watch a whole daemon at work on made-up events, on a temporary data directory
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Measure a daemon under load: rates, latencies, and what they cost
    #[cfg(feature = "bench")]
    Bench(bench::Bench),
    /// Check the config file: every problem with its line, or the settings in force
    Check,
    /// Submit one event, or many from a file or standard input
    Send(send::Send),
    /// Receive webhooks: verify their signatures and print them
    Listen(listen::Listen),
    /// Make, show, change, test and delete subscriptions
    Subscriptions(subscriptions::Subscriptions),
    /// Look at events
    Events(events::Events),
    /// Look at deliveries; try them again or give them up
    Deliveries(deliveries::Deliveries),
    /// Deliver again from the log
    Replay(replay::Replay),
    /// Show events, attempts and changes of health as they happen
    Tail(tail::Tail),
    /// Show the daemon in numbers
    Stats(stats::Stats),
    /// List the event types: those of the config's catalog, and those seen
    EventTypes(catalog::Catalog),
    /// List the projects: those of the config's catalog, and those seen
    Projects(catalog::Catalog),
    /// Copy everything of a running daemon into one file
    Backup(backup::Backup),
    /// Make a data directory of a backup
    Restore(restore::Restore),
    /// Print event types that are known by heart, to be appended to the config file
    Catalog(preset::Preset),
    /// Make an API key, or a signing secret with --webhook
    Keygen(keygen::Keygen),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write manual pages
    #[command(hide = true)]
    Man(man::Man),
}

/// Does what was asked and says how it went; errors go to standard error.
pub fn run(cli: Cli) -> ExitCode {
    let Err(error) = dispatch(cli) else { return ExitCode::SUCCESS };
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    // Whoever read the output has seen enough, as `head` does.
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
        Some(Command::Demo(demo)) => serve_with_all_cores(demo::run(demo, output)),
        #[cfg(feature = "bench")]
        Some(Command::Bench(bench)) if bench.serves() => {
            serve_with_all_cores(bench::run(bench, None, output))
        }
        #[cfg(feature = "bench")]
        Some(Command::Bench(bench)) => block_on(bench::run(bench, cli.config, output)),
        Some(Command::Check) => check::run(config, output),
        Some(Command::Send(send)) => block_on(send::run(send, config, output)),
        Some(Command::Listen(listen)) => block_on(listen::run(listen, output)),
        Some(Command::Subscriptions(args)) => block_on(subscriptions::run(args, config, output)),
        Some(Command::Events(args)) => block_on(events::run(args, config, output)),
        Some(Command::Deliveries(args)) => block_on(deliveries::run(args, config, output)),
        Some(Command::Replay(args)) => block_on(replay::run(args, config, output)),
        Some(Command::Tail(args)) => block_on(tail::run(args, config, output)),
        Some(Command::Stats(args)) => block_on(stats::run(args, config, output)),
        Some(Command::EventTypes(args)) => block_on(catalog::event_types(args, config, output)),
        Some(Command::Projects(args)) => block_on(catalog::projects(args, config, output)),
        Some(Command::Backup(args)) => block_on(backup::run(args, config, output)),
        Some(Command::Restore(args)) => restore::run(&args, config, output),
        Some(Command::Catalog(preset)) => preset::run(&preset, output),
        Some(Command::Keygen(keygen)) => keygen::run(&keygen, output),
        Some(Command::Completions(completions)) => completions::run(&completions, Cli::command()),
        Some(Command::Man(man)) => man::run(&man, Cli::command()),
        Some(Command::Serve) | None => {
            // Before there are threads: it changes the environment.
            let sockets = service::sockets()?;
            let mut env: Vec<_> = std::env::vars().collect();
            env.extend(service::listen_variable(&sockets)?);
            serve_with_all_cores(serve::run(serve::ConfigSource { file: cli.config, env }, sockets))
        }
    }
}

fn serve_with_all_cores(daemon: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let done = runtime.block_on(daemon);
    // A disk or a name server that hangs must not keep the process from ending.
    runtime.shutdown_background();
    done
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start the runtime")?.block_on(work)
}
