//! From names to addresses that may be called.
//!
//! Resolving and vetting are one step, made anew for each connection, and the connection goes to the very
//! addresses that were vetted: an answer that changes after a check (DNS rebinding) is checked again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::rules::target::{AllowedNetworks, ForbiddenAddress};

/// The addresses of a name, some time later.
pub type Resolution = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where addresses of names come from.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`, in the order in which they are to be tried.
    fn resolve(&self, name: &str) -> Resolution;
}

/// The system's resolver, with its hosts file and search list.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> Resolution {
        let name = name.to_owned();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// Why a name led to no address that may be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAddress {
    /// It has none, or the resolver failed.
    #[error("the name does not resolve: {0}")]
    Unresolved(#[source] io::Error),
    /// All that it has are forbidden; this is the first of them.
    #[error(transparent)]
    Forbidden(ForbiddenAddress),
}

/// A resolver that hands on only addresses that may be called.
#[derive(Clone)]
pub(super) struct Vetted {
    resolver: Arc<dyn Resolver>,
    networks: AllowedNetworks,
}

impl Vetted {
    pub(super) fn new(resolver: Arc<dyn Resolver>, networks: AllowedNetworks) -> Self {
        Self { resolver, networks }
    }

    pub(super) const fn networks(&self) -> &AllowedNetworks {
        &self.networks
    }

    /// The addresses of `name` that may be called; at least one.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let all = self.resolver.resolve(name).await.map_err(NoAddress::Unresolved)?;
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
            (true, Some(error)) => Err(NoAddress::Forbidden(error)),
            (true, None) => Err(NoAddress::Unresolved(io::Error::other("no address"))),
        }
    }
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let vetted = self.clone();
        Box::pin(async move {
            let addresses = vetted.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
