//! The actor of a request, for the audit log.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::api::caller::{Caller, Peer};
use crate::flow::audit::Actor;

/// Extracts the actor that a change is audited under: the caller's name and address.
#[derive(Clone, Debug)]
pub struct AuditActor(pub Actor);

impl<S: Sync> FromRequestParts<S> for AuditActor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let by = parts.extensions.get::<Caller>().map_or("unknown", Caller::name).to_owned();
        let from = match parts.extensions.get::<Peer>() {
            Some(Peer::Tcp(address) | Peer::Tls(address)) => address.to_string(),
            Some(Peer::Unix) => "unix".to_owned(),
            None => String::new(),
        };
        Ok(Self(Actor { by, from }))
    }
}
