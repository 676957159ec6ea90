//! The receivers of a load run: one thread of their own serves them all.
//!
//! What a receiver does with a request is the first part of its path; the second is its number.

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

use super::board::Board;

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Takes it at once.
    Take,
    /// Never answers.
    Hang,
    /// Begins an answer that never ends.
    Drip,
    /// Answers 503.
    Fail,
}

impl Manner {
    const ALL: [(&'static str, Self); 4] =
        [("take", Self::Take), ("hang", Self::Hang), ("drip", Self::Drip), ("fail", Self::Fail)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, manner)| *manner == self).map_or("take", |(word, _)| word)
    }

    /// What a path asks for.
    fn of(path: &str) -> Option<(Self, u32)> {
        let (word, number) = path.strip_prefix('/')?.split_once('/')?;
        let (_, manner) = Self::ALL.iter().find(|(name, _)| *name == word)?;
        Some((*manner, number.parse().ok()?))
    }
}

/// Receivers, which serve until they are dropped.
#[derive(Debug)]
pub(super) struct Receivers {
    address: SocketAddr,
    stop: CancellationToken,
    failed: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Receivers {
    /// Starts them on a port that the system chooses; what they take is noted on `board`.
    pub(super) async fn start(board: Arc<Board>) -> anyhow::Result<Self> {
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
                tracing::error!(%error, "the receivers ended");
            }
        })?;
        Ok(Self { address, stop, failed, thread: Some(thread) })
    }

    /// Where the receiver of that manner and number is.
    pub(super) fn url(&self, manner: Manner, number: usize) -> String {
        format!("http://{}/{}/{number}", self.address, manner.word())
    }

    /// Returns at the next request to a receiver that fails.
    pub(super) async fn next_failed(&self) {
        self.failed.notified().await;
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.stop.cancel();
        // A panic there was printed when it happened.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[derive(Clone, Debug)]
struct Serving {
    board: Arc<Board>,
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
    // That a sender breaks off is its own business; what it did not deliver is missing on the board.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(
    request: Request<Incoming>,
    serving: &Serving,
) -> Result<Response<AnswerBody>, hyper::Error> {
    let Some((manner, number)) = Manner::of(request.uri().path()) else {
        return Ok(answer(StatusCode::NOT_FOUND, AnswerBody::Empty));
    };
    let body = request.into_body().collect().await?.to_bytes();
    match manner {
        Manner::Take => {
            serving.board.note_arrived(number, &body);
            Ok(answer(StatusCode::OK, AnswerBody::Empty))
        }
        Manner::Hang => std::future::pending().await,
        Manner::Drip => Ok(answer(StatusCode::OK, AnswerBody::Dripping { has_begun: false })),
        Manner::Fail => {
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

/// Nothing, or one byte and then nothing for ever.
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
        for (word, manner) in Manner::ALL {
            assert_eq!(Manner::of(&format!("/{}/7", manner.word())), Some((manner, 7)), "{word}");
        }
        for path in ["/", "/take", "/take/x", "/other/1"] {
            assert_eq!(Manner::of(path), None, "{path}");
        }
    }
}
