//! `postrider events`: what happened.

use std::path::Path;

use clap::{Args, Subcommand};
use http::Method;

use super::connection::Connection;
use super::moment::Span;
use super::pages::{Paging, show};
use super::table::{Column, sheet};
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
    /// List them, newest first
    List(List),
    /// Show one with its data
    Show {
        /// Its id
        event: String,
    },
}

/// Arguments of `list`.
#[derive(Debug, Args)]
struct List {
    /// Of this type alone
    #[arg(long)]
    r#type: Option<String>,
    /// Of this project alone
    #[arg(long)]
    project: Option<String>,
    /// Of this company alone
    #[arg(long)]
    company: Option<String>,
    /// With the sender's own id
    #[arg(long, value_name = "ID")]
    sender_id: Option<String>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    paging: Paging,
}

/// Does what was asked.
pub(super) async fn run(args: Events, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::List(list) => {
            let (since, until) = list.span.ends();
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
