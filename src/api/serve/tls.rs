//! TLS of the listeners: a certificate and its key, exchanged while connections go on.
//!
//! A connection keeps the certificate that it began with; a new one gets what was loaded last. Nothing is loaded in
//! part: a bad pair leaves the one before in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;

/// What is offered by ALPN, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;
/// How much of what is no TLS is read before the connection is closed, so that its answer arrives.
const STRAY_BYTES_MAX: usize = 64 * 1024;
const STRAY_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer to plain HTTP.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n\
    {\"type\":\"urn:postrider:problem:malformed\",\"title\":\"The request cannot be read\",\"status\":400,\
    \"detail\":\"this port speaks TLS: call it with https://\"}";

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: pem::Error,
    },
    /// The file has no certificate.
    #[error("read {path}: it has no certificate: expected PEM with -----BEGIN CERTIFICATE-----", path = .0.display())]
    NoCertificate(PathBuf),
    /// The two cannot be used together.
    #[error("use {cert} with {key}: {error}", cert = files.cert.display(), key = files.key.display())]
    Pair {
        /// The two files.
        files: TlsFiles,
        /// Why not.
        error: rustls::Error,
    },
}

/// What listeners take connections with. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ArcSwap<Loaded>>);

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Loads a certificate, its chain after it, and its key.
    ///
    /// # Errors
    /// A file that cannot be read, or two that do not belong together.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(load(files)?))))
    }

    /// Loads them again for new connections; tells whether the certificates are others than before.
    ///
    /// # Errors
    /// As [`open`](Self::open); then those of before stay in use.
    pub fn reload(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        let loaded = load(files)?;
        let before = self.0.load();
        let differs = before.chain != loaded.chain;
        self.0.store(Arc::new(loaded));
        Ok(differs)
    }

    /// Makes the handshake; none if the peer speaks plain HTTP, which has been answered.
    ///
    /// # Errors
    /// A handshake that breaks off.
    pub(super) async fn accept(
        &self,
        mut stream: TcpStream,
    ) -> std::io::Result<Option<TlsStream<TcpStream>>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            refuse(&mut stream).await?;
            return Ok(None);
        }
        let config = Arc::clone(&self.0.load().config);
        TlsAcceptor::from(config).accept(stream).await.map(Some)
    }
}

/// Says what is wrong in a way that an HTTP client shows.
async fn refuse(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PLAIN.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(STRAY_BYTES_MAX as u64);
    let mut sink = tokio::io::sink();
    // Closing with bytes unread would take the answer back.
    match tokio::time::timeout(STRAY_TIMEOUT, tokio::io::copy(&mut rest, &mut sink)).await {
        Ok(copied) => copied.map(drop),
        Err(_) => Ok(()),
    }
}

fn load(files: &TlsFiles) -> Result<Loaded, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| read_error(&files.key, error))?;
    let pair_error = |error| TlsError::Pair { files: files.clone(), error };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair_error)?
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)
        .map_err(pair_error)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Loaded { config: Arc::new(config), chain })
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// See [`TlsError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| read_error(path, error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn read_error(path: &Path, error: pem::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), error }
}
