//! `postrider restore`: creates a data directory from a backup.

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
    /// The file of the backup
    file: PathBuf,
    /// The data directory to create; it must be empty or not exist [default: `storage.path` of the config file]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The key file of the backed-up daemon, needed if it had secrets; it is copied into the data directory
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Checks the backup and restores it.
pub(super) fn run(args: &Restore, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let target = match &args.data_dir {
        Some(target) => target.clone(),
        None => {
            Config::load(config, std::env::vars())
                .context("failed to find the data directory: use --data-dir")?
                .storage
                .path
        }
    };
    let bar = super::progress::bar();
    let restored = store::restore(&args.file, &target, args.key.as_deref(), &mut super::progress::on(&bar));
    bar.finish_and_clear();
    let info = restored.context("failed to restore the backup")?;
    let json = json!({ "data_dir": target, "rows": info.rows, "made_at": info.made_at.to_string() });
    let text = format!("{}: {} rows as of {}", target.display(), info.rows, info.made_at);
    output.print(&json, &text)?;
    Ok(())
}
