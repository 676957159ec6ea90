//! Measures list calls over HTTP: every filter and the usual combinations, first page and last page.
//!
//! ```text
//! cargo bench --bench lists                       # 1,000,000 deliveries: some minutes
//! cargo bench --bench lists -- --test             # 4,000 deliveries, a few calls of each: seconds
//! LISTS_DELIVERIES=100000 LISTS_CALLS=100 cargo bench --bench lists
//! ```
//! The daemon runs in the same process and has running requests to a receiver that never answers. The
//! contents of each page are compared with the record of the log that was built.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]
#![expect(unreachable_pub, reason = "nothing outside uses a benchmark")]

#[path = "lists/log.rs"]
mod log;

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use postrider::app::{Daemon, Options};
use postrider::config::Config;
use postrider::model::id::{DeliveryId, EventId};
use postrider::model::time::Timestamp;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use log::{BuiltLog, LoggedDelivery, LoggedEvent, State};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LIMITS: [usize; 2] = [50, 500];

/// A list to measure: its path without `limit` and `cursor`, and its expected ids, newest first.
struct List {
    name: &'static str,
    path: String,
    ids: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time")]
fn now() -> Instant {
    Instant::now()
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let is_smoke_run = std::env::args().any(|argument| argument == "--test");
    let deliveries = number("LISTS_DELIVERIES", if is_smoke_run { 4_000 } else { 1_000_000 });
    let calls = number("LISTS_CALLS", if is_smoke_run { 2 } else { 300 });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(deliveries, calls));
}

async fn run(deliveries: usize, calls: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = dir.path().join("data");
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    let mut background = JoinSet::new();
    background.spawn(never_answer(receiver));
    let start = now();
    let built = log::build(&data, deliveries, port).await;
    println!(
        "built {} deliveries of {} events in {:.1?}",
        built.deliveries.len(),
        built.events.len(),
        start.elapsed()
    );
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[storage]\npath = \"{}\"\n[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n",
        data.display()
    );
    let config = Config::parse(&text, "bench.toml", std::iter::empty()).unwrap();
    let start = now();
    let daemon = Daemon::start(config, Options::system()).await.unwrap();
    println!("opened in {:.1?}; {calls} calls a row, in milliseconds\n", start.elapsed());
    let address = daemon.addresses()[0];
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    background.spawn(async move { drop(connection.await) });
    let mut client = Client { sender, host: address.to_string() };
    println!(
        "{:<38} {:>5} {:>5} {:>5} {:>8} {:>8} {:>8}",
        "list", "limit", "page", "items", "p50", "p99", "most"
    );
    let mut worst: f64 = 0.0;
    for list in lists(&built) {
        worst = worst.max(client.measure(&list, calls).await);
    }
    println!("\nthe greatest p99 is {worst:.2} ms");
    daemon.kill().await;
}

async fn never_answer(receiver: TcpListener) {
    let mut open = Vec::new();
    while let Ok((stream, _)) = receiver.accept().await {
        open.push(stream);
    }
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    /// Makes one call. Returns the body and the duration in milliseconds.
    async fn get(&mut self, path: &str) -> (Bytes, f64) {
        let request = http::Request::get(path).header("host", &self.host).body(Full::default()).unwrap();
        let start = now();
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let took = start.elapsed().as_secs_f64() * 1e3;
        assert!(status.is_success(), "{path}: {status} {body:?}");
        (body, took)
    }

    /// Prints a line for each limit, for the first and the last page. Returns the largest p99.
    async fn measure(&mut self, list: &List, calls: usize) -> f64 {
        let mut worst: f64 = 0.0;
        for limit in LIMITS {
            let mark = if list.path.contains('?') { '&' } else { '?' };
            let first = format!("{}{mark}limit={limit}", list.path);
            let mut pages = vec![("first", first.clone(), &list.ids[..list.ids.len().min(limit)])];
            if list.ids.len() > limit {
                let before = list.ids.len() - limit;
                pages.push(("last", format!("{first}&cursor={}", list.ids[before - 1]), &list.ids[before..]));
            }
            for (page, path, expected) in pages {
                let mut times = Vec::with_capacity(calls);
                let mut items = 0;
                for call in 0..calls {
                    let (body, took) = self.get(&path).await;
                    times.push(took);
                    if call == 0 {
                        items = compare(list, &path, &body, expected);
                    }
                }
                times.sort_by(f64::total_cmp);
                let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
                let most = times[times.len() - 1];
                println!(
                    "{:<38} {limit:>5} {page:>5} {items:>5} {p50:>8.2} {p99:>8.2} {most:>8.2}",
                    list.name
                );
                worst = worst.max(p99);
            }
        }
        worst
    }
}

/// Compares a page with the expected ids. A short page must have a cursor, which says that more follows.
fn compare(list: &List, path: &str, body: &Bytes, expected: &[String]) -> usize {
    let body: Value = serde_json::from_slice(body).unwrap();
    let items: Vec<&str> =
        body["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    // Deliveries move between in flight and pending while the daemon runs.
    if !list.path.contains("in_flight") && !list.path.contains("pending") {
        assert_eq!(items, expected[..items.len()], "{path}");
        assert!(items.len() == expected.len() || body["next_cursor"].is_string(), "{path}");
    }
    items.len()
}

fn events(built: &BuiltLog, wants: impl Fn(&LoggedEvent) -> bool) -> Vec<String> {
    let ids = built.events.iter().rev().filter(|note| wants(note));
    ids.map(|note| EventId::from_bits(note.id).to_string()).collect()
}

fn deliveries(built: &BuiltLog, wants: impl Fn(&LoggedDelivery) -> bool) -> Vec<String> {
    let ids = built.deliveries.iter().rev().filter(|note| wants(note));
    ids.map(|note| DeliveryId::from_bits(note.id).to_string()).collect()
}

fn lists(built: &BuiltLog) -> Vec<List> {
    let mut lists = event_lists(built);
    lists.extend(delivery_lists(built));
    lists.extend(state_lists(built));
    lists
}

fn time_of(id: u128) -> Timestamp {
    EventId::from_bits(id).time()
}

fn event_lists(built: &BuiltLog) -> Vec<List> {
    let list = |name, query: String, ids| List { name, path: format!("/v1/events{query}"), ids };
    let of_type = |number| format!("?type={}", log::type_name(number));
    let of_project = |number| format!("?project={}", log::project_name(number));
    let sender =
        built.events[built.events.len() / 3..].iter().find_map(|note| note.sender_id.clone()).unwrap();
    let third = time_of(built.events[built.events.len() / 3].id);
    let half = time_of(built.events[built.events.len() / 2].id);
    let in_span = move |note: &LoggedEvent| time_of(note.id) >= third && time_of(note.id) < half;
    vec![
        list("events", String::new(), events(built, |_| true)),
        list("events by type (4 %)", of_type(0), events(built, |note| note.event_type == 0)),
        list("events by type (0.04 %)", of_type(49), events(built, |note| note.event_type == 49)),
        list(
            "events by a rare type",
            of_type(log::RARE_TYPE),
            events(built, |n| n.event_type == log::RARE_TYPE),
        ),
        list("events by an unknown type", "?type=unknown".to_owned(), Vec::new()),
        list("events by project", of_project(7), events(built, |note| note.project == 7)),
        list(
            "events by a rare project",
            of_project(log::RARE_PROJECT),
            events(built, |n| n.project == log::RARE_PROJECT),
        ),
        list("events by company", "?company=company-3".to_owned(), events(built, |note| note.company == 3)),
        list(
            "events by sender's id",
            format!("?sender_id={sender}"),
            events(built, |note| note.sender_id.as_ref() == Some(&sender)),
        ),
        list(
            "events by type and company",
            format!("{}&company=company-3", of_type(1)),
            events(built, |note| note.event_type == 1 && note.company == 3),
        ),
        list(
            "events by type and project",
            format!("{}&project={}", of_type(1), log::project_name(7)),
            events(built, |note| note.event_type == 1 && note.project == 7),
        ),
        list("events since and until", format!("?since={third}&until={half}"), events(built, in_span)),
        list(
            "events by type, since and until",
            format!("{}&since={third}&until={half}", of_type(2)),
            events(built, |note| note.event_type == 2 && in_span(note)),
        ),
    ]
}

fn delivery_lists(built: &BuiltLog) -> Vec<List> {
    let list = |name, query: String, ids| List { name, path: format!("/v1/deliveries{query}"), ids };
    let of = |number| format!("?subscription={}", log::subscription_id(number));
    let event = built.events[built.events.len() / 4].id;
    let third = time_of(built.events[built.events.len() / 3].id);
    let half = time_of(built.events[built.events.len() / 2].id);
    let in_span = move |note: &LoggedDelivery| time_of(note.id) >= third && time_of(note.id) < half;
    let by = |number| deliveries(built, move |note| note.subscription == number);
    vec![
        list("deliveries", String::new(), deliveries(built, |_| true)),
        list("deliveries by subscription (10 %)", of(log::BIG), by(log::BIG)),
        list("deliveries by subscription (0.5 %)", of(100), by(100)),
        list("deliveries by subscription (20)", of(log::FEW), by(log::FEW)),
        list(
            "deliveries by event",
            format!("?event={}", EventId::from_bits(event)),
            deliveries(built, |note| note.event == event),
        ),
        list(
            "deliveries since and until",
            format!("?since={third}&until={half}"),
            deliveries(built, in_span),
        ),
        list(
            "deliveries by subscription, since",
            format!("{}&since={half}", of(100)),
            deliveries(built, |note| note.subscription == 100 && time_of(note.id) >= half),
        ),
    ]
}

fn state_lists(built: &BuiltLog) -> Vec<List> {
    let states = [
        ("pending", vec![State::Pending]),
        ("held", vec![State::Held]),
        ("in_flight", vec![]),
        ("succeeded", vec![State::Succeeded]),
        ("exhausted", vec![State::Exhausted]),
        ("cancelled", vec![State::Cancelled]),
        ("pending,held,in_flight", vec![State::Pending, State::Held]),
        ("exhausted,cancelled", vec![State::Exhausted, State::Cancelled]),
    ];
    let half = time_of(built.events[built.events.len() / 2].id);
    let mut lists = Vec::new();
    for (words, of) in states {
        let name = |what: &str| -> &'static str { format!("{words}{what}").leak() };
        let path = |more: String| format!("/v1/deliveries?state={words}{more}");
        let among: HashSet<u8> = of.iter().map(|state| *state as u8).collect();
        let is = |note: &LoggedDelivery| among.contains(&(note.state as u8));
        let mut add =
            |what: &str, more: String, ids| lists.push(List { name: name(what), path: path(more), ids });
        add("", String::new(), deliveries(built, is));
        let older = deliveries(built, |note| is(note) && time_of(note.id) < half);
        add(", until", format!("&until={half}"), older);
        for (what, number) in
            [(" (10 %)", log::BIG), (" (0.5 %)", 100), (" (off)", log::OFF.start), (" (20)", log::FEW)]
        {
            let more = format!("&subscription={}", log::subscription_id(number));
            add(
                &format!(" of one{what}"),
                more,
                deliveries(built, |note| is(note) && note.subscription == number),
            );
        }
    }
    lists
}
