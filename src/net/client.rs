//! The HTTP client: makes a request to a receiver and reports its outcome.

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

/// The wait before a new connection attempt after the process ran out of file descriptors.
///
/// Running out of file descriptors is not a failure of the receiver.
const OUT_OF_FILES_WAIT: Duration = Duration::from_millis(100);

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The time limit for establishing a connection, including name resolution and TLS.
    pub connect_timeout: Duration,
    /// The most bytes of a response body that are read. The rest is discarded.
    pub response_bytes_max: usize,
    /// The addresses that may be called.
    pub networks: AllowedNetworks,
    /// The proxy for requests, if there is one.
    pub proxy: Option<Proxy>,
    /// The clock that dates in `Retry-After` are compared with.
    pub clock: Clock,
}

/// The HTTP client cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct ClientError(#[source] reqwest::Error);

/// A POST request to a receiver.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The receiver's URL.
    pub url: &'a Url,
    /// All headers, except those that HTTP itself needs.
    pub headers: HeaderMap,
    /// The request body.
    pub body: Bytes,
    /// The time limit of the whole exchange, from name resolution to the last byte of the response.
    pub timeout: Duration,
    /// The trusted authorities and the client certificate for this receiver.
    pub tls: &'a Tls,
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The outcome: success, or the kind of failure.
    pub outcome: Outcome,
    /// The beginning of the response body, at most [`EXCERPT_BYTES_MAX`] bytes.
    pub excerpt: Vec<u8>,
}

/// Makes requests to receivers. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<ClientPool>,
    resolver: CheckedResolver,
    connect_timeout: Duration,
    response_bytes_max: usize,
    clock: Clock,
}

/// The part of a response that has arrived so far.
#[derive(Default)]
struct PartialResponse {
    status: Option<u16>,
    retry_after: Option<Duration>,
    excerpt: Vec<u8>,
}

impl Client {
    /// Creates a client that resolves names with `resolver` and trusts the certificate authorities of the
    /// system.
    ///
    /// If the system has no certificate authorities, the client still calls `http` receivers. Requests to
    /// `https` receivers then fail with class `tls`.
    ///
    /// # Errors
    /// Returns an error if TLS or the proxy cannot be set up.
    pub fn new(options: ClientOptions, resolver: Arc<dyn Resolver>) -> Result<Self, ClientError> {
        super::crypto::install_provider();
        let ClientOptions { connect_timeout, response_bytes_max, networks, proxy, clock } = options;
        let resolver = CheckedResolver::new(resolver, networks);
        let pool = ClientPool::new(resolver.clone(), connect_timeout, proxy).map_err(ClientError)?;
        Ok(Self { pool: Arc::new(pool), resolver, connect_timeout, response_bytes_max, clock })
    }

    /// Makes the request and waits for the response, the deadline or a failure.
    ///
    /// The body is read to its end, or to `response_bytes_max`, where the connection is dropped. A 2xx status
    /// counts as success once the body is read. Any other status counts as soon as it is known, and so do
    /// redirects.
    ///
    /// Dropping the future drops the connection. The receiver may have received the request.
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
            // A direct connection checks the address that it connects to. The proxy makes this connection
            // itself.
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

    /// Returns the pool of HTTP clients.
    #[cfg(test)]
    pub(super) fn pool(&self) -> &ClientPool {
        &self.pool
    }

    /// Drops the clients with these TLS settings, because a subscription no longer uses them. Their idle
    /// connections close.
    ///
    /// Another subscription with the same settings connects again.
    pub fn forget(&self, tls: &Tls) {
        self.pool.forget(tls);
    }

    /// Checks that the URL may be called now: its address, or at least one of the addresses of its name.
    ///
    /// A name that does not resolve in time passes, because it may resolve later. Each attempt checks again.
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
    /// Returns the result of the request.
    ///
    /// A 2xx status is a success unless reading the rest of the response gave a `failure`. Any other status
    /// decides alone.
    fn into_exchange(self, failure: Option<Outcome>) -> Exchange {
        let outcome = match (self.status, failure) {
            (Some(status @ 200..300), None) => Outcome::Success { status },
            (None | Some(200..300), Some(failure)) => failure,
            (Some(status), _) => Outcome::Rejected { status, retry_after: self.retry_after },
            (None, None) => Outcome::Failed {
                class: ErrorClass::Internal,
                detail: "neither a response nor a failure".to_owned(),
            },
        };
        Exchange { outcome, excerpt: self.excerpt }
    }
}

/// Omits the connections.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("networks", self.resolver.networks()).finish_non_exhaustive()
    }
}
