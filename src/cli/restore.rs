//! `postrider restore`: a data directory made of a backup, on this machine or another.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::config::Config;
use crate::console::Output;
use crate::store;

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The data directory to make; it must be empty, or not there [default: `storage.path` of the config]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The key file of the daemon that was backed up, if that had secrets; it is copied into the data directory
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Checks the backup, and puts it in place.
pub(super) fn run(args: &Restore, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let target = match &args.data_dir {
        Some(target) => target.clone(),
        None => {
            Config::load(config, std::env::vars()).context("name the directory with --data-dir")?.storage.path
        }
    };
    let bar = super::progress::bar();
    let restored = store::restore(&args.file, &target, args.key.as_deref(), &mut super::progress::on(&bar));
    bar.finish_and_clear();
    let info = restored.context("failed to restore")?;
    let json = json!({ "data_dir": target, "rows": info.rows, "made_at": info.made_at.to_string() });
    let text = format!("{}: {} rows as of {}", target.display(), info.rows, info.made_at);
    output.print(&json, &text)?;
    Ok(())
}
