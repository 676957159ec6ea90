//! The pool of HTTP clients. Receivers share a client, and its idle connections, only if their TLS settings
//! are equal.
//!
//! A receiver with its own TLS settings gets its own client at its first use. So a connection that was
//! trusted for one subscription is never used for another. The number of these clients is bounded: the least
//! recently used one is evicted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::resolve::CheckedResolver;
use crate::model::proxy::Proxy;
use crate::model::tls::{Certificates, ClientIdentity, Tls, TlsId};

/// The time for which an idle connection is kept for the next request to the same receiver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most idle connections per host. This covers all concurrent requests, unless very many subscriptions
/// share a host.
///
/// A new connection costs more than the rest of a delivery.
pub(super) const IDLE_PER_HOST_MAX: usize = 256;
/// The interval and the timeout of pings to a receiver with a running HTTP/2 request.
///
/// Without pings, a dead connection would fail one request after another.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The most TLS settings that have clients at the same time.
const TLS_CLIENTS_MAX: usize = 256;

/// Identifies a client with its own TLS settings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PoolKey {
    tls: TlsId,
    is_proxied: bool,
}

/// HTTP clients by TLS settings, directly and through the proxy.
pub(super) struct ClientPool {
    resolver: CheckedResolver,
    connect_timeout: Duration,
    proxy: Option<Proxy>,
    direct: reqwest::Client,
    proxied: Option<reqwest::Client>,
    tls_clients: Mutex<TlsClients>,
    /// Held while a client is built, so that concurrent requests do not build the same client twice.
    build_lock: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct TlsClients {
    clients: BTreeMap<PoolKey, (reqwest::Client, u64)>,
    uses: u64,
}

impl ClientPool {
    /// Creates the pool with the clients for receivers without their own TLS settings.
    ///
    /// These clients trust the certificate authorities of the system.
    pub(super) fn new(
        resolver: CheckedResolver,
        connect_timeout: Duration,
        proxy: Option<Proxy>,
    ) -> Result<Self, reqwest::Error> {
        let make = |proxy: Option<&Proxy>| {
            let builder = || settings(&resolver, connect_timeout, proxy);
            builder()?.build().or_else(|error| {
                tracing::warn!(%error, "no certificate authorities found, so requests to https receivers will fail: install ca-certificates or set SSL_CERT_FILE");
                builder()?.tls_certs_only([]).build()
            })
        };
        let direct = make(None)?;
        let proxied = proxy.as_ref().map(|proxy| make(Some(proxy))).transpose()?;
        Ok(Self {
            resolver,
            connect_timeout,
            proxy,
            direct,
            proxied,
            tls_clients: Mutex::default(),
            build_lock: tokio::sync::Mutex::default(),
        })
    }

    /// Returns whether the receiver is called through the proxy.
    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.serves(url))
    }

    /// Returns the client for a receiver. Builds it if necessary.
    pub(super) async fn client_for(&self, url: &Url, tls: &Tls) -> Result<reqwest::Client, reqwest::Error> {
        let is_proxied = self.is_proxied(url);
        match (tls.id(), &self.proxied) {
            (None, Some(proxied)) if is_proxied => Ok(proxied.clone()),
            (None, _) => Ok(self.direct.clone()),
            (Some(id), _) => {
                let key = PoolKey { tls: id, is_proxied };
                match self.find(key) {
                    Some(client) => Ok(client),
                    None => self.make(key, tls).await,
                }
            }
        }
    }

    fn find(&self, key: PoolKey) -> Option<reqwest::Client> {
        let mut own = self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner);
        own.uses += 1;
        let now = own.uses;
        own.clients.get_mut(&key).map(|(client, used)| {
            *used = now;
            client.clone()
        })
    }

    /// Builds the client on a thread that may block, because this can read the certificate authorities of the
    /// system.
    async fn make(&self, key: PoolKey, tls: &Tls) -> Result<reqwest::Client, reqwest::Error> {
        let _making = self.build_lock.lock().await;
        if let Some(client) = self.find(key) {
            return Ok(client);
        }
        let proxy = self.proxy.as_ref().filter(|_| key.is_proxied);
        let builder = settings(&self.resolver, self.connect_timeout, proxy)?;
        let tls = tls.clone();
        let made = tokio::task::spawn_blocking(move || with_tls(builder, &tls)?.build()).await;
        let client = made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let mut own = self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner);
        own.uses += 1;
        let now = own.uses;
        own.clients.insert(key, (client.clone(), now));
        if own.clients.len() > TLS_CLIENTS_MAX {
            let oldest = own.clients.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            oldest.and_then(|key| own.clients.remove(&key));
        }
        Ok(client)
    }

    /// Drops the clients with these TLS settings. Their connections close once they are idle.
    pub(super) fn forget(&self, tls: &Tls) {
        let Some(id) = tls.id() else { return };
        let mut own = self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner);
        own.clients.retain(|key, _| key.tls != id);
    }

    /// Returns the number of clients with their own TLS settings.
    #[cfg(test)]
    pub(super) fn tls_client_count(&self) -> usize {
        self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner).clients.len()
    }
}

/// Returns a builder for clients that do nothing on their own, such as following redirects.
///
/// One automatism stays on: a request that an HTTP/2 receiver refused without processing it is sent again.
/// Receivers refuse requests like this when they renew a connection.
fn settings(
    resolver: &CheckedResolver,
    connect_timeout: Duration,
    proxy: Option<&Proxy>,
) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    Ok(match proxy {
        None => builder.dns_resolver(resolver.clone()),
        // The client resolves only the name of the proxy, which the config file chose.
        Some(proxy) => {
            builder.dns_resolver(resolver.unrestricted()).proxy(reqwest::Proxy::all(proxy.url().clone())?)
        }
    })
}

fn with_tls(builder: reqwest::ClientBuilder, tls: &Tls) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let builder = match tls.authorities() {
        None => builder,
        Some(authorities) => builder.tls_certs_only(certificates(authorities)?),
    };
    Ok(match tls.client() {
        None => builder,
        Some(client) => builder.identity(identity(client)?),
    })
}

fn certificates(authorities: &Certificates) -> Result<Vec<reqwest::Certificate>, reqwest::Error> {
    authorities.list().iter().map(|der| reqwest::Certificate::from_der(der)).collect()
}

fn identity(client: &ClientIdentity) -> Result<reqwest::Identity, reqwest::Error> {
    let pem = [client.chain().pem(), client.key().reveal()].join("\n");
    reqwest::Identity::from_pem(pem.as_bytes())
}
