//! `traceparent` and `tracestate`: the trace that a request is part of (W3C Trace Context).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::model::trace::TraceContext;
use crate::rules::headers::{TRACEPARENT, TRACESTATE};

/// Extracts the trace of a request, if it names one.
///
/// Invalid headers are ignored, as the standard demands, so that a request never fails because of its tracing.
#[derive(Clone, Debug)]
pub struct TraceHeaders(pub Option<Arc<TraceContext>>);

impl<S: Sync> FromRequestParts<S> for TraceHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(read(&parts.headers).map(Arc::new)))
    }
}

fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let parents = texts(headers, &TRACEPARENT)?;
    let [parent] = parents.as_slice() else { return None };
    // Several headers of one name form one list.
    let state = texts(headers, &TRACESTATE).map(|states| states.join(","));
    TraceContext::read(parent, state.as_deref())
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    headers.get_all(name).iter().map(|value| value.to_str().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(pairs: &[(&'static str, &str)]) -> Option<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        read(&headers).map(|context| (context.to_string(), context.state().map(str::to_owned)))
    }

    #[test]
    fn one_traceparent_and_all_tracestates_are_read() {
        let expected = |state: Option<&str>| Some((PARENT.to_owned(), state.map(str::to_owned)));
        assert_eq!(of(&[("traceparent", PARENT)]), expected(None));
        let states = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2,c=3")];
        assert_eq!(of(&states), expected(Some("a=1,b=2,c=3")));
        for none in
            [&[][..], &[("tracestate", "a=1")], &[("traceparent", PARENT); 2], &[("traceparent", "x")]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
