//! The crypto provider of the process.

/// Makes `ring` the crypto provider that TLS uses in this process, unless one is installed already.
pub(super) fn install_provider() {
    // An error means that another provider is installed. That one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
