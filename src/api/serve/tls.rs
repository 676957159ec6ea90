//! TLS for the listeners, with a certificate that can be reloaded while connections are open.
//!
//! A connection keeps the certificate that it started with. New connections use the certificate that was loaded last. A
//! certificate and its key are loaded together: if one of them is invalid, the previous pair stays in use.

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

/// The protocols offered by ALPN, in order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// The first byte of every TLS connection: the type of a handshake record.
const HANDSHAKE: u8 = 0x16;
/// The most bytes of a plain HTTP request to read before closing the connection, so that the response arrives.
const STRAY_BYTES_MAX: usize = 64 * 1024;
const STRAY_TIMEOUT: Duration = Duration::from_secs(2);

/// The response to plain HTTP on a TLS port.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n\
    {\"type\":\"urn:postrider:problem:malformed\",\"title\":\"The request cannot be parsed\",\"status\":400,\
    \"detail\":\"this port expects TLS: use https:// instead of http://\"}";

/// The reason that a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file with the certificate or the key.
        path: PathBuf,
        /// The underlying error.
        error: pem::Error,
    },
    /// The file contains no certificate.
    #[error("{path} contains no certificate: expected PEM with -----BEGIN CERTIFICATE-----", path = .0.display())]
    NoCertificate(PathBuf),
    /// The certificate and the key cannot be used together.
    #[error("cannot use certificate {cert} with key {key}: {error}", cert = files.cert.display(), key = files.key.display())]
    Pair {
        /// The files of the certificate and the key.
        files: TlsFiles,
        /// The underlying error.
        error: rustls::Error,
    },
}

/// The certificate and key of the listeners. Cheap to clone; clones share one certificate.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ArcSwap<Loaded>>);

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Loads a certificate with its chain, and its key.
    ///
    /// # Errors
    /// If a file cannot be read, or the certificate and the key do not belong together.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(load(files)?))))
    }

    /// Loads the files again, for new connections. Returns whether the certificates have changed.
    ///
    /// # Errors
    /// See [`open`](Self::open). After an error the previous certificate stays in use.
    pub fn reload(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        let loaded = load(files)?;
        let before = self.0.load();
        let differs = before.chain != loaded.chain;
        self.0.store(Arc::new(loaded));
        Ok(differs)
    }

    /// Makes the TLS handshake on a connection.
    ///
    /// Returns `None` if the peer speaks plain HTTP. The peer gets an error response in plain HTTP.
    ///
    /// # Errors
    /// If the handshake fails.
    pub(super) async fn accept(
        &self,
        mut stream: TcpStream,
    ) -> std::io::Result<Option<TlsStream<TcpStream>>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            refuse_plain_http(&mut stream).await?;
            return Ok(None);
        }
        let config = Arc::clone(&self.0.load().config);
        TlsAcceptor::from(config).accept(stream).await.map(Some)
    }
}

/// Answers a plain HTTP request with an error that an HTTP client can show.
async fn refuse_plain_http(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PLAIN.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(STRAY_BYTES_MAX as u64);
    let mut sink = tokio::io::sink();
    // If the connection were closed with unread bytes, the kernel would reset it and the peer would lose the response.
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

/// Returns the certificates of a PEM file, at least one.
///
/// # Errors
/// If the file cannot be read or contains no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| read_error(path, error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn read_error(path: &Path, error: pem::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), error }
}
