//! Listening sockets: bound by the daemon, or inherited from a service manager.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

use crate::api::caller::Peer;
use crate::config::Listen;

/// The most connections that the kernel queues until the daemon accepts them. `net.core.somaxconn` may lower it.
///
/// When the queue is full, the kernel drops the first packet of a connection, and the client retries after a second.
const BACKLOG: u32 = 4096;

/// A listening socket that the parent process opened, and that outlives this process.
#[derive(Debug)]
pub enum Inherited {
    /// A TCP socket.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

impl Inherited {
    /// Returns the socket's address in the form of `server.listen`.
    ///
    /// # Errors
    /// If the socket has no address, or is a Unix socket without a path.
    pub fn listen(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address
                    .as_pathname()
                    .ok_or_else(|| io::Error::other("the inherited Unix socket has no path"))?;
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Binds a socket to an address of the config and listens on it.
    ///
    /// The file of a Unix socket gets the mode `unix_mode` before the first connection is possible. A file that a
    /// process left behind when it ended is replaced.
    ///
    /// # Errors
    /// If the address or path is in use, or may not be bound.
    pub async fn bind(listen: &Listen, unix_mode: u32) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
                // Without this, a restart fails until the kernel forgets the connections of the last run.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                socket.listen(BACKLOG).map(Self::Tcp)
            }
            Listen::Unix(path) => {
                remove_dead_socket(path).await?;
                let socket = UnixSocket::new_stream()?;
                socket.bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(unix_mode))?;
                socket.listen(BACKLOG).map(Self::Unix)
            }
        }
    }

    /// Takes over an inherited socket, which already listens.
    ///
    /// # Errors
    /// If the runtime cannot use the socket.
    pub fn adopt(inherited: Inherited) -> io::Result<Self> {
        match inherited {
            Inherited::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Inherited::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// Returns the bound address, with the port that the system chose for port 0; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    /// If the kernel cannot hand over a connection, usually because no file descriptor is left.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // This fails if the peer has already closed the connection. The next read then reports it.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// The byte stream of an accepted connection.
pub(super) enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection over a Unix socket.
    Unix(UnixStream),
}

/// Removes the file of a Unix socket that no process listens on any longer.
async fn remove_dead_socket(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        return std::fs::remove_file(path);
    }
    Ok(())
}
