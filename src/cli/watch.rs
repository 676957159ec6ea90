//! Watches the config file for changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How long the file must be unchanged before it is read, because editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Waits for changes of a file. If the system cannot watch it, a warning is logged and no change is reported.
pub(super) struct Watch {
    changed: Arc<Notify>,
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches the file's directory, because many editors replace the file with a new one.
    pub(super) fn new(file: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watch(file, Arc::clone(&changed));
        if let Err(error) = &watcher {
            tracing::warn!(file = %file.display(), %error, "failed to watch the config file: send SIGHUP after a change");
        }
        Self { changed, _watcher: watcher.ok() }
    }

    /// Waits for the next change, and until the file is unchanged for a moment.
    ///
    /// Not cancel safe: a change is lost if the call is cancelled after it. The caller cancels only to read the file for
    /// another reason or to stop.
    pub(super) async fn changed(&mut self) {
        self.changed.notified().await;
        while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

fn watch(file: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let file: PathBuf = std::path::absolute(file).map_err(notify::Error::io)?;
    let directory = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event
            .is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)) && event.paths.contains(&file));
        if is_change {
            changed.notify_one();
        }
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
