//! The pool to receivers: an HTTP client with its idle connections for each that may not share them.
//!
//! Receivers with TLS settings of their own have clients of their own, made when they are first used, so that a
//! connection that was trusted for one subscription is never used for another. They are bounded: the one that
//! was used longest ago makes room.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::resolve::CheckedResolver;
use crate::model::proxy::Proxy;
use crate::model::tls::{Certificates, ClientIdentity, Tls, TlsId};

/// How long an unused connection is kept for the next request to the same receiver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many of them are kept for each host: as many as requests are out at once, unless very many subscriptions
/// share it. To connect anew costs more than all the rest of a delivery.
pub(super) const IDLE_PER_HOST_MAX: usize = 256;
/// How often a receiver that has an HTTP/2 request is asked whether it is still there, and how long it has to say
/// so. Without that one dead connection would take one request after another with it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How many TLS identities have clients at once.
const TLS_CLIENTS_MAX: usize = 256;

/// A receiver's TLS settings, and whether it is called through the proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PoolKey {
    tls: TlsId,
    is_proxied: bool,
}

/// See the module.
pub(super) struct ClientPool {
    resolver: CheckedResolver,
    connect_timeout: Duration,
    proxy: Option<Proxy>,
    direct: reqwest::Client,
    proxied: Option<reqwest::Client>,
    tls_clients: Mutex<TlsClients>,
    /// Held while a client is made, so that requests that need the same one do not make one each.
    build_lock: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct TlsClients {
    clients: BTreeMap<PoolKey, (reqwest::Client, u64)>,
    uses: u64,
}

impl ClientPool {
    /// The pool to receivers without TLS settings of their own, who have to be vouched for by the system's
    /// certificate authorities.
    pub(super) fn new(
        resolver: CheckedResolver,
        connect_timeout: Duration,
        proxy: Option<Proxy>,
    ) -> Result<Self, reqwest::Error> {
        let make = |proxy: Option<&Proxy>| {
            let builder = || settings(&resolver, connect_timeout, proxy);
            builder()?.build().or_else(|error| {
                tracing::warn!(%error, "no certificate authorities: no https receiver will be trusted; install ca-certificates or set SSL_CERT_FILE");
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

    /// Whether the receiver is called through the proxy.
    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.serves(url))
    }

    /// The client for a receiver.
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

    /// Makes the client where blocking is no harm: it may read the system's certificate authorities.
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

    /// Lets go of what is kept for these settings: their connections end once they are idle.
    pub(super) fn forget(&self, tls: &Tls) {
        let Some(id) = tls.id() else { return };
        let mut own = self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner);
        own.clients.retain(|key, _| key.tls != id);
    }

    /// How many clients there are beside everybody's.
    #[cfg(test)]
    pub(super) fn tls_client_count(&self) -> usize {
        self.tls_clients.lock().unwrap_or_else(PoisonError::into_inner).clients.len()
    }
}

/// Everything that a browser's client would do by itself is off. What stays on is sending a request again that
/// an HTTP/2 receiver refused unprocessed, as it does to each once it renews a connection.
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
        // The proxy's own name is all that is resolved here, and the config file chose it.
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
