//! Name resolution that returns only addresses that may be called.
//!
//! Each new connection resolves and checks the name again, and connects to exactly the addresses that were
//! checked. So a name whose addresses change after a check (DNS rebinding) does not bypass the check.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::rules::target::{AllowedNetworks, ForbiddenAddress};

/// A future that resolves to the addresses of a name.
pub type Resolution = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// A source of addresses for names.
pub trait Resolver: Send + Sync + 'static {
    /// Returns all addresses of `name`, in the order in which to try them.
    fn resolve(&self, name: &str) -> Resolution;
}

/// The most concurrent lookups by the system's resolver.
///
/// Each lookup occupies a thread for as long as the system takes, which can be far longer than any timeout.
/// Without this bound, names that nobody answers for would occupy all threads, including those that the store
/// needs.
const LOOKUPS_MAX: usize = 128;

/// The system's resolver, with its hosts file and search list.
///
/// Concurrent lookups of the same name share one result. So a name that hangs occupies one thread, even if
/// many deliveries wait for it.
#[derive(Clone, Debug)]
pub struct SystemResolver(Arc<Lookups>);

#[derive(Debug)]
struct Lookups {
    running: Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>,
    permits: Arc<Semaphore>,
}

/// The addresses of a name, or the resolver's error message.
type Answer = Result<Vec<IpAddr>, String>;

impl Default for SystemResolver {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Self(Arc::new(Lookups { running: Mutex::default(), permits }))
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> Resolution {
        Box::pin(look_up(Arc::clone(&self.0), name.to_owned(), system_addresses))
    }
}

fn system_addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Joins the running lookup of `name`, or starts one with `ask`, which may block.
async fn look_up(
    lookups: Arc<Lookups>,
    name: String,
    ask: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
) -> io::Result<Vec<IpAddr>> {
    let running = lookups.running().get(&name).cloned();
    let mut answer = if let Some(answer) = running {
        answer
    } else {
        let permit = Arc::clone(&lookups.permits).acquire_owned().await.map_err(io::Error::other)?;
        lookups.begin(name, permit, ask)
    };
    let answer = answer.wait_for(Option::is_some).await.map_err(io::Error::other)?.clone();
    answer.unwrap_or_else(|| Err("no answer".to_owned())).map_err(io::Error::other)
}

impl Lookups {
    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Answer>>>> {
        // A panic while the lock was held leaves the map valid.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(
        self: Arc<Self>,
        name: String,
        permit: OwnedSemaphorePermit,
        ask: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> watch::Receiver<Option<Answer>> {
        let lookups = Arc::clone(&self);
        let mut running = self.running();
        if let Some(answer) = running.get(&name) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        running.insert(name.clone(), answer.clone());
        tokio::task::spawn_blocking(move || {
            let found = ask(&name).map_err(|error| error.to_string());
            lookups.running().remove(&name);
            sender.send_replace(Some(found));
            drop(permit);
        });
        answer
    }
}

/// A reason why a name has no address that may be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// The name has no address, or the resolver failed.
    #[error("the name does not resolve: {0}")]
    Unresolved(#[source] io::Error),
    /// All addresses of the name are forbidden. This is the first of them.
    #[error(transparent)]
    Forbidden(ForbiddenAddress),
}

/// A resolver that returns only addresses that may be called.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    resolver: Arc<dyn Resolver>,
    networks: AllowedNetworks,
}

impl CheckedResolver {
    pub(super) fn new(resolver: Arc<dyn Resolver>, networks: AllowedNetworks) -> Self {
        Self { resolver, networks }
    }

    /// Returns a resolver that allows all addresses, for names that the config file chose.
    pub(super) fn unrestricted(&self) -> Self {
        let everywhere = vec![
            Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0).into(),
            Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into(),
        ];
        Self { networks: AllowedNetworks::new(everywhere), ..self.clone() }
    }

    pub(super) const fn networks(&self) -> &AllowedNetworks {
        &self.networks
    }

    /// Returns the addresses of `name` that may be called. There is at least one.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let all = self.resolver.resolve(name).await.map_err(ResolveError::Unresolved)?;
        let mut forbidden = None;
        let mut allowed = Vec::with_capacity(all.len());
        for address in all {
            match self.networks.check(address) {
                Ok(()) => allowed.push(address),
                Err(error) => forbidden = forbidden.or(Some(error)),
            }
        }
        match (allowed.is_empty(), forbidden) {
            (false, _) => Ok(allowed),
            (true, Some(error)) => Err(ResolveError::Forbidden(error)),
            (true, None) => Err(ResolveError::Unresolved(io::Error::other("no address"))),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let vetted = self.clone();
        Box::pin(async move {
            let addresses = vetted.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn hanging_lookups_are_shared_and_bounded() {
        let resolver = SystemResolver::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut gates = Vec::new();
        let mut ask = |name: &str| {
            let (gate, opened) = mpsc::sync_channel::<()>(1);
            gates.push(gate);
            let asked = Arc::clone(&asked);
            let look_up = look_up(Arc::clone(&resolver.0), name.to_owned(), move |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                // The gate opens when it is dropped.
                let _ = opened.recv();
                Ok(vec![ADDRESS])
            });
            Box::pin(look_up)
        };
        let mut waiting: Vec<_> = (0..LOOKUPS_MAX).map(|n| ask(&n.to_string())).collect();
        waiting.extend([ask("0"), ask("1"), ask("another")]);
        for look_up in &mut waiting {
            assert!(futures_util::poll!(look_up).is_pending());
        }
        assert_eq!(resolver.0.running().len(), LOOKUPS_MAX);
        // The lookup still occupies its thread, although nothing waits for it any more.
        drop(waiting.remove(5));
        assert_eq!(resolver.0.permits.available_permits(), 0);
        drop(gates);
        for look_up in waiting {
            assert_eq!(look_up.await.unwrap(), [ADDRESS]);
        }
        assert_eq!(asked.load(Ordering::SeqCst), LOOKUPS_MAX + 1);
        assert!(resolver.0.running().is_empty());
    }

    #[tokio::test]
    async fn system_resolver_resolves_localhost() {
        let resolver = SystemResolver::default();
        assert!(resolver.resolve("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(resolver.resolve("no such name").await.is_err());
    }
}
