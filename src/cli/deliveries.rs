//! `postrider deliveries`: events on their way to subscriptions.

use std::path::Path;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::connection::Connection;
use super::moment::Span;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
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
    /// List them, newest first
    List(List),
    /// Show one with every attempt
    Show {
        /// Its id
        delivery: String,
    },
    /// Try some again now, each with a whole retry schedule before it
    Retry {
        /// Their ids
        #[arg(required = true)]
        deliveries: Vec<String>,
    },
    /// Give some up that wait or are held
    Cancel {
        /// Their ids
        #[arg(required = true)]
        deliveries: Vec<String>,
    },
}

/// Arguments of `list`.
#[derive(Debug, Args)]
struct List {
    /// To this subscription alone, by its id or name
    #[arg(long)]
    subscription: Option<String>,
    /// Of this event alone
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// In these states alone: pending, `in_flight`, succeeded, exhausted, held, cancelled
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    paging: Paging,
}

/// Does what was asked.
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
        Command::Retry { deliveries } => act(&client, &deliveries, "retry", output).await,
        Command::Cancel { deliveries } => act(&client, &deliveries, "cancel", output).await,
    }
}

async fn show_list(client: &Client, list: List, output: Output) -> anyhow::Result<()> {
    let subscription = match &list.subscription {
        Some(name) => Some(super::lookup::subscription_id(client, name).await?),
        None => None,
    };
    let (since, until) = list.span.ends();
    let filters = [
        ("subscription", subscription.as_deref()),
        ("event", list.event.as_deref()),
        ("state", list.state.as_deref()),
        ("since", since.as_deref()),
        ("until", until.as_deref()),
    ];
    show(client, "/v1/deliveries", &filters, list.paging, (&COLUMNS, output)).await
}

async fn act(client: &Client, ids: &[String], act: &str, output: Output) -> anyhow::Result<()> {
    for id in ids {
        let path = format!("/v1/deliveries/{}/{act}", super::lookup::plain_id(id)?);
        let delivery = client.call(Method::POST, &path, None).await?;
        let word = |name: &str| delivery.get(name).and_then(Value::as_str).unwrap_or_default();
        output.print(&delivery, &format!("{}: {}", word("id"), word("state")))?;
    }
    Ok(())
}
