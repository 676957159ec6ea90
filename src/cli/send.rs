//! `postrider send`: submits one event from arguments, or many from NDJSON.

use std::io::{BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::connection::Connection;
use crate::console::client::{Answer, Client};
use crate::console::{Output, UsageError};

const BATCH_BYTES_MAX: usize = 512 << 10;
const WAITS_MAX: u32 = 100;
const WAIT: Duration = Duration::from_secs(1);

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct Send {
    /// A file of events as NDJSON, one per line; - means standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["type", "project", "company", "data", "id"])]
    file: Option<PathBuf>,
    /// The event type, such as `TODO_CREATED`
    #[arg(long, requires = "project")]
    r#type: Option<String>,
    /// The project of the event
    #[arg(long, requires = "type")]
    project: Option<String>,
    /// The company of the project
    #[arg(long)]
    company: Option<String>,
    /// The data as JSON, @FILE to read it from a file, or - for standard input
    #[arg(long)]
    data: Option<String>,
    /// Your id of the event; a second event with the same id is a duplicate
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// The most events in one request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
}

/// Submits the events and prints the results.
pub(super) async fn run(args: Send, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match (&args.file, &args.r#type) {
        (Some(file), _) => send_many(&client, file, &args, output).await,
        (None, Some(_)) => send_one(&client, &args, output).await,
        (None, None) => Err(UsageError(
            "no event given: use --type and --project, or name a FILE of NDJSON (- for standard input)"
                .into(),
        )
        .into()),
    }
}

async fn send_one(client: &Client, args: &Send, output: Output) -> anyhow::Result<()> {
    let event = event(args)?;
    let answer = post(client, "application/json", event.into(), &ProgressBar::hidden()).await?;
    let result = serde_json::from_slice(&answer.body).context("the daemon's answer is not JSON")?;
    print_result(&result, output)
}

/// Returns the event as JSON. `data` is copied byte for byte.
fn event(args: &Send) -> anyhow::Result<String> {
    let mut members = Vec::new();
    let texts =
        [("type", &args.r#type), ("project", &args.project), ("company", &args.company), ("id", &args.id)];
    for (name, text) in texts {
        members.extend(text.as_ref().map(|text| format!("\"{name}\":{}", Value::from(text.as_str()))));
    }
    if let Some(data) = &args.data {
        members.push(format!("\"data\":{}", read_data(data)?.get()));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

fn read_data(data: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match data.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?,
        None if data == "-" => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).context("failed to read standard input")?;
            text
        }
        None => data.to_owned(),
    };
    serde_json::from_str(text.trim())
        .map_err(|error| UsageError(format!("--data is not JSON: {error}")).into())
}

/// The totals of many events.
#[derive(Default)]
struct Tally {
    events: u64,
    duplicates: u64,
    matched: u64,
}

async fn send_many(client: &Client, file: &Path, args: &Send, output: Output) -> anyhow::Result<()> {
    let (lines, size) = open(file)?;
    let bar = progress(size);
    let mut batches = Batches { lines, next: None, line: 0, events_max: args.batch };
    let mut tally = Tally::default();
    while let Some(batch) = batches.next()? {
        let bytes = batch.body.len() as u64;
        let answer =
            post(client, "application/x-ndjson", batch.body.into(), &bar).await.with_context(|| {
                format!(
                    "lines {} to {} were refused; the {} events before them were accepted",
                    batch.first, batch.last, tally.events
                )
            })?;
        tally.add(&answer, output)?;
        bar.inc(bytes);
    }
    bar.finish_and_clear();
    let Tally { events, duplicates, matched } = tally;
    let text = format!("{events} events accepted: {duplicates} duplicates, {matched} deliveries");
    output.print(&json!({ "accepted": events, "duplicates": duplicates, "matched": matched }), &text)?;
    Ok(())
}

impl Tally {
    fn add(&mut self, answer: &Answer, output: Output) -> anyhow::Result<()> {
        let answer: Value =
            serde_json::from_slice(&answer.body).context("the daemon's answer is not JSON")?;
        let results =
            answer.get("results").and_then(Value::as_array).context("the daemon's answer has no results")?;
        for result in results {
            self.events += 1;
            self.duplicates += u64::from(result.get("duplicate") == Some(&Value::Bool(true)));
            self.matched += result.get("matched").and_then(Value::as_u64).unwrap_or_default();
            if output.json {
                output.print(result, "")?;
            }
        }
        Ok(())
    }
}

type Lines = Box<dyn BufRead>;

/// Opens the input and returns its lines and, if known, its size in bytes.
fn open(file: &Path) -> anyhow::Result<(Lines, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(std::io::stdin())), None));
    }
    let opened = std::fs::File::open(file).with_context(|| format!("failed to open {}", file.display()))?;
    let size = opened.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(BufReader::new(opened)), size))
}

fn progress(size: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes}, {eta} left {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} sent {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

struct Batch {
    body: String,
    first: u64,
    last: u64,
}

/// Groups lines into batches, limited by events and bytes. Empty lines are skipped.
struct Batches {
    lines: Lines,
    next: Option<(u64, String)>,
    line: u64,
    events_max: u32,
}

impl Batches {
    fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        let Some((first, body)) = self.read()? else { return Ok(None) };
        let (mut batch, mut events) = (Batch { body, first, last: first }, 1);
        while let Some((number, line)) = self.read()? {
            if events == self.events_max || batch.body.len() + line.len() > BATCH_BYTES_MAX {
                self.next = Some((number, line));
                break;
            }
            batch.body.push_str(&line);
            (batch.last, events) = (number, events + 1);
        }
        Ok(Some(batch))
    }

    fn read(&mut self) -> anyhow::Result<Option<(u64, String)>> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).context("failed to read the events")? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !line.trim().is_empty() {
                line.truncate(line.trim_end().len());
                line.push('\n');
                return Ok(Some((self.line, line)));
            }
        }
    }
}

/// Posts events. While the daemon's queue is full, waits as long as the daemon asks and tries again.
async fn post(client: &Client, content_type: &str, body: Bytes, bar: &ProgressBar) -> anyhow::Result<Answer> {
    for _ in 0..WAITS_MAX {
        let answer = client.post("/v1/events", content_type, body.clone()).await?;
        if answer.status.is_success() {
            bar.set_message("");
            return Ok(answer);
        }
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            bail!("{}", answer.problem());
        }
        let wait = answer.retry_after.unwrap_or(WAIT);
        bar.set_message(format!("(the daemon is busy: waiting {} s)", wait.as_secs()));
        tokio::time::sleep(wait).await;
    }
    bail!("the daemon was busy for {WAITS_MAX} requests in a row: try again later")
}

fn print_result(result: &Value, output: Output) -> anyhow::Result<()> {
    let id = result.get("id").and_then(Value::as_str).context("the daemon's answer has no id")?;
    let text = match (result.get("duplicate"), result.get("matched").and_then(Value::as_u64)) {
        (Some(Value::Bool(true)), _) => format!("{id}: duplicate, not delivered again"),
        (_, Some(1)) => format!("{id}: matched 1 subscription"),
        (_, matched) => format!("{id}: matched {} subscriptions", matched.unwrap_or_default()),
    };
    output.print(result, &text)?;
    Ok(())
}
