//! `postrider deliveries`: lists, shows, retries and cancels deliveries.

use std::path::Path;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::connection::Connection;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
use super::time_arg::TimeRange;
use crate::console::Output;
use crate::console::client::Client;

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("state", "/state"),
    ("subscription", "/subscription"),
    ("event", "/event"),
    ("due", "/due_at"),
    ("why", "/reason"),
];

/// Arguments of `deliveries`.
#[derive(Debug, Args)]
pub struct Deliveries {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deliveries, newest first
    List(List),
    /// Show a delivery with all its attempts
    Show {
        /// The id of the delivery, `dlv_…`
        delivery: String,
    },
    /// Retry deliveries now, each with a new retry schedule
    Retry {
        /// The ids of the deliveries
        #[arg(required = true)]
        deliveries: Vec<String>,
    },
    /// Cancel deliveries that are pending or held
    Cancel {
        /// The ids of the deliveries
        #[arg(required = true)]
        deliveries: Vec<String>,
    },
}

/// Arguments of `list`.
#[derive(Debug, Args)]
struct List {
    /// Only deliveries to this subscription, by its id or name
    #[arg(long)]
    subscription: Option<String>,
    /// Only deliveries of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Only deliveries in these states, separated by commas: pending, `in_flight`, succeeded, exhausted, held, cancelled
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    #[command(flatten)]
    range: TimeRange,
    #[command(flatten)]
    paging: Paging,
}

/// Runs the subcommand.
pub(super) async fn run(args: Deliveries, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::List(list) => show_list(&client, list, output).await,
        Command::Show { delivery } => {
            let path = format!("/v1/deliveries/{}", super::lookup::plain_id(&delivery)?);
            let delivery = client.call(Method::GET, &path, None).await?;
            output.print(&delivery, &sheet(&delivery))?;
            Ok(())
        }
        Command::Retry { deliveries } => change(&client, &deliveries, "retry", output).await,
        Command::Cancel { deliveries } => change(&client, &deliveries, "cancel", output).await,
    }
}

async fn show_list(client: &Client, list: List, output: Output) -> anyhow::Result<()> {
    let subscription = match &list.subscription {
        Some(name) => Some(super::lookup::subscription_id(client, name).await?),
        None => None,
    };
    let (since, until) = list.range.ends();
    let filters = [
        ("subscription", subscription.as_deref()),
        ("event", list.event.as_deref()),
        ("state", list.state.as_deref()),
        ("since", since.as_deref()),
        ("until", until.as_deref()),
    ];
    show(client, "/v1/deliveries", &filters, list.paging, (&COLUMNS, output)).await
}

async fn change(client: &Client, ids: &[String], action: &str, output: Output) -> anyhow::Result<()> {
    for id in ids {
        let path = format!("/v1/deliveries/{}/{action}", super::lookup::plain_id(id)?);
        let delivery = client.call(Method::POST, &path, None).await?;
        let word = |name: &str| delivery.get(name).and_then(Value::as_str).unwrap_or_default();
        output.print(&delivery, &format!("{}: {}", word("id"), word("state")))?;
    }
    Ok(())
}
