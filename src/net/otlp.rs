//! Traces to a collector: OTLP over HTTP, in batches, sent by a thread of the OpenTelemetry SDK.
//!
//! Spans arrive here when they are finished, and go directly to the SDK's batch processor. So the SDK's own
//! spans and its global state are not needed. The processor queues up to `SPANS_MAX` spans. Spans that arrive
//! while the queue is full are dropped, which the SDK logs. Nothing ever waits for the queue.

use std::time::{Duration, SystemTime};

use opentelemetry::trace as otel;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use url::Url;

use crate::model::span::{Span, SpanExporter, SpanOperation};
use crate::model::trace::{SpanId, TraceContext};

/// The most queued spans. Each takes about 1 KiB.
const SPANS_MAX: usize = 16 * 1024;
/// The longest time that a span waits for its batch to fill.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// The time limit for the collector to accept a batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for exporting the remaining spans at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Exports spans to a collector.
#[derive(Debug)]
pub struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Exporter {
    /// Creates an exporter for the collector with this base URL.
    ///
    /// Spans are sent to `/v1/traces` under the URL (OpenTelemetry Protocol Exporter, Endpoint URLs for
    /// OTLP/HTTP), with the headers of `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// Returns an error if the HTTP client cannot be created.
    pub fn new(endpoint: &Url) -> Result<Self, ExporterBuildError> {
        super::crypto::install_provider();
        let url = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(TIMEOUT)
            .build()?;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_MAX)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        processor.set_resource(
            &Resource::builder().with_service_name("postrider").with_attribute(version).build(),
        );
        let scope =
            InstrumentationScope::builder("postrider").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor, scope })
    }
}

impl SpanExporter for Exporter {
    fn export(&self, span: Span) {
        self.processor.on_end(data(span, self.scope.clone()));
    }

    fn shut_down(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "the last traces did not reach the collector");
        }
    }
}

fn data(span: Span, scope: InstrumentationScope) -> SpanData {
    let Span { context, parent, start, took, event, operation } = span;
    let start_time = SystemTime::UNIX_EPOCH + start;
    let mut attributes = vec![KeyValue::new("postrider.event.id", event.to_string())];
    let description = describe(operation, &mut attributes);
    SpanData {
        span_context: span_context(&context),
        parent_span_id: parent.map_or(otel::SpanId::INVALID, span_id),
        parent_span_is_remote: description.is_parent_remote,
        span_kind: description.kind,
        name: description.name.into(),
        start_time,
        end_time: start_time + took,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: description.status,
        instrumentation_scope: scope,
    }
}

/// The OpenTelemetry form of an operation, without the attributes.
struct SpanDescription {
    name: String,
    kind: SpanKind,
    is_parent_remote: bool,
    status: Status,
}

/// Describes an operation. Attributes have the names of OpenTelemetry's semantic conventions, where these
/// exist.
fn describe(operation: SpanOperation, attributes: &mut Vec<KeyValue>) -> SpanDescription {
    let mut put = |key: &'static str, value: String| attributes.push(KeyValue::new(key, value));
    match operation {
        SpanOperation::Acceptance { event_type, project, company, matched } => {
            let name = format!("accept {event_type}");
            put("postrider.event.type", event_type.to_string());
            put("postrider.project", project.to_string());
            if let Some(company) = company {
                put("postrider.company", company.to_string());
            }
            attributes.push(KeyValue::new("postrider.matched", i64::try_from(matched).unwrap_or(i64::MAX)));
            SpanDescription { name, kind: SpanKind::Server, is_parent_remote: true, status: Status::Unset }
        }
        SpanOperation::Attempt { delivery, subscription, name, host, port, number, status, error } => {
            let http_status = status.map(i64::from);
            put("postrider.delivery.id", delivery.to_string());
            put("postrider.subscription.id", subscription.to_string());
            put("postrider.subscription.name", name.clone());
            put("http.request.method", "POST".to_owned());
            put("server.address", host);
            let status = match error {
                Some(failure) => {
                    put("error.type", failure.kind);
                    Status::error(failure.detail)
                }
                None => Status::Unset,
            };
            let numbers = [
                ("postrider.attempt", Some(i64::from(number))),
                ("http.request.resend_count", Some(i64::from(number) - 1).filter(|again| *again > 0)),
                ("server.port", port.map(i64::from)),
                ("http.response.status_code", http_status),
            ];
            let numbers = numbers.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?)));
            attributes.extend(numbers);
            SpanDescription {
                name: format!("deliver {name}"),
                kind: SpanKind::Client,
                is_parent_remote: false,
                status,
            }
        }
    }
}

fn span_context(context: &TraceContext) -> SpanContext {
    let trace = otel::TraceId::from_bytes(context.trace.bytes());
    // Receivers get the sender's `tracestate` unchanged. The collector gets it only if it is well-formed.
    let state = context.state().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    SpanContext::new(trace, span_id(context.parent), TraceFlags::SAMPLED, false, state)
}

fn span_id(id: SpanId) -> otel::SpanId {
    otel::SpanId::from_bytes(id.bytes())
}
