//! The limits of the server.

use std::time::Duration;

/// The limits that the server puts on its connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections open at once, over all listeners. When they are all in use, a new connection replaces one
    /// that keeps the daemon waiting. If there is none, the new connection waits.
    pub connections_max: usize,
    /// The longest time that a connection may take to send the head of a request, including the idle time before it.
    pub head_timeout: Duration,
    /// The longest time that a peer may leave a response unread.
    pub write_timeout: Duration,
    /// The longest time that a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// The longest time that open requests may take to finish after a stop begins.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    /// Returns 4,096 connections, 30 s for a head and for a write, and 10 s for a handshake and for the stop.
    fn default() -> Self {
        Self {
            connections_max: 4096,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
