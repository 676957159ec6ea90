//! What a page tells once after a form was sent: the browser is sent on to the page, which then shows it. So a
//! reload neither sends the form again nor shows a secret a second time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::response::{IntoResponse, Redirect, Response};
use rand::RngExt as _;

use super::query::Query;
use super::viewer::Viewer;
use crate::flow::Entry;
use crate::model::attempt::Attempt;

/// The most notices that wait to be shown; the oldest makes room.
const NOTICES_MAX: usize = 256;

/// What is told.
#[derive(Clone, Debug)]
pub(super) enum Notice {
    /// It is done: the message of that id.
    Done(&'static str),
    /// It was not done, and why, in the API's words.
    Refused(String),
    /// The secret of a new subscription.
    Secret(String),
    /// Chosen events were delivered again: how many, and how many were passed over.
    Redelivered {
        /// How many deliveries were created.
        created: usize,
        /// How many events have an unfinished delivery already, or are no longer in the log.
        skipped: usize,
    },
    /// What a receiver answered: to which request, the message of that id, and whether it was good enough.
    Answer(&'static str, Box<Attempt>),
}

/// Notices that wait to be shown.
#[derive(Default)]
pub(super) struct Notices(Mutex<VecDeque<(u64, Notice)>>);

impl Notices {
    fn put(&self, notice: Notice) -> u64 {
        let id = rand::rng().random();
        // A panic while it was held leaves a list that is whole.
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

/// Tells the present secret of a subscription, where it is a shared one; else that it is done.
pub(super) fn secret_or(entry: &Entry, done: &'static str) -> Notice {
    let current = entry.subscription.secrets.first();
    current.map_or(Notice::Done(done), |signing| Notice::Secret(signing.secret.reveal().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_shown_once_and_the_oldest_makes_room() {
        let notices = Notices::default();
        let first = notices.put(Notice::Done("a"));
        assert!(notices.remove(first).is_some() && notices.remove(first).is_none());
        let old = notices.put(Notice::Done("a"));
        let later: Vec<u64> = (0..NOTICES_MAX).map(|_| notices.put(Notice::Done("b"))).collect();
        assert!(notices.remove(old).is_none() && later.iter().all(|id| notices.remove(*id).is_some()));
    }
}
