//! A client of the API with a few keep-alive connections. It never retries.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longer than any response may take. The client reaches this limit only if the daemon hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// A response of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the body as JSON, or null if there is none.
    pub(crate) fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts that the response has this status and this body.
    #[track_caller]
    pub(crate) fn expect_text(self, status: u16, text: &str) {
        assert_eq!((self.status.as_u16(), &*String::from_utf8_lossy(&self.body)), (status, text));
    }

    /// Asserts the status and returns the body as JSON.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status.as_u16(), status, "{text}");
        self.json()
    }
}

/// The reason why there is no response.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The connection failed, so the request was never sent.
    Unsent(String),
    /// The request was sent at least in part, and its outcome is unknown.
    Unanswered(String),
}

/// A client of one daemon.
pub(crate) struct ApiClient {
    pub(crate) address: SocketAddr,
    key: Option<String>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    connections: Mutex<JoinSet<()>>,
}

impl ApiClient {
    /// Creates a client of the daemon at `address`. It connects on first use.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, key: None, idle: Mutex::default(), connections: Mutex::default() }
    }

    /// Returns the client with an API key.
    pub(crate) fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// Sends one request once.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, CallError> {
        let mut headers = HeaderMap::new();
        if !media_type.is_empty() {
            headers.insert("content-type", media_type.parse().unwrap());
        }
        self.send(method, path, headers, body).await
    }

    /// Sends one request with these headers once.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Answer, CallError> {
        let mut connection = match self.reuse().await {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| CallError::Unsent(error.to_string()))?,
        };
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        let mut request = request.body(Full::new(body.into())).unwrap();
        request.headers_mut().extend(headers);
        if let Some(key) = &self.key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let exchange = async {
            let (head, body) = connection.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer { status: head.status, headers: head.headers, body })
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .unwrap_or_else(|_| panic!("no answer to {path} within {ANSWER_WITHIN:?}"))
            .map_err(|error| CallError::Unanswered(error.to_string()))?;
        self.idle.lock().unwrap().push(connection);
        Ok(answer)
    }

    async fn reuse(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut connection = self.idle.lock().unwrap().pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        self.connections.lock().unwrap().spawn(async move {
            drop(connection.await);
        });
        Ok(sender)
    }

    /// Submits `body`, which is one event or an array of events.
    pub(crate) async fn submit(&self, body: &Value) -> Result<Answer, CallError> {
        self.call(Method::POST, "/v1/events", "application/json", body.to_string()).await
    }

    /// Submits one event, asserts that it is accepted, and returns the response's JSON.
    pub(crate) async fn accepted(&self, event: &Value) -> Value {
        self.submit(event).await.unwrap().expect(202)
    }

    /// Sends a GET request and asserts that it succeeds.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, "", "").await.unwrap().expect(200)
    }

    /// Sends a POST request with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, "application/json", body.to_string()).await.unwrap()
    }

    /// Sends a POST request without a body.
    pub(crate) async fn command(&self, path: &str) -> Answer {
        self.call(Method::POST, path, "", "").await.unwrap()
    }

    /// Sends a PATCH request and asserts that it succeeds.
    pub(crate) async fn patch(&self, path: &str, change: &Value) -> Value {
        self.call(Method::PATCH, path, "application/json", change.to_string()).await.unwrap().expect(200)
    }

    /// Sends a DELETE request and asserts that it succeeds.
    pub(crate) async fn delete(&self, path: &str) {
        let answer = self.call(Method::DELETE, path, "", "").await.unwrap();
        assert!(answer.status.is_success(), "{} {:?}", answer.status, answer.body);
    }

    /// Creates a subscription, asserts success, and returns the response, which holds its secret.
    pub(crate) async fn subscribe(&self, members: &Value) -> Value {
        self.post("/v1/subscriptions", members).await.expect(201)
    }

    /// Returns the current representation of a subscription.
    pub(crate) async fn subscription(&self, id: &str) -> Value {
        self.get(&format!("/v1/subscriptions/{id}")).await
    }

    /// Returns every item of a list, across all pages.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page = match cursor.as_str() {
                None => self.get(&format!("{path}{mark}limit=500")).await,
                Some(cursor) => self.get(&format!("{path}{mark}limit=500&cursor={cursor}")).await,
            };
            items.append(page["items"].as_array_mut().unwrap());
            cursor = page["next_cursor"].take();
            if cursor.is_null() {
                return items;
            }
        }
    }

    /// Returns the number of deliveries of all subscriptions that are not final.
    pub(crate) async fn unfinished(&self) -> u64 {
        let count = |stats: &Value, state: &str| stats[state].as_u64().unwrap();
        let subscriptions = self.list("/v1/subscriptions").await;
        let unfinished = |stats: &Value| {
            ["pending", "in_flight", "held"].iter().map(|state| count(stats, state)).sum::<u64>()
        };
        subscriptions.iter().map(|subscription| unfinished(&subscription["stats"])).sum()
    }
}

/// Returns an event with this type and `company/project`. Its data is `{"n": n}`.
pub(crate) fn event(event_type: &str, project: &str, n: u64) -> Value {
    let mut event = json!({"type": event_type, "data": {"n": n}});
    match project.split_once('/') {
        Some((company, project)) => {
            event["company"] = json!(company);
            event["project"] = json!(project);
        }
        None => event["project"] = json!(project),
    }
    event
}
