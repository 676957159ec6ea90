//! `postrider events`: lists and shows events.

use std::path::Path;

use clap::{Args, Subcommand};
use http::Method;

use super::connection::Connection;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
use super::time_arg::TimeRange;
use crate::console::Output;

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("accepted", "/accepted_at"),
    ("type", "/type"),
    ("company", "/company"),
    ("project", "/project"),
    ("sender's id", "/sender_id"),
];

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct Events {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List events, newest first
    List(List),
    /// Show an event with its data
    Show {
        /// The id of the event, `evt_…`
        event: String,
    },
}

/// Arguments of `list`.
#[derive(Debug, Args)]
struct List {
    /// Only events of this type
    #[arg(long)]
    r#type: Option<String>,
    /// Only events of this project
    #[arg(long)]
    project: Option<String>,
    /// Only events of this company
    #[arg(long)]
    company: Option<String>,
    /// Only the event to which its sender gave this id
    #[arg(long, value_name = "ID")]
    sender_id: Option<String>,
    #[command(flatten)]
    range: TimeRange,
    #[command(flatten)]
    paging: Paging,
}

/// Runs the subcommand.
pub(super) async fn run(args: Events, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::List(list) => {
            let (since, until) = list.range.ends();
            let filters = [
                ("type", list.r#type.as_deref()),
                ("project", list.project.as_deref()),
                ("company", list.company.as_deref()),
                ("sender_id", list.sender_id.as_deref()),
                ("since", since.as_deref()),
                ("until", until.as_deref()),
            ];
            show(&client, "/v1/events", &filters, list.paging, (&COLUMNS, output)).await
        }
        Command::Show { event } => {
            let path = format!("/v1/events/{}", super::lookup::plain_id(&event)?);
            let event = client.call(Method::GET, &path, None).await?;
            output.print(&event, &sheet(&event))?;
            Ok(())
        }
    }
}
