//! `postrider replay`: deliver again from the log.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::moment::Span;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
use crate::console::Output;
use crate::console::client::Client;

/// How often a job is looked at while it runs.
const LOOK_EVERY: Duration = Duration::from_millis(300);

const COLUMNS: [Column; 7] = [
    ("id", "/id"),
    ("subscription", "/subscription"),
    ("state", "/state"),
    ("total", "/total"),
    ("made", "/made"),
    ("skipped", "/skipped"),
    ("created", "/created_at"),
];

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deliver one event again
    Event {
        /// Its id
        event: String,
        /// To this subscription, by its id or name; give it again for more [default: all that match it now]
        #[arg(long, value_name = "SUBSCRIPTION")]
        to: Vec<String>,
    },
    /// Deliver a subscription's events of some time again, also those from before it existed
    Subscription(Wide),
    /// List the replays of subscriptions
    List(#[command(flatten)] Paging),
    /// Show how far one is
    Show {
        /// Its id, `rpl_…`
        replay: String,
    },
    /// Stop one from making more deliveries; those that it has made go on
    Cancel {
        /// Its id, `rpl_…`
        replay: String,
    },
}

/// Arguments of `replay subscription`.
#[derive(Debug, Args)]
struct Wide {
    /// Its id or name
    subscription: String,
    #[command(flatten)]
    span: Span,
    /// Only events whose delivery to it stands so: exhausted, succeeded, cancelled [default: all that it matches now]
    #[arg(long, value_delimiter = ',', value_name = "STATES")]
    states: Vec<String>,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for its end
    #[arg(long)]
    no_wait: bool,
}

/// Does what was asked.
pub(super) async fn run(args: Replay, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::Event { event, to } => again(&client, &event, &to, output).await,
        Command::Subscription(wide) => start(&client, wide, output).await,
        Command::List(paging) => show(&client, "/v1/replays", &[], paging, (&COLUMNS, output)).await,
        Command::Show { replay } => {
            let job = client.call(Method::GET, &job_path(&replay)?, None).await?;
            print(&job, output)
        }
        Command::Cancel { replay } => {
            let path = format!("{}/cancel", job_path(&replay)?);
            print(&client.call(Method::POST, &path, None).await?, output)
        }
    }
}

fn job_path(id: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/replays/{}", super::lookup::plain_id(id)?))
}

fn print(job: &Value, output: Output) -> anyhow::Result<()> {
    output.print(job, &sheet(job))?;
    Ok(())
}

async fn again(client: &Client, event: &str, to: &[String], output: Output) -> anyhow::Result<()> {
    let mut subscriptions = Vec::with_capacity(to.len());
    for name in to {
        subscriptions.push(super::lookup::subscription_id(client, name).await?);
    }
    let body = (!subscriptions.is_empty()).then(|| json!({ "subscriptions": subscriptions }));
    let path = format!("/v1/events/{}/replay", super::lookup::plain_id(event)?);
    print(&client.call(Method::POST, &path, body.as_ref()).await?, output)
}

async fn start(client: &Client, wide: Wide, output: Output) -> anyhow::Result<()> {
    let id = super::lookup::subscription_id(client, &wide.subscription).await?;
    let (since, until) = wide.span.ends();
    let mut body = Map::new();
    body.extend(since.map(|since| ("since".to_owned(), since.into())));
    body.extend(until.map(|until| ("until".to_owned(), until.into())));
    if !wide.states.is_empty() {
        body.insert("states".to_owned(), wide.states.into());
    }
    if wide.dry_run {
        body.insert("dry_run".to_owned(), true.into());
    }
    let answer =
        client.call(Method::POST, &format!("/v1/subscriptions/{id}/replay"), Some(&body.into())).await?;
    if wide.dry_run {
        let matching = answer.get("matching").and_then(Value::as_u64).unwrap_or_default();
        output.print(&answer, &format!("{matching} events would be delivered again"))?;
        return Ok(());
    }
    if wide.no_wait {
        return print(&answer, output);
    }
    let job = answer.get("id").and_then(Value::as_str).context("the daemon's answer has no id")?.to_owned();
    tokio::select! {
        ended = watch(client, &job) => conclude(&ended?, output),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("failed to wait for Ctrl-C")?;
            leave(client, &job, output).await
        }
    }
}

/// The job as it is in the end, with a bar on the way.
async fn watch(client: &Client, id: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} events, {per_sec}, {eta} left {msg}")
    {
        bar.set_style(style);
    }
    loop {
        let job = client.call(Method::GET, &job_path(id)?, None).await?;
        let count = |name: &str| job.get(name).and_then(Value::as_u64);
        bar.set_length(count("total").unwrap_or_default());
        bar.set_position(count("looked_at").unwrap_or_default());
        bar.set_message(format!("({} made)", count("made").unwrap_or_default()));
        if job.get("state").and_then(Value::as_str) != Some("running") {
            bar.finish_and_clear();
            return Ok(job);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn conclude(job: &Value, output: Output) -> anyhow::Result<()> {
    let count = |name: &str| job.get(name).and_then(Value::as_u64).unwrap_or_default();
    let word = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, state, made, skipped) = (word("id"), word("state"), count("made"), count("skipped"));
    output.print(job, &format!("{id}: {state}, {made} deliveries made, {skipped} events skipped"))?;
    anyhow::ensure!(state != "failed", "the replay failed");
    Ok(())
}

/// It goes on without us; says how to find it again.
async fn leave(client: &Client, id: &str, output: Output) -> anyhow::Result<()> {
    let job = client.call(Method::GET, &job_path(id)?, None).await?;
    let text = format!(
        "{id} goes on without this command.\n`postrider replay show {id}` tells how far it is, \
         `postrider replay cancel {id}` stops it."
    );
    output.print(&job, &text)?;
    Ok(())
}
