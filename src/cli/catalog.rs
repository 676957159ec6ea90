//! `postrider event-types` and `postrider projects`: list what the config file names and what events have named.

use std::path::Path;

use clap::Args;

use super::connection::Connection;
use super::pages::{Paging, show};
use super::table::Column;
use crate::console::Output;

const EVENT_TYPES: [Column; 6] = [
    ("name", "/name"),
    ("group", "/group"),
    ("configured", "/configured"),
    ("events", "/events"),
    ("last seen", "/last_seen_at"),
    ("description", "/description"),
];

const PROJECTS: [Column; 6] = [
    ("company", "/company"),
    ("id", "/id"),
    ("name", "/name"),
    ("configured", "/configured"),
    ("events", "/events"),
    ("last seen", "/last_seen_at"),
];

/// Arguments of `event-types` and `projects`.
#[derive(Debug, Args)]
pub struct Catalog {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    paging: Paging,
}

/// Lists the event types.
pub(super) async fn event_types(args: Catalog, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    show(&client, "/v1/event-types", &[], args.paging, (&EVENT_TYPES, output)).await
}

/// Lists the projects.
pub(super) async fn projects(args: Catalog, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    show(&client, "/v1/projects", &[], args.paging, (&PROJECTS, output)).await
}
