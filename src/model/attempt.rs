//! Attempts: the HTTP requests that are made for a delivery, and their outcomes.

use std::fmt;
use std::time::Duration;

use super::time::Timestamp;

/// The most bytes of a response body that an attempt keeps.
pub const EXCERPT_BYTES_MAX: usize = 1024;

/// The class of a failure without a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The receiver's host name did not resolve.
    Dns,
    /// The daemon may not call the address (see `delivery.allow_networks`).
    ForbiddenAddress,
    /// The connection was refused, unreachable or reset.
    Connect,
    /// The TLS handshake failed, or the certificate was not accepted.
    Tls,
    /// No complete response arrived before the deadline.
    Timeout,
    /// The receiver sent something other than a complete HTTP response.
    Protocol,
    /// The daemon has a bug. The log has the details.
    Internal,
}

impl ErrorClass {
    /// The classes, in the order of their definition.
    pub const ALL: [Self; 7] = [
        Self::Dns,
        Self::ForbiddenAddress,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::Internal,
    ];

    /// Returns the class as the API, logs and metrics spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Internal => "internal",
        }
    }
}

/// The outcome of a request. Failures of receivers are data, not errors of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with a 2xx status, and its body was read to the end or to the limit.
    Success {
        /// The HTTP status.
        status: u16,
    },
    /// The receiver answered with any other status.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The wait that `Retry-After` requested, for 429 and 503.
        retry_after: Option<Duration>,
    },
    /// The request failed without a complete response.
    Failed {
        /// The class of the failure.
        class: ErrorClass,
        /// A short description of what happened.
        detail: String,
    },
}

impl Outcome {
    /// Returns whether the receiver accepted the delivery.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }

    /// Returns whether the receiver answered 410 Gone, which means permanently.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Rejected { status: 410, .. })
    }

    /// Returns the HTTP status, if there was a response.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Success { status } | Self::Rejected { status, .. } => Some(*status),
            Self::Failed { .. } => None,
        }
    }
}

/// Formats as `204`, `503`, or `timeout: no answer within 7s`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { status } | Self::Rejected { status, .. } => write!(f, "{status}"),
            Self::Failed { class, detail } => write!(f, "{}: {detail}", class.as_str()),
        }
    }
}

/// A request that was made for a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt in its delivery, starting at 1.
    pub number: u32,
    /// When the request began.
    pub started_at: Timestamp,
    /// The duration of the whole exchange.
    pub duration: Duration,
    /// The outcome of the request.
    pub outcome: Outcome,
    /// The beginning of the response body, at most [`EXCERPT_BYTES_MAX`] bytes.
    pub excerpt: Vec<u8>,
}

impl Attempt {
    /// Returns when the request ended.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.after(self.duration)
    }
}
