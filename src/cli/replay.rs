//! `postrider replay`: delivers past events again.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
use super::time_arg::TimeRange;
use crate::console::Output;
use crate::console::client::Client;

/// The interval between two requests for the progress of a running replay.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

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
        /// The id of the event, `evt_…`
        event: String,
        /// The subscription to deliver to, by its id or name; repeatable [default: all that match the event now]
        #[arg(long, value_name = "SUBSCRIPTION")]
        to: Vec<String>,
    },
    /// Deliver the events of a time range to a subscription again, including those from before it was created
    Subscription(SubscriptionReplay),
    /// List the replays of subscriptions
    List(#[command(flatten)] Paging),
    /// Show the progress of a replay
    Show {
        /// The id of the replay, `rpl_…`
        replay: String,
    },
    /// Cancel a replay; the deliveries that it has created continue
    Cancel {
        /// The id of the replay, `rpl_…`
        replay: String,
    },
}

/// Arguments of `replay subscription`.
#[derive(Debug, Args)]
struct SubscriptionReplay {
    /// The subscription, by its id or name
    subscription: String,
    #[command(flatten)]
    range: TimeRange,
    /// Only events whose delivery to it has these states: exhausted, succeeded, cancelled [default: all that it matches]
    #[arg(long, value_delimiter = ',', value_name = "STATES")]
    states: Vec<String>,
    /// Count the events without delivering them
    #[arg(long)]
    dry_run: bool,
    /// Return without waiting for the end of the replay
    #[arg(long)]
    no_wait: bool,
}

/// Runs the subcommand.
pub(super) async fn run(args: Replay, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::Event { event, to } => replay_event(&client, &event, &to, output).await,
        Command::Subscription(args) => start(&client, args, output).await,
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

async fn replay_event(client: &Client, event: &str, to: &[String], output: Output) -> anyhow::Result<()> {
    let mut subscriptions = Vec::with_capacity(to.len());
    for name in to {
        subscriptions.push(super::lookup::subscription_id(client, name).await?);
    }
    let body = (!subscriptions.is_empty()).then(|| json!({ "subscriptions": subscriptions }));
    let path = format!("/v1/events/{}/replay", super::lookup::plain_id(event)?);
    print(&client.call(Method::POST, &path, body.as_ref()).await?, output)
}

async fn start(client: &Client, args: SubscriptionReplay, output: Output) -> anyhow::Result<()> {
    let id = super::lookup::subscription_id(client, &args.subscription).await?;
    let (since, until) = args.range.ends();
    let mut body = Map::new();
    body.extend(since.map(|since| ("since".to_owned(), since.into())));
    body.extend(until.map(|until| ("until".to_owned(), until.into())));
    if !args.states.is_empty() {
        body.insert("states".to_owned(), args.states.into());
    }
    if args.dry_run {
        body.insert("dry_run".to_owned(), true.into());
    }
    let answer =
        client.call(Method::POST, &format!("/v1/subscriptions/{id}/replay"), Some(&body.into())).await?;
    if args.dry_run {
        let matching = answer.get("matching").and_then(Value::as_u64).unwrap_or_default();
        output.print(&answer, &format!("{matching} events would be delivered again"))?;
        return Ok(());
    }
    if args.no_wait {
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

/// Shows the progress of the replay and returns it when it has ended.
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
        bar.set_message(format!("({} deliveries created)", count("made").unwrap_or_default()));
        if job.get("state").and_then(Value::as_str) != Some("running") {
            bar.finish_and_clear();
            return Ok(job);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn conclude(job: &Value, output: Output) -> anyhow::Result<()> {
    let count = |name: &str| job.get(name).and_then(Value::as_u64).unwrap_or_default();
    let word = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, state, made, skipped) = (word("id"), word("state"), count("made"), count("skipped"));
    output.print(job, &format!("{id}: {state}, {made} deliveries created, {skipped} events skipped"))?;
    anyhow::ensure!(state != "failed", "the replay failed");
    Ok(())
}

/// Prints how to follow and cancel the replay, which continues without this command.
async fn leave(client: &Client, id: &str, output: Output) -> anyhow::Result<()> {
    let job = client.call(Method::GET, &job_path(id)?, None).await?;
    let text = format!(
        "{id} continues without this command.\nRun `postrider replay show {id}` to see its progress, or \
         `postrider replay cancel {id}` to cancel it."
    );
    output.print(&job, &text)?;
    Ok(())
}
