//! A reader of `/v1/stream`: one connection that parses server-sent events from the chunks.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamMessage {
    pub(crate) id: u64,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// A connection to the stream.
pub(crate) struct StreamReader {
    stream: TcpStream,
    bytes: Vec<u8>,
    text: String,
    /// The lines of the response's head.
    pub(crate) head: Vec<String>,
    /// The number of comments received.
    pub(crate) comments: usize,
}

impl StreamReader {
    /// Requests `/v1/stream` with `query` and waits for the head of the response.
    pub(crate) async fn start(address: SocketAddr, query: &str, last: Option<u64>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // A small buffer makes the daemon notice a stalled reader soon.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let last = last.map_or(String::new(), |last| format!("last-event-id: {last}\r\n"));
        let request = format!("GET /v1/stream{query} HTTP/1.1\r\nhost: {address}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut listener =
            Self { stream, bytes: Vec::new(), text: String::new(), head: Vec::new(), comments: 0 };
        let end = loop {
            if let Some(end) = listener.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(listener.read().await, "no answer");
        };
        let rest = listener.bytes.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut listener.bytes, rest)).unwrap();
        listener.head = head.trim_end().lines().map(str::to_ascii_lowercase).collect();
        listener
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.bytes.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Removes whole chunks from the received bytes. Returns false at the last one.
    fn unchunk(&mut self) -> bool {
        while let Some(line) = self.bytes.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.bytes[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let whole = line + 2 + size + 2;
            if self.bytes.len() < whole {
                return true;
            }
            self.text.push_str(std::str::from_utf8(&self.bytes[line + 2..line + 2 + size]).unwrap());
            self.bytes.drain(..whole);
            if size == 0 {
                return false;
            }
        }
        true
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<StreamMessage> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(told) = self.parse(block.trim_end()) {
                    return Some(told);
                }
            }
            if !(self.unchunk() && (self.text.contains("\n\n") || self.read().await))
                && !self.text.contains("\n\n")
            {
                return None;
            }
        }
    }

    fn parse(&mut self, block: &str) -> Option<StreamMessage> {
        let (mut id, mut event, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", text) => id = Some(text.parse().unwrap()),
                ("event", text) => event = Some(text.to_owned()),
                ("data", text) => data = Some(serde_json::from_str(text).unwrap()),
                ("retry", text) => assert_eq!(text, "1000"),
                (":", "") => self.comments += 1,
                other => panic!("{other:?}"),
            }
        }
        Some(StreamMessage { id: id?, event: event?, data: data? })
    }

    /// Returns the next `count` events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<StreamMessage> {
        let mut told = Vec::with_capacity(count);
        while told.len() < count {
            let next = tokio::time::timeout(Duration::from_hours(1), self.next()).await;
            let next = next.unwrap_or_else(|_| panic!("waited an hour in vain after {told:?}"));
            told.push(next.unwrap_or_else(|| panic!("the stream ended after {told:?}")));
        }
        told
    }
}
