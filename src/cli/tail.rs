//! `postrider tail`: prints the daemon's stream of events.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::connection::Connection;
use super::pages::with_query;
use crate::console::Output;
use crate::console::client::{Client, Refused};

/// The delays before reconnecting. Each is twice the one before.
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(15);
/// The most bytes of one message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    connection: Connection,
    /// Only these types, separated by commas: event.accepted, attempt.finished, delivery.settled, subscription.changed
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Only events about this subscription, by its id or name
    #[arg(long)]
    subscription: Option<String>,
}

/// Prints the stream until Ctrl-C. Reconnects after the last printed event when the connection breaks.
pub(super) async fn run(args: Tail, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    let subscription = match &args.subscription {
        Some(name) => Some(super::lookup::subscription_id(&client, name).await?),
        None => None,
    };
    let filters = [("types", args.types.as_deref()), ("subscription", subscription.as_deref())];
    let path = with_query("/v1/stream", &filters);
    let (mut last_id, mut has_connected, mut wait) = (None, false, WAIT_MIN);
    loop {
        match follow(&client, &path, &mut last_id, output).await {
            Ok(()) => (has_connected, wait) = (true, WAIT_MIN),
            Err(FollowError::Output(error)) => return Err(error.into()),
            Err(FollowError::Call(error)) if !has_connected || error.is::<Refused>() => return Err(error),
            Err(FollowError::Call(error)) => output.note(&format!("{error:#}"))?,
        }
        output.note(&format!("the connection ended: reconnecting in {} ms", wait.as_millis()))?;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Why the stream ended.
enum FollowError {
    /// The connection failed or was refused.
    Call(anyhow::Error),
    /// The output is closed.
    Output(std::io::Error),
}

/// Prints the messages of one connection until it ends.
async fn follow(
    client: &Client,
    path: &str,
    last_id: &mut Option<String>,
    output: Output,
) -> Result<(), FollowError> {
    let mut stream = client.open(path, last_id.as_deref()).await.map_err(FollowError::Call)?;
    let mut parser = Parser::default();
    while let Some(Ok(bytes)) = stream.next().await {
        for message in parser.push(&bytes).map_err(FollowError::Call)? {
            output.print(&message.json(), &message.text()).map_err(FollowError::Output)?;
            if message.id.is_some() {
                last_id.clone_from(&message.id);
            }
        }
    }
    Ok(())
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    event: String,
    data: String,
}

impl Message {
    fn data(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| Value::from(self.data.as_str()))
    }

    fn json(&self) -> Value {
        json!({ "id": self.id, "event": self.event, "data": self.data() })
    }

    /// Returns the type, followed by the names and values of the members that are not null.
    fn text(&self) -> String {
        let mut words = vec![self.event.clone()];
        match self.data() {
            Value::Object(members) => {
                words.extend(members.iter().filter_map(|(name, value)| word(name, value)));
            }
            Value::String(text) => words.push(text),
            other => words.push(other.to_string()),
        }
        words.join(" ")
    }
}

fn word(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.contains(' ') => Some(format!("{name}={value}")),
        Value::String(text) => Some(format!("{name}={text}")),
        value => Some(format!("{name}={value}")),
    }
}

/// Assembles messages from pieces of a stream in the format of HTML's server-sent events.
#[derive(Default)]
struct Parser {
    rest: Vec<u8>,
    message: Message,
}

impl Parser {
    /// Returns the messages that these bytes complete.
    ///
    /// # Errors
    /// A message is too long.
    fn push(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Message>> {
        self.rest.extend_from_slice(bytes);
        anyhow::ensure!(
            self.rest.len() + self.message.data.len() <= MESSAGE_BYTES_MAX,
            "the daemon sent a message of more than {MESSAGE_BYTES_MAX} bytes"
        );
        let mut complete = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            complete.extend(self.line(line.trim_end_matches(['\r', '\n'])));
        }
        Ok(complete)
    }

    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return (!message.data.is_empty() || !message.event.is_empty()).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // Comments keep the connection alive. Other fields have no meaning here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_assembled_from_pieces() {
        let text = ": alive\n\nid: 7\nevent: event.accepted\ndata: {\"id\":\"evt_1\",\ndata: \"company\":null}\r\n\r\n\
                    event:stream.gap\ndata:{}\n\nid: 8\n";
        for size in [1, 3, 1000] {
            let mut parser = Parser::default();
            let pieces = text.as_bytes().chunks(size);
            let messages: Vec<Message> = pieces.flat_map(|piece| parser.push(piece).unwrap()).collect();
            assert_eq!(messages.len(), 2, "{size}");
            assert_eq!(
                (messages[0].id.as_deref(), messages[0].event.as_str()),
                (Some("7"), "event.accepted")
            );
            assert_eq!(messages[0].json()["data"], json!({"id": "evt_1", "company": null}));
            assert_eq!(messages[0].text(), "event.accepted id=evt_1");
            assert_eq!((messages[1].id.as_deref(), messages[1].event.as_str()), (None, "stream.gap"));
        }
    }
}
