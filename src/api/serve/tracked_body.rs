//! Bodies that record in the [`ConnectionState`] whether the daemon waits for the peer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

use super::connection_limit::{ActiveRequest, ConnectionState};

/// A request's body that makes its connection idle while the daemon waits for more of it.
///
/// The idle time counts from the request's head, so that a peer that sends its body byte by byte does not appear busy.
#[derive(Debug)]
pub(super) struct TrackedRequestBody {
    body: Incoming,
    connection: Arc<ConnectionState>,
    is_pending: bool,
}

impl TrackedRequestBody {
    /// Wraps the body of a request of `connection`.
    pub(super) fn new(body: Incoming, connection: Arc<ConnectionState>) -> Self {
        Self { body, connection, is_pending: false }
    }

    fn set_pending(&mut self, is_pending: bool) {
        if self.is_pending == is_pending {
            return;
        }
        self.is_pending = is_pending;
        if is_pending {
            self.connection.pause_request();
        } else {
            self.connection.resume_request();
        }
    }
}

impl HttpBody for TrackedRequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.set_pending(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedRequestBody {
    fn drop(&mut self) {
        self.set_pending(false);
    }
}

/// A response's body that keeps its request active until the body has been sent.
#[derive(Debug)]
pub(super) struct TrackedResponseBody {
    body: Body,
    _request: ActiveRequest,
}

impl TrackedResponseBody {
    /// Wraps the body of the response to `request`.
    pub(super) fn new(body: Body, request: ActiveRequest) -> Self {
        Self { body, _request: request }
    }
}

impl HttpBody for TrackedResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
