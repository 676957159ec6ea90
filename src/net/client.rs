//! One request, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use tokio::time::{sleep, timeout};
use url::{Host, Url};

use super::client_pool::ClientPool;
use super::failure;
use super::resolve::{CheckedResolver, ResolveError, Resolver};
use crate::model::attempt::{EXCERPT_BYTES_MAX, ErrorClass, Outcome};
use crate::model::proxy::Proxy;
use crate::model::time::Clock;
use crate::model::tls::Tls;
use crate::rules::retry::{honors_retry_after, parse_retry_after};
use crate::rules::target::{AllowedNetworks, ForbiddenAddress};

/// How long to wait before connecting again when no file may be opened: that is no failure of the receiver.
const OUT_OF_FILES_WAIT: Duration = Duration::from_millis(100);

/// How requests are made.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// How long a connection may take, name and TLS included.
    pub connect_timeout: Duration,
    /// How much of an answer's body is read; a longer one is cut off.
    pub response_bytes_max: usize,
    /// Which addresses may be called.
    pub networks: AllowedNetworks,
    /// The proxy that receivers are called through, if they are.
    pub proxy: Option<Proxy>,
    /// What a date in `Retry-After` is compared to.
    pub clock: Clock,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("set up the HTTP client: {0}")]
pub struct ClientError(#[source] reqwest::Error);

/// A POST to be made.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Where to.
    pub url: &'a Url,
    /// All headers but those that HTTP itself needs.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The deadline of the whole exchange, from the name to the last byte of the answer.
    pub timeout: Duration,
    /// Whom the receiver has to be vouched for by, and who the daemon says it is.
    pub tls: &'a Tls,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Success, or how it failed.
    pub outcome: Outcome,
    /// The beginning of the answer's body, at most [`EXCERPT_BYTES_MAX`] bytes.
    pub excerpt: Vec<u8>,
}

/// Makes requests to receivers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<ClientPool>,
    resolver: CheckedResolver,
    connect_timeout: Duration,
    response_bytes_max: usize,
    clock: Clock,
}

/// What is known of an answer while it comes in.
#[derive(Default)]
struct PartialResponse {
    status: Option<u16>,
    retry_after: Option<Duration>,
    excerpt: Vec<u8>,
}

impl Client {
    /// A client over `resolver`, unrestricted the system's certificate authorities.
    ///
    /// On a system without any it still calls `http` receivers; those of `https` fail with class `tls`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(options: ClientOptions, resolver: Arc<dyn Resolver>) -> Result<Self, ClientError> {
        super::crypto::install_provider();
        let ClientOptions { connect_timeout, response_bytes_max, networks, proxy, clock } = options;
        let resolver = CheckedResolver::new(resolver, networks);
        let pool = ClientPool::new(resolver.clone(), connect_timeout, proxy).map_err(ClientError)?;
        Ok(Self { pool: Arc::new(pool), resolver, connect_timeout, response_bytes_max, clock })
    }

    /// Makes the request and waits for its answer, its deadline, or a failure.
    ///
    /// The body is read to its end or to `response_bytes_max`, where the connection is dropped. A 2xx counts once
    /// that is done; any other status counts as soon as it is known. Redirects are answers like any other.
    ///
    /// Cancel safe in that dropping it drops the connection; the receiver may have taken the request.
    pub async fn post(&self, request: Request<'_>) -> Exchange {
        if let Err(error) = self.resolver.networks().check_url(request.url) {
            return Exchange { outcome: failure::forbidden(&error), excerpt: Vec::new() };
        }
        let deadline = request.timeout;
        let mut answer = PartialResponse::default();
        let failure = match timeout(deadline, self.exchange(request, &mut answer)).await {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(_) => Some(failure::timed_out(deadline, answer.status)),
        };
        answer.into_exchange(failure)
    }

    async fn exchange(&self, request: Request<'_>, answer: &mut PartialResponse) -> Result<(), Outcome> {
        let failed = |error| failure::classify(&error, self.connect_timeout);
        if self.pool.is_proxied(request.url) {
            // A direct connection vets the very address that it is made to; here the proxy makes it.
            self.check_target(request.url).await.map_err(|error| failure::forbidden(&error))?;
        }
        let http = self.pool.client_for(request.url, request.tls).await.map_err(failed)?;
        let post =
            || http.post(request.url.clone()).headers(request.headers.clone()).body(request.body.clone());
        let mut sent = post().send().await;
        while sent.as_ref().is_err_and(failure::is_out_of_files) {
            sleep(OUT_OF_FILES_WAIT).await;
            sent = post().send().await;
        }
        let mut response = sent.map_err(failed)?;
        let status = response.status().as_u16();
        answer.status = Some(status);
        if honors_retry_after(status) {
            let text = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            answer.retry_after = text.and_then(|text| parse_retry_after(text, self.clock.now()));
        }
        let mut read = 0;
        while read < self.response_bytes_max
            && let Some(chunk) = response.chunk().await.map_err(failed)?
        {
            read += chunk.len();
            let wanted = chunk.len().min(EXCERPT_BYTES_MAX - answer.excerpt.len());
            answer.excerpt.extend_from_slice(&chunk.slice(..wanted));
        }
        Ok(())
    }

    /// The HTTP clients beneath.
    #[cfg(test)]
    pub(super) fn pool(&self) -> &ClientPool {
        &self.pool
    }

    /// Lets go of the connections that were made with these TLS settings, which a subscription no longer has.
    /// Another that has the same connects anew.
    pub fn forget(&self, tls: &Tls) {
        self.pool.forget(tls);
    }

    /// Whether the URL may be called as things stand: its address, or one of those that its name has now.
    ///
    /// A name that does not resolve in time passes, since it may later; each attempt vets again.
    pub async fn check_target(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        self.resolver.networks().check_url(url)?;
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        match timeout(self.connect_timeout, self.resolver.addresses(name)).await {
            Ok(Err(ResolveError::Forbidden(error))) => Err(error),
            _ => Ok(()),
        }
    }
}

impl PartialResponse {
    /// The end of it: with a 2xx, `failure` (of the rest of the answer) decides; any other status speaks for
    /// itself.
    fn into_exchange(self, failure: Option<Outcome>) -> Exchange {
        let outcome = match (self.status, failure) {
            (Some(status @ 200..300), None) => Outcome::Success { status },
            (None | Some(200..300), Some(failure)) => failure,
            (Some(status), _) => Outcome::Rejected { status, retry_after: self.retry_after },
            (None, None) => {
                Outcome::Failed { class: ErrorClass::Internal, detail: "no answer and no failure".to_owned() }
            }
        };
        Exchange { outcome, excerpt: self.excerpt }
    }
}

/// Without its connections.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("networks", self.resolver.networks()).finish_non_exhaustive()
    }
}
