//! `postrider man`: manual pages of the commands, from what the command line says of itself. For packages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Where to put them, one for each command
    directory: PathBuf,
}

/// Writes the pages.
pub(super) fn run(args: &Man, command: Command) -> anyhow::Result<()> {
    clap_mangen::generate_to(command, &args.directory)
        .with_context(|| format!("failed to write manual pages to {}", args.directory.display()))
}
