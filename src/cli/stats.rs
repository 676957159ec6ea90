//! `postrider stats`: prints the daemon's statistics.

use std::path::Path;

use clap::Args;
use http::Method;

use super::connection::Connection;
use super::table::sheet;
use crate::console::Output;

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    connection: Connection,
}

/// Prints the statistics.
pub(super) async fn run(args: Stats, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let numbers = args.connection.client(config)?.call(Method::GET, "/v1/stats", None).await?;
    output.print(&numbers, &sheet(&numbers))?;
    Ok(())
}
