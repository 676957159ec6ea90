//! `postrider listen`: receives webhooks, verifies their signatures and prints them.
//!
//! It is also an example of a receiver: it verifies the raw body before it parses it, answers soon, and answers
//! requests without a valid signature with 401.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use clap::Args;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::console::{Output, UsageError};
use crate::model::id::EventId;
use crate::model::secret::{SecretKind, Verifier};
use crate::model::time::{Clock, Interval, Timestamp, millis};
use crate::rules::signature::{self, SignatureHeaders};

const BODY_BYTES_MAX: usize = 64 << 20;

/// Arguments of `listen`.
#[derive(Clone, Debug, Args)]
pub struct Listen {
    /// The port on 127.0.0.1; 0 chooses a free port
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The subscription's secret (`whsec_…`) or public key (`whpk_…`); other signatures are answered with 401
    #[arg(long, env = "POSTRIDER_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Answer the first N requests with 503, or with --status
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_first: u64,
    /// The status of the answers [default: 200; with --fail-first: 503 for the first N]
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// The delay before each answer, such as 2s
    #[arg(long, value_name = "TIME", default_value = "0s")]
    delay: Interval,
    /// Print the bodies too
    #[arg(long, short)]
    verbose: bool,
}

/// Receives until Ctrl-C.
pub(super) async fn run(args: Listen, output: Output) -> anyhow::Result<()> {
    // clap does not parse the secret, because its error would print it.
    let secret = args.secret.as_deref().map(str::parse::<Verifier>).transpose();
    let secret = secret.map_err(|error| UsageError(format!("--secret {error}")))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let address = listener.local_addr()?;
    let text = format!("listening on http://{address} ({})", args.verification());
    output.print(&json!({ "listening": format!("http://{address}") }), &text)?;
    let receiver = Receiver { args, secret, output, clock: Clock::system(), received: AtomicU64::new(0) };
    let router = Router::new()
        .fallback(receive)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(receiver));
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await.context("failed to serve")
}

impl Listen {
    const fn verification(&self) -> &'static str {
        if self.secret.is_some() {
            "verifying signatures"
        } else {
            "not verifying signatures: use --secret to verify them"
        }
    }

    /// Returns the status for request `number`, 1 for the first, if its signature is valid.
    fn status_of(&self, number: u64) -> StatusCode {
        let code = match (self.fail_first, self.status) {
            (0, status) => status.unwrap_or(200),
            (fail_first, status) if number <= fail_first => status.unwrap_or(503),
            _ => 200,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::OK)
    }
}

struct Receiver {
    args: Listen,
    secret: Option<Verifier>,
    output: Output,
    clock: Clock,
    received: AtomicU64,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = receiver.clock.now();
    let number = receiver.received.fetch_add(1, Ordering::Relaxed) + 1;
    let verdict = verdict(receiver.secret.as_ref(), &headers, &body, now);
    let status = match verdict {
        Verdict::Refused(_) => StatusCode::UNAUTHORIZED,
        _ => receiver.args.status_of(number),
    };
    let seen = Received { at: now, headers: &headers, body: &body, verdict, status };
    // The output may be closed. The sender still gets an answer.
    let _ = receiver.output.print(&seen.json(), &seen.text(receiver.args.verbose));
    tokio::time::sleep(receiver.args.delay.get()).await;
    status
}

/// The result of the check of a request's signatures.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Unchecked,
    Verified,
    Refused(String),
}

/// Verifies the Standard Webhooks signature, and the `X-Signature` of Blue's format if it is present.
fn verdict(secret: Option<&Verifier>, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Verdict {
    let Some(secret) = secret else { return Verdict::Unchecked };
    let signed = SignatureHeaders {
        id: header(headers, "webhook-id"),
        timestamp: header(headers, "webhook-timestamp"),
        signatures: header(headers, "webhook-signature"),
    };
    if signed.signatures.is_empty() {
        return Verdict::Refused("no webhook-signature".to_owned());
    }
    if let Err(error) = signature::verify(secret, &signed, body, now) {
        return Verdict::Refused(error.to_string());
    }
    // A public key cannot verify an HMAC.
    match (header(headers, "x-signature"), secret) {
        ("", _) | (_, Verifier::Public(_)) => Verdict::Verified,
        (_, Verifier::Secret(secret)) if secret.kind() == SecretKind::Ed25519 => Verdict::Verified,
        (blue, Verifier::Secret(secret)) => match signature::verify_blue(secret, blue, body) {
            Ok(()) => Verdict::Verified,
            Err(error) => Verdict::Refused(format!("x-signature: {error}")),
        },
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A received request and the answer to it.
struct Received<'a> {
    at: Timestamp,
    headers: &'a HeaderMap,
    body: &'a [u8],
    verdict: Verdict,
    status: StatusCode,
}

impl Received<'_> {
    fn json(&self) -> Value {
        let body = serde_json::from_slice::<Value>(self.body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(self.body)));
        let reason = match &self.verdict {
            Verdict::Refused(reason) => Some(reason),
            _ => None,
        };
        json!({
            "at": self.at,
            "event": header(self.headers, "webhook-id"),
            "type": event_type(&body),
            "project": body.get("project"),
            "delivery": header(self.headers, "postrider-delivery-id"),
            "attempt": self.attempt(),
            "verified": (self.verdict != Verdict::Unchecked).then_some(self.verdict == Verdict::Verified),
            "reason": reason,
            "latency_ms": self.latency_ms(),
            "status": self.status.as_u16(),
            "body": body,
        })
    }

    fn text(&self, verbose: bool) -> String {
        let body = serde_json::from_slice::<Value>(self.body).ok();
        let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
        let verdict = match &self.verdict {
            Verdict::Unchecked => "unchecked".to_owned(),
            Verdict::Verified => "verified".to_owned(),
            Verdict::Refused(reason) => format!("NOT VERIFIED ({reason})"),
        };
        let latency = self.latency_ms().map(|ms| format!(", {ms} ms after acceptance")).unwrap_or_default();
        let mut text = format!(
            "{} {} {} attempt {}: {verdict}, answered {}{latency}",
            self.at,
            word(body.as_ref().and_then(event_type)),
            word(body.as_ref().and_then(|body| body.get("project"))),
            self.attempt().map_or_else(|| "-".to_owned(), |attempt| attempt.to_string()),
            self.status.as_u16(),
        );
        if verbose {
            let pretty = body.and_then(|body| serde_json::to_string_pretty(&body).ok());
            text.push('\n');
            text.push_str(&pretty.unwrap_or_else(|| String::from_utf8_lossy(self.body).into_owned()));
        }
        text
    }

    fn attempt(&self) -> Option<u32> {
        header(self.headers, "postrider-attempt").parse().ok()
    }

    /// Returns the time since the event was accepted, which its id contains, by this machine's clock.
    fn latency_ms(&self) -> Option<u64> {
        let event: EventId = header(self.headers, "webhook-id").parse().ok()?;
        Some(millis(self.at.since(event.time())))
    }
}

/// Returns the event type: `type` in the formats standard and cloudevents, `event` in the format blue.
fn event_type(body: &Value) -> Option<&Value> {
    body.get("type").or_else(|| body.get("event"))
}
