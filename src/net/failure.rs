//! Classification of request failures: an error class and a short description.
//!
//! The description never contains the URL, because that can contain user info or a token.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::resolve::ResolveError;
use crate::model::attempt::{ErrorClass, Outcome};
use crate::model::time::{Interval, millis};
use crate::rules::target::ForbiddenAddress;

/// Returns the failure of a request to a forbidden address.
pub(super) fn forbidden(error: &ForbiddenAddress) -> Outcome {
    failed(ErrorClass::ForbiddenAddress, error)
}

/// Returns the failure of a request without a complete response before the deadline.
///
/// `status` is the status of the response, if its head arrived in time.
pub(super) fn timed_out(deadline: Duration, status: Option<u16>) -> Outcome {
    let deadline = shown(deadline);
    let detail = match status {
        Some(status) => format!("answered {status}, but the body was not complete within {deadline}"),
        None => format!("no answer within {deadline}"),
    };
    Outcome::Failed { class: ErrorClass::Timeout, detail }
}

/// Classifies an error of the HTTP client. `connect_timeout` is the client's setting, for the description.
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
        // HTTP/2 keeps only the text of such an error, not its type.
        let is_alert = words.starts_with("received fatal alert: ");
        failed(if is_alert { ErrorClass::Tls } else { ErrorClass::Protocol }, &words)
    }
}

/// Returns whether no connection was possible because the process or the machine has too many open files.
///
/// This says nothing about the receiver.
pub(super) fn is_out_of_files(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
        let error = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        matches!(error, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
    })
}

/// Classifies one error in the chain of causes, if it determines a class.
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

/// Returns the description of an I/O error that is about the connection.
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

/// Returns the causes of an error, outermost first.
///
/// Includes errors that an I/O error wraps, which `source` would skip.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| wrapped_cause(*cause))
}

fn wrapped_cause<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

/// Returns the message of the innermost cause. The outermost messages come from the client and contain the
/// URL.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

fn failed(class: ErrorClass, detail: &(impl ToString + ?Sized)) -> Outcome {
    Outcome::Failed { class, detail: detail.to_string() }
}

fn shown(duration: Duration) -> Interval {
    Interval::from_millis(millis(duration))
}
