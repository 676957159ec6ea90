//! Notices that a page shows once after a form was submitted.
//!
//! The response to a form redirects the browser to a page that shows the notice. A reload neither submits the
//! form again nor shows a secret a second time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::response::{IntoResponse, Redirect, Response};
use rand::RngExt as _;

use super::query::Query;
use super::viewer::Viewer;
use crate::flow::Entry;
use crate::model::attempt::Attempt;

/// The maximum number of stored notices. The oldest is dropped for a new one.
const NOTICES_MAX: usize = 256;

/// The content of a notice.
#[derive(Clone, Debug)]
pub(super) enum Notice {
    /// The change was made. Holds the message ID.
    Done(&'static str),
    /// The change was refused. Holds the reason.
    Refused(String),
    /// The secret of a subscription that was created or whose secret was rotated.
    Secret(String),
    /// Selected events were redelivered.
    Redelivered {
        /// The number of deliveries that were created.
        created: usize,
        /// The number of events that have an unfinished delivery already or are no longer in the log.
        skipped: usize,
    },
    /// The response to a health check or a test event. Holds the message ID and the attempt.
    Answer(&'static str, Box<Attempt>),
}

/// The notices that no page has shown yet.
#[derive(Default)]
pub(super) struct Notices(Mutex<VecDeque<(u64, Notice)>>);

impl Notices {
    fn put(&self, notice: Notice) -> u64 {
        let id = rand::rng().random();
        // A panic while the lock was held leaves the list consistent.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= NOTICES_MAX {
            waiting.pop_front();
        }
        waiting.push_back((id, notice));
        id
    }

    /// Redirects the browser to a page that then shows `notice`.
    pub(super) fn redirect(&self, viewer: &Viewer, path: &str, notice: Notice) -> Response {
        let id = self.put(notice);
        let mark = if path.contains('?') { '&' } else { '?' };
        Redirect::to(&viewer.link(&format!("{path}{mark}notice={id:016x}"))).into_response()
    }

    /// Takes the notice that the query of a page names.
    pub(super) fn take(&self, query: &Query) -> Option<Notice> {
        self.remove(u64::from_str_radix(query.get("notice"), 16).ok()?)
    }

    fn remove(&self, id: u64) -> Option<Notice> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = waiting.iter().position(|(other, _)| *other == id)?;
        waiting.remove(index).map(|(_, notice)| notice)
    }
}

/// Returns a notice with the present secret of a subscription, or a notice that the change was made if there
/// is no secret.
pub(super) fn secret_or(entry: &Entry, done: &'static str) -> Notice {
    let current = entry.subscription.secrets.first();
    current.map_or(Notice::Done(done), |signing| Notice::Secret(signing.secret.reveal().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_shown_once_and_the_oldest_is_dropped() {
        let notices = Notices::default();
        let first = notices.put(Notice::Done("a"));
        assert!(notices.remove(first).is_some() && notices.remove(first).is_none());
        let old = notices.put(Notice::Done("a"));
        let later: Vec<u64> = (0..NOTICES_MAX).map(|_| notices.put(Notice::Done("b"))).collect();
        assert!(notices.remove(old).is_none() && later.iter().all(|id| notices.remove(*id).is_some()));
    }
}
