//! Attempts: one HTTP request made for a delivery, and what came of it.

use std::fmt;
use std::time::Duration;

use super::time::Timestamp;

/// How much of an answer's body an attempt keeps.
pub const EXCERPT_BYTES_MAX: usize = 1024;

/// Why a request got no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The receiver's name has no address.
    Dns,
    /// The address may not be called (see `delivery.allow_networks`).
    ForbiddenAddress,
    /// No connection: refused, unreachable or reset.
    Connect,
    /// The TLS handshake or certificate failed.
    Tls,
    /// No complete answer within the deadline.
    Timeout,
    /// What came back is not a complete HTTP answer.
    Protocol,
    /// A bug on our side; the log has it.
    Internal,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Dns,
        Self::ForbiddenAddress,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::Internal,
    ];

    /// The word that API, logs and metrics use.
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

/// What came of a request. Failures of receivers are data, not errors of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Any 2xx, its body read to the end or to its cap.
    Success {
        /// The HTTP status.
        status: u16,
    },
    /// Any other status.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asked for, on 429 and 503.
        retry_after: Option<Duration>,
    },
    /// No complete answer.
    Failed {
        /// The kind of failure.
        class: ErrorClass,
        /// What happened, in a few words.
        detail: String,
    },
}

impl Outcome {
    /// Whether the receiver took the delivery.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }

    /// Whether the receiver said that it is gone for good (410).
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Rejected { status: 410, .. })
    }

    /// The HTTP status, if there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Success { status } | Self::Rejected { status, .. } => Some(*status),
            Self::Failed { .. } => None,
        }
    }
}

/// `204`, `503`, or `timeout: no answer within 7s`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { status } | Self::Rejected { status, .. } => write!(f, "{status}"),
            Self::Failed { class, detail } => write!(f, "{}: {detail}", class.as_str()),
        }
    }
}

/// One request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When the request began.
    pub started_at: Timestamp,
    /// How long the whole exchange took.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// The beginning of the answer's body, at most [`EXCERPT_BYTES_MAX`] bytes.
    pub excerpt: Vec<u8>,
}

impl Attempt {
    /// When it was over.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.after(self.duration)
    }
}
