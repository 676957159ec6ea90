//! What filters cost: a usual one, and hostile ones that are stopped.

use std::hint::black_box;

use postrider::model::event::EventContent;
use postrider::model::time::Timestamp;
use postrider::rules::filter::{Filter, FilterInput};

use super::{nanos, now};

const HOSTILE: [&str; 6] = [
    "event.data.a.all(x, event.data.a.all(y, x + y >= 0))",
    "event.data.a.filter(x, size(event.data.a.filter(y, x == y)) > 5) == []",
    "event.data.a.all(x, event.data.a == event.data.a)",
    "event.data.a.exists(x, event.data.t.contains('c'))",
    "event.data.t.matches('(a|b|ab)*(a|b|ba)*c')",
    "event.data.t.matches('(\\\\w|a){1,40}[^ab]')",
];

fn event(data: String) -> EventContent {
    EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: None,
        sender_id: None,
        occurred_at: None,
        data: Some(data.into()),
    }
}

/// The least time of one evaluation, the reading of the event included, in microseconds.
fn time(text: &str, event: &EventContent, rounds: usize) -> f64 {
    let filter = Filter::compile(text).unwrap();
    let round = |_| {
        let start = now();
        let _ = black_box(filter.evaluate(&FilterInput::new(event, Timestamp::default())));
        nanos(start.elapsed()) / 1e3
    };
    (0..rounds).map(round).fold(f64::MAX, f64::min)
}

/// Prints what reading and evaluating costs.
pub fn measure(quick: bool) {
    let rounds = if quick { 1 } else { 10 };
    let small = event(r#"{"status":"done","price":12.5,"tags":["a","b"],"owner":{"name":"Ann"}}"#.to_owned());
    let usual = "event.data.status == 'done' && event.data.price > 10.0 && 'a' in event.data.tags";
    println!("filter: usual {:.1} us with the reading of a small event", time(usual, &small, rounds * 100));
    let big = event(format!("{{\"a\":[{}0],\"t\":\"{}\"}}", "1,".repeat(250_000), "ab".repeat(250_000)));
    println!(
        "filter: reading 1 MB and looking at one member {:.1} ms",
        time("event.data.x == 1", &big, rounds) / 1e3
    );
    for text in HOSTILE {
        println!("filter: hostile, 1 MB, {:.1} ms: {text}", time(text, &big, rounds) / 1e3);
    }
}
