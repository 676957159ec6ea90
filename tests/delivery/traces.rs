//! Traces: receivers get the submitter's context, and a collector gets a span for each step.

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::support::client::{ApiClient, event};
use crate::support::daemon::TestDaemon;
use crate::support::receiver::{ReceivedRequest, Reply, always};

#[cfg(feature = "otel")]
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Submits events with these headers and asserts that they are accepted.
async fn submit(api: &ApiClient, headers: &[(&'static str, &str)], events: &Value) -> Value {
    let mut map = HeaderMap::new();
    map.insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    api.send(Method::POST, "/v1/events", map, events.to_string()).await.unwrap().expect(202)
}

/// Returns the trace headers of a request.
fn told(seen: &ReceivedRequest) -> (&str, &str) {
    (seen.header("traceparent"), seen.header("tracestate"))
}

#[tokio::test(start_paused = true)]
async fn receivers_get_the_submitters_trace_context_across_retries_restarts_and_replays() {
    let mut daemon = TestDaemon::start().await;
    let (hook, made) = daemon.subscribed(json!({"name": "crm", "headers": {"traceparent": "mine"}})).await;
    hook.answer(always(Reply::Status(500)));
    let headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let first = submit(&daemon.api, &headers, &event("A", "p", 1)).await;
    hook.wait_for(1).await;
    daemon.kill().await;
    hook.answer(always(Reply::Status(200)));
    daemon.revive().await;
    hook.wait_for(2).await;
    let pair = json!([event("A", "p", 2), event("A", "p", 3)]);
    submit(&daemon.api, &headers[..1], &pair).await;
    hook.wait_for(4).await;
    let replay = format!("/v1/events/{}/replay", first["id"].as_str().unwrap());
    let id = made["id"].as_str().unwrap();
    daemon.api.post(&replay, &json!({"subscriptions": [id]})).await.expect(202);
    let seen = hook.wait_for(5).await;
    let expected =
        [(PARENT, "a=1,b=2"), (PARENT, "a=1,b=2"), (PARENT, ""), (PARENT, ""), (PARENT, "a=1,b=2")];
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(seen.iter().map(ReceivedRequest::attempt).collect::<Vec<_>>(), [1, 2, 1, 1, 1]);
    // Without a trace context, the receiver gets the subscription's own header.
    submit(&daemon.api, &[("tracestate", "a=1")], &event("A", "p", 4)).await;
    submit(&daemon.api, &[("traceparent", "00-0-0-0")], &event("A", "p", 5)).await;
    let seen = hook.wait_for(7).await;
    assert_eq!(seen[5..].iter().map(told).collect::<Vec<_>>(), [("mine", ""), ("mine", "")]);
    daemon.stop().await;
}

#[cfg(feature = "otel")]
mod collector {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use crate::support::process::{DaemonSetup, RunningDaemon};
    use crate::support::receiver::Receiver;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
    use postrider::model::time::Clock;
    use prost::Message as _;

    use super::*;

    const SOON: Duration = Duration::from_mins(1);

    /// A span as the collector got it.
    #[derive(Clone, Debug)]
    struct Told {
        name: String,
        trace: String,
        id: String,
        parent: String,
        kind: SpanKind,
        start: u64,
        end: u64,
        is_error: bool,
        attributes: BTreeMap<String, String>,
    }

    fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
        let text = |value: Any| match value {
            Any::StringValue(text) => text,
            Any::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        pairs.into_iter().map(|pair| (pair.key, text(pair.value.unwrap().value.unwrap()))).collect()
    }

    /// Returns every span that the collector got, in the order in which they began.
    fn spans(collector: &Receiver) -> Vec<Told> {
        let mut all = Vec::new();
        for seen in collector.seen() {
            assert_eq!(
                (seen.path.as_str(), seen.header("content-type")),
                ("/otlp/v1/traces", "application/x-protobuf")
            );
            assert_eq!(seen.header("authorization"), "Bearer abc");
            for resource in ExportTraceServiceRequest::decode(seen.body).unwrap().resource_spans {
                let service = attributes(resource.resource.unwrap().attributes);
                assert_eq!(
                    (service["service.name"].as_str(), service["service.version"].as_str()),
                    ("postrider", env!("CARGO_PKG_VERSION"))
                );
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    all.push(Told {
                        kind: span.kind(),
                        name: span.name,
                        trace: hex::encode(&span.trace_id),
                        id: hex::encode(&span.span_id),
                        parent: hex::encode(&span.parent_span_id),
                        start: span.start_time_unix_nano,
                        end: span.end_time_unix_nano,
                        is_error: span.status.is_some_and(|status| status.code() == StatusCode::Error),
                        attributes: attributes(span.attributes),
                    });
                }
            }
        }
        all.sort_by_key(|span| span.start);
        all
    }

    async fn collected(collector: &Receiver, count: usize) -> Vec<Told> {
        let ask = async || Some(spans(collector)).filter(|spans| spans.len() >= count);
        crate::support::eventually("the collector has the spans", SOON, Duration::from_millis(20), ask).await
    }

    async fn ended(mut running: RunningDaemon, log: &DaemonSetup) {
        running.terminate();
        let ask = async || running.has_ended();
        let status = crate::support::eventually("the daemon ends", SOON, Duration::from_millis(5), ask).await;
        assert!(status.success(), "{status}:\n{}", log.log());
    }

    #[track_caller]
    fn has(span: &Told, pairs: &[(&str, &str)]) {
        for (key, value) in pairs {
            assert_eq!(span.attributes.get(*key).map(String::as_str), Some(*value), "{key} in {span:?}");
        }
    }

    /// Starts a collector that gives this reply, and a daemon that exports its traces to it.
    async fn setup(reply: Reply, ratio: f64) -> (Receiver, DaemonSetup) {
        let collector = Receiver::start(Clock::system(), always(reply)).await;
        let endpoint = collector.url().replace("/hook", "/otlp/");
        let settings = format!("[otlp]\nendpoint = \"{endpoint}\"\nsample_ratio = {ratio:?}\n");
        (collector, DaemonSetup::new(crate::support::memory_dir(), &settings))
    }

    async fn start(setup: &DaemonSetup) -> (RunningDaemon, ApiClient) {
        let mut running =
            setup.spawn_as_service(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")], None);
        let api = setup.ready(&mut running).await;
        (running, api)
    }

    #[tokio::test]
    async fn one_trace_spans_from_the_submitter_to_the_last_attempt() {
        let (collector, setup) = setup(Reply::Status(200), 1.0).await;
        let hook = Receiver::start(Clock::system(), always(Reply::Status(503))).await;
        let (running, api) = start(&setup).await;
        let made = json!({"name": "crm", "url": hook.url(), "retry_schedule": ["1s", "1s"]});
        let subscription = api.subscribe(&made).await;
        let began = Clock::system().since_epoch().as_nanos();
        let headers = [("traceparent", PARENT), ("tracestate", "a=1")];
        let accepted = submit(&api, &headers, &event("A", "acme/p", 1)).await;
        hook.wait_for(1).await;
        ended(running, &setup).await;
        let before = spans(&collector).len();
        hook.answer(always(Reply::Status(200)));
        let (running, _) = start(&setup).await;
        let seen = hook.wait_for(2).await;
        let all = collected(&collector, 3).await;
        // The first two spans were exported before the daemon ended.
        assert_eq!((before, all.len()), (2, 3), "{all:#?}");

        let [acceptance, first, last] = &all[..] else { panic!("{all:#?}") };
        assert!(
            all.iter()
                .all(|span| span.trace == TRACE && u128::from(span.start) >= began && span.end >= span.start)
        );
        assert_eq!((acceptance.name.as_str(), acceptance.kind), ("accept A", SpanKind::Server));
        assert_eq!(acceptance.parent, "00f067aa0ba902b7");
        for attempt in [first, last] {
            assert_eq!((attempt.name.as_str(), attempt.kind), ("deliver crm", SpanKind::Client));
            assert_eq!(attempt.parent, acceptance.id);
        }
        assert_ne!(first.id, last.id);
        let sent = |span: &Told| format!("00-{TRACE}-{}-01", span.id);
        assert_eq!(told(&seen[0]), (sent(first).as_str(), "a=1"));
        assert_eq!(told(&seen[1]), (sent(last).as_str(), "a=1"));
        assert_eq!(all.iter().map(|span| span.is_error).collect::<Vec<_>>(), [false, true, false]);
        let id = accepted["id"].as_str().unwrap();
        let of_event = [
            ("postrider.event.type", "A"),
            ("postrider.project", "p"),
            ("postrider.company", "acme"),
            ("postrider.matched", "1"),
        ];
        has(acceptance, &of_event);
        let of_both = [
            ("postrider.event.id", id),
            ("postrider.subscription.id", subscription["id"].as_str().unwrap()),
            ("postrider.delivery.id", seen[0].delivery()),
            ("http.request.method", "POST"),
            ("server.address", "127.0.0.1"),
        ];
        has(first, &of_both);
        has(last, &of_both);
        has(
            first,
            &[("postrider.attempt", "1"), ("http.response.status_code", "503"), ("error.type", "503")],
        );
        has(
            last,
            &[
                ("postrider.attempt", "2"),
                ("http.response.status_code", "200"),
                ("http.request.resend_count", "1"),
            ],
        );
        ended(running, &setup).await;
    }

    #[tokio::test]
    async fn the_daemon_starts_a_trace_if_the_submitter_sends_none() {
        let (collector, setup) = setup(Reply::Status(200), 1.0).await;
        let hook = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        let (running, api) = start(&setup).await;
        api.subscribe(&json!({"name": "crm", "url": hook.url()})).await;
        // A trace that its submitter did not sample is not exported.
        submit(&api, &[("traceparent", &PARENT.replace("-01", "-00"))], &event("A", "p", 1)).await;
        submit(&api, &[], &event("A", "p", 2)).await;
        let seen = hook.wait_for(2).await;
        ended(running, &setup).await;
        let all = spans(&collector);
        let [root, attempt] = &all[..] else { panic!("{all:#?}") };
        assert_eq!((root.parent.as_str(), &attempt.parent, &attempt.trace), ("", &root.id, &root.trace));
        assert_ne!(root.trace, TRACE);
        let mut parents: Vec<_> = seen.iter().map(|seen| seen.header("traceparent").to_owned()).collect();
        parents.sort_by_key(|parent| parent.contains(TRACE));
        assert_eq!(parents[0], format!("00-{}-{}-01", root.trace, attempt.id));
        let is_silent = parents[1].starts_with(&format!("00-{TRACE}-")) && parents[1].ends_with("-00");
        assert!(is_silent, "{parents:?}");
    }

    #[tokio::test]
    async fn a_collector_that_never_answers_delays_nothing() {
        let (collector, setup) = setup(Reply::Hang, 1.0).await;
        let hook = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        let (running, api) = start(&setup).await;
        api.subscribe(&json!({"name": "crm", "url": hook.url()})).await;
        for n in 0..20 {
            submit(&api, &[], &event("A", "p", n)).await;
        }
        hook.wait_for(20).await;
        collector.wait_for(1).await;
        ended(running, &setup).await;
        assert!(setup.log().contains("the last traces did not reach the collector"), "{}", setup.log());
    }

    #[tokio::test]
    async fn a_sample_ratio_of_zero_exports_no_trace_started_by_the_daemon() {
        let (collector, setup) = setup(Reply::Status(200), 0.0).await;
        let hook = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        let (running, api) = start(&setup).await;
        api.subscribe(&json!({"name": "crm", "url": hook.url()})).await;
        submit(&api, &[], &event("A", "p", 1)).await;
        submit(&api, &[("traceparent", PARENT)], &event("A", "p", 2)).await;
        let seen = hook.wait_for(2).await;
        ended(running, &setup).await;
        assert!(spans(&collector).iter().all(|span| span.trace == TRACE));
        assert_eq!(spans(&collector).len(), 2);
        let unsampled = seen.iter().filter(|seen| seen.header("traceparent").ends_with("-00")).count();
        assert_eq!(unsampled, 1);
    }
}
