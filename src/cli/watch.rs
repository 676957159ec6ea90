//! Watching the config file for changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How long a file has to be left alone before it is read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Tells when a file has changed. If the system cannot tell, it never does, and says so once in the log.
pub(super) struct Watch {
    changed: Arc<Notify>,
    /// Held for its effect: it watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches the file's directory, since many editors put a new file in the place of the old one.
    pub(super) fn new(file: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watch(file, Arc::clone(&changed));
        if let Err(error) = &watcher {
            tracing::warn!(file = %file.display(), %error, "cannot watch the config file: reload it with SIGHUP");
        }
        Self { changed, _watcher: watcher.ok() }
    }

    /// Waits for the next change, and for the file to be left alone.
    ///
    /// Not cancel safe once a change has come: whoever cancels it then reads the file for another reason or ends.
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
