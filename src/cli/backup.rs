//! `postrider backup`: copies all data of a running daemon into one file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::connection::Connection;
use crate::console::Output;
use crate::console::client::Client;
use crate::store::{BackupInfo, check_backup};

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to create; it must not exist
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Fetches a backup and checks it as a restore does.
pub(super) async fn run(args: Backup, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    let file = args.file;
    ensure!(!file.exists(), "{} already exists: choose another file", file.display());
    let mut name = file.file_name().context("FILE is not the path of a file")?.to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    let bar = super::progress::bar();
    let taken = fetch(&client, &part, &bar)
        .await
        .and_then(|()| Ok(check_backup(&part, &mut super::progress::on(&bar))?));
    bar.finish_and_clear();
    let info = match taken {
        Ok(info) => info,
        Err(error) => {
            // A partial backup is useless. The removal fails if there is none.
            drop(std::fs::remove_file(&part));
            return Err(error.context("failed to back up the daemon"));
        }
    };
    std::fs::rename(&part, &file)
        .with_context(|| format!("failed to rename the finished backup to {}", file.display()))?;
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()?;
    print(&file, &info, output)
}

async fn fetch(client: &Client, part: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut stream = client.post_stream("/v1/backup").await?;
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
    let mut out = opened.with_context(|| format!("failed to write {}", part.display()))?;
    bar.set_message("fetching");
    while let Some(piece) = stream.next().await {
        let piece = piece.context("the daemon ended the backup early: see its log")?;
        out.write_all(&piece).with_context(|| format!("failed to write {}", part.display()))?;
        bar.inc(piece.len() as u64);
    }
    out.sync_all().with_context(|| format!("failed to sync {}", part.display()))
}

fn print(file: &Path, info: &BackupInfo, output: Output) -> anyhow::Result<()> {
    let json = json!({
        "file": file, "bytes": info.bytes, "rows": info.rows, "made_at": info.made_at.to_string(), "key": info.key,
    });
    output.print(&json, &format!("{}: {} bytes, {} rows", file.display(), info.bytes, info.rows))?;
    if let Some(key) = &info.key {
        output.note(&format!(
            "the secrets are encrypted with key {key}: a restore also needs the key file (`key` in the data directory, or \
             storage.key_file). Keep a copy of it in another place."
        ))?;
    }
    Ok(())
}
