//! The server: accepts connections, speaks TLS and HTTP with them, and stops gracefully.
//!
//! [`serve`] runs one accept loop per [`Listener`]. Each connection is a task of its own, which goes through these
//! files:
//!
//! 1. `accept` takes the connection from the listener and waits for a permit of the `connection_limit`. If the limit
//!    is reached, the limit evicts connections that keep the daemon waiting.
//! 2. [`tls`] makes the handshake, if the listener speaks TLS.
//! 3. `connection` serves HTTP until the peer closes the connection, stays silent for too long, or the daemon stops.
//!    [`write_timeout`] closes it if the peer stops reading.
//!
//! All of it runs as tasks of the caller's runtime, without threads of its own, so that tests can pause the clock.

pub use self::accept::serve;
pub use self::limits::Limits;
pub use self::listener::{Inherited, Listener};

mod accept;
mod connection;
mod connection_limit;
mod limits;
mod listener;
pub mod tls;
mod tracked_body;
pub mod write_timeout;

#[cfg(test)]
mod tests;
