//! The command line: what is asked, said back aloud, and an exit code: 0 done, 1 failed, 2 bad use.
//!
//! Holds no logic of the daemon's. `send` and `listen` are its peers: they speak to it over HTTP alone.

mod bench;
mod check;
mod client;
mod completions;
mod demo;
mod keygen;
mod listen;
mod send;
mod serve;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

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
    Demo(demo::Demo),
    /// Measure a daemon under load: rates, latencies, and what they cost
    Bench(bench::Bench),
    /// Check the config file: every problem with its line, or the settings in force
    Check,
    /// Submit one event, or many from a file or standard input
    Send(send::Send),
    /// Receive webhooks: verify their signatures and print them
    Listen(listen::Listen),
    /// Make an API key, or a signing secret with --webhook
    Keygen(keygen::Keygen),
    /// Print completions for a shell
    Completions(completions::Completions),
}

/// A command that was used wrongly: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadUse(String);

/// Does what was asked and says how it went; errors go to standard error.
pub fn run(cli: Cli) -> ExitCode {
    let Err(error) = dispatch(cli) else { return ExitCode::SUCCESS };
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    // Whoever read the output has seen enough, as `head` does.
    if kind == Some(std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "postrider: {error:#}");
    if error.is::<BadUse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let output = Output { json: cli.json };
    match cli.command {
        Some(Command::Demo(demo)) => serve_with_all_cores(demo::run(demo, output)),
        Some(Command::Bench(bench)) if bench.serves() => {
            serve_with_all_cores(bench::run(bench, None, output))
        }
        Some(Command::Bench(bench)) => block_on(bench::run(bench, cli.config, output)),
        Some(Command::Check) => check::run(cli.config.as_deref(), output),
        Some(Command::Send(send)) => block_on(send::run(send, output)),
        Some(Command::Listen(listen)) => block_on(listen::run(listen, output)),
        Some(Command::Keygen(keygen)) => keygen::run(&keygen, output),
        Some(Command::Completions(completions)) => completions::run(&completions),
        Some(Command::Serve) | None => {
            let source = serve::ConfigSource { file: cli.config, env: std::env::vars().collect() };
            serve_with_all_cores(serve::run(source))
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

/// How results are printed.
#[derive(Clone, Copy, Debug)]
struct Output {
    json: bool,
}

impl Output {
    /// Prints the one or the other form as a line on standard output.
    fn print(self, json: &serde_json::Value, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        out.flush()
    }
}
