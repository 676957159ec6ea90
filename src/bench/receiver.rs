//! The receivers of a load run, all served by one thread.
//!
//! The first part of a request's path names the behaviour of the receiver, the second is its number.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scoreboard::Scoreboard;

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiverBehaviour {
    /// Accepts the request immediately.
    Take,
    /// Never answers.
    Hang,
    /// Starts a response that never ends.
    Drip,
    /// Answers 503.
    Fail,
}

impl ReceiverBehaviour {
    const ALL: [(&'static str, Self); 4] =
        [("take", Self::Take), ("hang", Self::Hang), ("drip", Self::Drip), ("fail", Self::Fail)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, behaviour)| *behaviour == self).map_or("take", |(word, _)| word)
    }

    /// Returns the behaviour and the number that a path names.
    fn of(path: &str) -> Option<(Self, u32)> {
        let (word, number) = path.strip_prefix('/')?.split_once('/')?;
        let (_, behaviour) = Self::ALL.iter().find(|(name, _)| *name == word)?;
        Some((*behaviour, number.parse().ok()?))
    }
}

/// The running receivers. Dropping them stops them.
#[derive(Debug)]
pub(super) struct Receivers {
    address: SocketAddr,
    stop: CancellationToken,
    failed: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Receivers {
    /// Starts the receivers on a free port. Accepted requests are recorded on `board`.
    pub(super) async fn start(board: Arc<Scoreboard>) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("failed to listen on 127.0.0.1 for the receivers")?;
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let (stop, failed) = (CancellationToken::new(), Arc::new(Notify::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = serve(listener, Serving { board, failed: Arc::clone(&failed) });
        let stopping = stop.clone();
        let thread = std::thread::Builder::new().name("receivers".to_owned());
        let thread = thread.spawn(move || {
            if let Some(Err(error)) = runtime.block_on(stopping.run_until_cancelled_owned(serving)) {
                tracing::error!(%error, "the receivers stopped with an error");
            }
        })?;
        Ok(Self { address, stop, failed, thread: Some(thread) })
    }

    /// Returns the URL of the receiver with this behaviour and number.
    pub(super) fn url(&self, behaviour: ReceiverBehaviour, number: usize) -> String {
        format!("http://{}/{}/{number}", self.address, behaviour.word())
    }

    /// Waits for the next request to a failing receiver.
    pub(super) async fn next_failed(&self) {
        self.failed.notified().await;
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.stop.cancel();
        // A panic of the thread has already been printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[derive(Clone, Debug)]
struct Serving {
    board: Arc<Scoreboard>,
    failed: Arc<Notify>,
}

async fn serve(listener: std::net::TcpListener, serving: Serving) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(converse(stream, serving.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, serving: Serving) {
    let service = service_fn(|request| receive(request, &serving));
    // A broken connection needs no handling here: the scoreboard shows what was not delivered.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(
    request: Request<Incoming>,
    serving: &Serving,
) -> Result<Response<AnswerBody>, hyper::Error> {
    let Some((behaviour, number)) = ReceiverBehaviour::of(request.uri().path()) else {
        return Ok(answer(StatusCode::NOT_FOUND, AnswerBody::Empty));
    };
    let body = request.into_body().collect().await?.to_bytes();
    match behaviour {
        ReceiverBehaviour::Take => {
            serving.board.record_arrival(number, &body);
            Ok(answer(StatusCode::OK, AnswerBody::Empty))
        }
        ReceiverBehaviour::Hang => std::future::pending().await,
        ReceiverBehaviour::Drip => Ok(answer(StatusCode::OK, AnswerBody::Dripping { has_begun: false })),
        ReceiverBehaviour::Fail => {
            serving.failed.notify_waiters();
            Ok(answer(StatusCode::SERVICE_UNAVAILABLE, AnswerBody::Empty))
        }
    }
}

fn answer(status: StatusCode, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// An empty body, or a body of one byte that never ends.
enum AnswerBody {
    Empty,
    Dripping { has_begun: bool },
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Dripping { has_begun: true } => Poll::Pending,
            Self::Dripping { has_begun } => {
                *has_begun = true;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Dripping { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_done_with_a_request() {
        for (word, behaviour) in ReceiverBehaviour::ALL {
            assert_eq!(
                ReceiverBehaviour::of(&format!("/{}/7", behaviour.word())),
                Some((behaviour, 7)),
                "{word}"
            );
        }
        for path in ["/", "/take", "/take/x", "/other/1"] {
            assert_eq!(ReceiverBehaviour::of(path), None, "{path}");
        }
    }
}
