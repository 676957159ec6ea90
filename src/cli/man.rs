//! `postrider man`: writes manual pages for packages, generated from the command line's definition.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The directory for the pages, one for each command
    directory: PathBuf,
}

/// Writes the manual pages into the directory.
pub(super) fn run(args: &Man, command: Command) -> anyhow::Result<()> {
    clap_mangen::generate_to(command, &args.directory)
        .with_context(|| format!("failed to write manual pages to {}", args.directory.display()))
}
