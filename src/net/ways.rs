//! The ways to receivers: an HTTP client with its idle connections for each that may not share them.
//!
//! Receivers with TLS settings of their own have clients of their own, made when they are first used, so that a
//! connection that was trusted for one subscription is never used for another. They are bounded: the one that
//! was used longest ago makes room.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::resolve::Vetted;
use crate::model::proxy::Proxy;
use crate::model::tls::{Certificates, ClientIdentity, Tls, TlsId};

/// How long an unused connection is kept for the next request to the same receiver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many of them are kept for each host: as many as requests are out at once, unless very many subscriptions
/// share it. To connect anew costs more than all the rest of a delivery.
pub(super) const IDLE_PER_HOST_MAX: usize = 256;
/// How often a receiver that has an HTTP/2 request is asked whether it is still there, and how long it has to say
/// so. Without that one dead connection would take one request after another with it.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_WITHIN: Duration = Duration::from_secs(5);
/// How many TLS identities have clients at once.
const OWN_MAX: usize = 256;

/// A receiver's TLS settings, and whether it is called through the proxy.
type Way = (TlsId, bool);

/// See the module.
pub(super) struct Ways {
    vetted: Vetted,
    connect_timeout: Duration,
    proxy: Option<Proxy>,
    direct: reqwest::Client,
    proxied: Option<reqwest::Client>,
    own: Mutex<Own>,
    /// Held while a client is made, so that requests that need the same one do not make one each.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Own {
    clients: BTreeMap<Way, (reqwest::Client, u64)>,
    uses: u64,
}

impl Ways {
    /// The ways to receivers without TLS settings of their own, who have to be vouched for by the system's
    /// certificate authorities.
    pub(super) fn new(
        vetted: Vetted,
        connect_timeout: Duration,
        proxy: Option<Proxy>,
    ) -> Result<Self, reqwest::Error> {
        let make = |proxy: Option<&Proxy>| {
            let builder = || settings(&vetted, connect_timeout, proxy);
            builder()?.build().or_else(|error| {
                tracing::warn!(%error, "no certificate authorities: no https receiver will be trusted; install ca-certificates or set SSL_CERT_FILE");
                builder()?.tls_certs_only([]).build()
            })
        };
        let direct = make(None)?;
        let proxied = proxy.as_ref().map(|proxy| make(Some(proxy))).transpose()?;
        Ok(Self {
            vetted,
            connect_timeout,
            proxy,
            direct,
            proxied,
            own: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// Whether the receiver is called through the proxy.
    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.serves(url))
    }

    /// The client for a receiver.
    pub(super) async fn to(&self, url: &Url, tls: &Tls) -> Result<reqwest::Client, reqwest::Error> {
        let is_proxied = self.is_proxied(url);
        match (tls.id(), &self.proxied) {
            (None, Some(proxied)) if is_proxied => Ok(proxied.clone()),
            (None, _) => Ok(self.direct.clone()),
            (Some(id), _) => match self.find((id, is_proxied)) {
                Some(client) => Ok(client),
                None => self.make((id, is_proxied), tls).await,
            },
        }
    }

    fn find(&self, way: Way) -> Option<reqwest::Client> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.uses += 1;
        let now = own.uses;
        own.clients.get_mut(&way).map(|(client, used)| {
            *used = now;
            client.clone()
        })
    }

    /// Makes the client where blocking is no harm: it may read the system's certificate authorities.
    async fn make(&self, way: Way, tls: &Tls) -> Result<reqwest::Client, reqwest::Error> {
        let _making = self.making.lock().await;
        if let Some(client) = self.find(way) {
            return Ok(client);
        }
        let proxy = self.proxy.as_ref().filter(|_| way.1);
        let builder = settings(&self.vetted, self.connect_timeout, proxy)?;
        let tls = tls.clone();
        let made = tokio::task::spawn_blocking(move || with_tls(builder, &tls)?.build()).await;
        let client = made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.uses += 1;
        let now = own.uses;
        own.clients.insert(way, (client.clone(), now));
        if own.clients.len() > OWN_MAX {
            let oldest = own.clients.iter().min_by_key(|(_, (_, used))| *used).map(|(way, _)| *way);
            oldest.and_then(|way| own.clients.remove(&way));
        }
        Ok(client)
    }

    /// Lets go of what is kept for these settings: their connections end once they are idle.
    pub(super) fn forget(&self, tls: &Tls) {
        let Some(id) = tls.id() else { return };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.clients.retain(|(other, _), _| *other != id);
    }

    /// How many clients there are beside everybody's.
    #[cfg(test)]
    pub(super) fn own_count(&self) -> usize {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clients.len()
    }
}

/// Everything that a browser's client would do by itself is off. What stays on is sending a request again that
/// an HTTP/2 receiver refused unprocessed, as it does to each once it renews a connection.
fn settings(
    vetted: &Vetted,
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
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_WITHIN);
    Ok(match proxy {
        None => builder.dns_resolver(vetted.clone()),
        // The proxy's own name is all that is resolved here, and the config file chose it.
        Some(proxy) => {
            builder.dns_resolver(vetted.trusting()).proxy(reqwest::Proxy::all(proxy.url().clone())?)
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
