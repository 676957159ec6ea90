//! Measures filters: a typical one, and hostile ones that exceed their budget.

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
    "event.data.t.matches('(\\\\w|a){1,3}[^ab]')",
];

fn event(data: String) -> EventContent {
    EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: None,
        sender_id: None,
        occurred_at: None,
        data: Some(data.into()),
        trace: None,
    }
}

/// Returns the smallest time of one evaluation in microseconds, including the conversion of the event.
fn time(text: &str, event: &EventContent, rounds: usize) -> f64 {
    let filter = Filter::compile(text).unwrap();
    let round = |_| {
        let start = now();
        let _ = black_box(filter.evaluate(&FilterInput::new(event, Timestamp::default())));
        nanos(start.elapsed()) / 1e3
    };
    (0..rounds).map(round).fold(f64::MAX, f64::min)
}

/// Prints the costs of converting events and evaluating filters.
pub fn measure(quick: bool) {
    let rounds = if quick { 1 } else { 10 };
    let small = event(r#"{"status":"done","price":12.5,"tags":["a","b"],"owner":{"name":"Ann"}}"#.to_owned());
    let usual = "event.data.status == 'done' && event.data.price > 10.0 && 'a' in event.data.tags";
    println!("filter: usual {:.1} us with the reading of a small event", time(usual, &small, rounds * 100));
    let list = |elements, text| {
        event(format!("{{\"a\":[{}0],\"t\":\"{}\"}}", "1,".repeat(elements), "ab".repeat(text)))
    };
    let (big, middle) = (list(250_000, 250_000), list(300, 3_000));
    println!(
        "filter: reading 1 MB and looking at one member {:.1} ms",
        time("event.data.x == 1", &big, rounds) / 1e3
    );
    for text in HOSTILE {
        let [big, middle] = [&big, &middle].map(|event| time(text, event, rounds) / 1e3);
        println!("filter: hostile, {big:.1} ms on 1 MB, {middle:.1} ms on 7 KB: {text}");
    }
}
