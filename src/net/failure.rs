//! What went wrong with a request, in a class and a few words.
//!
//! The words never hold the URL: it may carry user info or a token.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::resolve::ResolveError;
use crate::model::attempt::{ErrorClass, Outcome};
use crate::model::time::{Interval, millis};
use crate::rules::target::ForbiddenAddress;

/// A URL whose host may not be called.
pub(super) fn forbidden(error: &ForbiddenAddress) -> Outcome {
    failed(ErrorClass::ForbiddenAddress, error)
}

/// No complete answer within the deadline; `status` is there if its head came in time.
pub(super) fn timed_out(deadline: Duration, status: Option<u16>) -> Outcome {
    let deadline = shown(deadline);
    let detail = match status {
        Some(status) => format!("answered {status}, but its body did not end within {deadline}"),
        None => format!("no answer within {deadline}"),
    };
    Outcome::Failed { class: ErrorClass::Timeout, detail }
}

/// An error of the client; `connect_timeout` is what it was given.
pub(super) fn classify(error: &reqwest::Error, connect_timeout: Duration) -> Outcome {
    if let Some(outcome) = causes(error).find_map(classify_cause) {
        outcome
    } else if error.is_timeout() {
        failed(ErrorClass::Timeout, &format_args!("no connection within {}", shown(connect_timeout)))
    } else if error.is_builder() {
        failed(ErrorClass::Internal, &innermost(error))
    } else if error.is_connect() {
        failed(ErrorClass::Connect, &innermost(error))
    } else {
        let words = innermost(error);
        // HTTP/2 keeps the words of such an error only, and not what it was.
        let is_alert = words.starts_with("received fatal alert: ");
        failed(if is_alert { ErrorClass::Tls } else { ErrorClass::Protocol }, &words)
    }
}

/// Whether there was no connection because the process or the machine has as many files open as it may, which says
/// nothing of the receiver.
pub(super) fn is_out_of_files(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
        let error = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        matches!(error, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
    })
}

/// The class of one link in the chain of causes, where it has one of its own.
fn classify_cause(cause: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(error) = cause.downcast_ref::<ResolveError>() {
        let class = match error {
            ResolveError::Unresolved(_) => ErrorClass::Dns,
            ResolveError::Forbidden(_) => ErrorClass::ForbiddenAddress,
        };
        return Some(failed(class, error));
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(failed(ErrorClass::Tls, error));
    }
    let words = connection_words(cause.downcast_ref::<io::Error>()?.kind())?;
    Some(failed(ErrorClass::Connect, words))
}

/// What became of a connection, for the kinds that mean just that.
const fn connection_words(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("connection refused"),
        io::ErrorKind::ConnectionReset => Some("connection reset"),
        io::ErrorKind::ConnectionAborted => Some("connection aborted"),
        io::ErrorKind::BrokenPipe => Some("connection closed while the request was sent"),
        io::ErrorKind::HostUnreachable => Some("host unreachable"),
        io::ErrorKind::NetworkUnreachable => Some("network unreachable"),
        io::ErrorKind::NetworkDown => Some("network down"),
        _ => None,
    }
}

/// The causes wrapped_cause an error, outermost first. An I/O error that wraps another is followed by it, which
/// `source` would pass over.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| wrapped_cause(*cause))
}

fn wrapped_cause<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

/// The words of the deepest cause. Those of the client itself, which hold the URL, are the outermost.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

fn failed(class: ErrorClass, detail: &(impl ToString + ?Sized)) -> Outcome {
    Outcome::Failed { class, detail: detail.to_string() }
}

fn shown(duration: Duration) -> Interval {
    Interval::from_millis(millis(duration))
}
