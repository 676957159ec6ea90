//! TLS settings for one receiver: the trusted authorities, and the daemon's client certificate.
//!
//! All of them are PEM, validated when they are parsed. Certificates are public and are shown. A client key
//! is a secret that no `Debug` output, error or response contains.

use std::fmt;
use std::str::FromStr;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use super::time::Timestamp;

/// The most bytes of a list of certificates in PEM.
const CERTIFICATES_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a key in PEM. An RSA key of 4096 bits takes 3.3 KiB.
const KEY_BYTES_MAX: usize = 4096;

/// One or more certificates in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates {
    pem: String,
    list: Vec<CertificateDer<'static>>,
    subject: String,
    expires_at: Timestamp,
}

/// Invalid PEM. The error does not contain the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PemError(String);

impl Certificates {
    /// Returns the PEM text.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the certificates in their order.
    pub fn list(&self) -> &[CertificateDer<'static>] {
        &self.list
    }

    /// Returns the subject of the first certificate (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns when the first certificate expires.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Checks that each certificate can be used as a certificate authority.
    ///
    /// # Errors
    /// Returns the first certificate that cannot be used.
    pub fn check_authorities(&self) -> Result<(), PemError> {
        let mut roots = RootCertStore::empty();
        self.list.iter().zip(1..).try_for_each(|(der, number)| {
            let added = roots.add(der.clone());
            added.map_err(|error| {
                PemError(format!(
                    "has a certificate (number {number}) that cannot be used as an authority: {error}"
                ))
            })
        })
    }
}

impl FromStr for Certificates {
    type Err = PemError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |detail: String| Err(PemError(detail));
        if text.len() > CERTIFICATES_BYTES_MAX {
            return fail(format!("has {} bytes: expected at most {CERTIFICATES_BYTES_MAX}", text.len()));
        }
        if text.contains("PRIVATE KEY") {
            return fail("contains a private key, and certificates are public: remove the key".to_owned());
        }
        let mut list = Vec::new();
        let mut first = None;
        for der in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let der = der.map_err(|error| PemError(format!("is not PEM: {error}")))?;
            let parsed = x509_cert::Certificate::from_der(&der).map_err(|error| {
                PemError(format!(
                    "has a certificate (number {}) that cannot be read: {error}",
                    list.len() + 1
                ))
            })?;
            first.get_or_insert(parsed.tbs_certificate);
            list.push(der);
        }
        let Some(first) = first else {
            return fail("contains no certificate: expected PEM with -----BEGIN CERTIFICATE-----".to_owned());
        };
        let expires_at =
            Timestamp::from_millis(super::time::millis(first.validity.not_after.to_unix_duration()));
        Ok(Self { pem: text.to_owned(), list, subject: first.subject.to_string(), expires_at })
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The private key of a client certificate, as PEM that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey(String);

impl ClientKey {
    /// Returns the PEM text. Never log or show it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientKey {
    type Err = PemError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > KEY_BYTES_MAX {
            return Err(PemError(format!("has {} bytes: expected at most {KEY_BYTES_MAX}", text.len())));
        }
        if text.contains("ENCRYPTED") {
            return Err(PemError("is encrypted: remove its passphrase".to_owned()));
        }
        match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(PemError(
                "contains no private key: expected PEM with -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY"
                    .to_owned(),
            )),
        }
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

/// The identity that the daemon presents to a receiver: a certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    chain: Certificates,
    key: ClientKey,
}

impl ClientIdentity {
    /// Creates an identity from a chain, whose first certificate belongs to the key.
    ///
    /// # Errors
    /// Returns an error if the kind of key is not supported, or if the key belongs to another certificate.
    pub fn new(chain: Certificates, key: ClientKey) -> Result<Self, PemError> {
        let der = PrivateKeyDer::from_pem_slice(key.0.as_bytes());
        let der = der.map_err(|_| PemError("contains no private key".to_owned()))?;
        match CertifiedKey::from_der(chain.list.clone(), der, &default_provider()) {
            Ok(_) => Ok(Self { chain, key }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(PemError("is not the key of the first certificate in tls_client_cert".to_owned()))
            }
            Err(error) => Err(PemError(format!(
                "cannot be used ({error}): expected RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519"
            ))),
        }
    }

    /// Returns the certificate chain.
    pub const fn chain(&self) -> &Certificates {
        &self.chain
    }

    /// Returns the private key.
    pub const fn key(&self) -> &ClientKey {
        &self.key
    }
}

/// A fingerprint of [`Tls`] settings. Settings that differ in any part have different fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsId([u8; 32]);

/// The TLS settings for one receiver, where they differ from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    authorities: Option<Certificates>,
    client: Option<ClientIdentity>,
    id: Option<TlsId>,
}

impl Tls {
    /// Creates settings from their parts. Without any part, the settings are the defaults.
    pub fn new(authorities: Option<Certificates>, client: Option<ClientIdentity>) -> Self {
        let is_own = authorities.is_some() || client.is_some();
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let texts = [
            authorities.as_ref().map(Certificates::pem),
            client.as_ref().map(|client| client.chain.pem()),
            client.as_ref().map(|client| client.key.reveal()),
        ];
        for text in texts.map(Option::unwrap_or_default) {
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        }
        let id = digest.finish().as_ref().try_into().ok().filter(|_| is_own).map(TlsId);
        Self { authorities, client, id }
    }

    /// Returns the authorities that the receiver's certificate must lead to. Without them, those of the
    /// system count.
    pub const fn authorities(&self) -> Option<&Certificates> {
        self.authorities.as_ref()
    }

    /// Returns the identity that the daemon presents if the receiver asks for a client certificate.
    pub const fn client(&self) -> Option<&ClientIdentity> {
        self.client.as_ref()
    }

    /// Returns the fingerprint, or `None` for the default settings.
    pub const fn id(&self) -> Option<TlsId> {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        params.self_signed(key).unwrap().pem()
    }

    fn key() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    #[test]
    fn certificates_have_a_subject_and_an_expiry() {
        let pem = certificate("crm.internal", &key());
        let read: Certificates = format!("# ours\n{pem}{}", certificate("ca", &key())).parse().unwrap();
        assert_eq!((read.list().len(), read.subject()), (2, "CN=crm.internal"));
        assert_eq!(read.expires_at().to_string(), "2031-02-03T00:00:00.000Z");
        assert_eq!(read.check_authorities(), Ok(()));
        assert_eq!(format!("{read:?}"), "Certificates { subject: \"CN=crm.internal\", .. }");
    }

    #[test]
    fn invalid_certificates_are_rejected_with_a_reason() {
        let key = key();
        let pem = certificate("a", &key);
        let cut = pem.replace("-----END", "-----FIN");
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, words) in [
            (String::new(), "contains no certificate"),
            (pem.clone() + &key.serialize_pem(), "contains a private key"),
            (cut, "is not PEM"),
            (pem.clone() + garbled, "has a certificate (number 2) that cannot be read"),
            ("x".repeat(CERTIFICATES_BYTES_MAX + 1), "bytes: expected at most"),
        ] {
            let error = text.parse::<Certificates>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(pem.parse::<Certificates>().is_ok());
    }

    #[test]
    fn client_key_must_belong_to_the_certificate_and_is_never_shown() {
        let (own, other) = (key(), key());
        let chain: Certificates = certificate("us", &own).parse().unwrap();
        let parsed: ClientKey = own.serialize_pem().parse().unwrap();
        let identity = ClientIdentity::new(chain.clone(), parsed).unwrap();
        assert!(!format!("{identity:?}").contains("BEGIN"), "{identity:?}");
        let error = ClientIdentity::new(chain, other.serialize_pem().parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "is not the key of the first certificate in tls_client_cert");
        for (text, words) in [
            (String::new(), "contains no private key"),
            (certificate("us", &own), "contains no private key"),
            (own.serialize_pem().replace("PRIVATE", "ENCRYPTED PRIVATE"), "is encrypted"),
            ("x".repeat(KEY_BYTES_MAX + 1), "bytes: expected at most"),
        ] {
            let error = text.parse::<ClientKey>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn different_settings_have_different_fingerprints() {
        let key = key();
        let certificates: Certificates = certificate("us", &key).parse().unwrap();
        let identity =
            ClientIdentity::new(certificates.clone(), key.serialize_pem().parse().unwrap()).unwrap();
        let all = [
            Tls::default(),
            Tls::new(Some(certificates.clone()), None),
            Tls::new(None, Some(identity.clone())),
            Tls::new(Some(certificates.clone()), Some(identity)),
        ];
        let ids: std::collections::BTreeSet<_> = all.iter().map(Tls::id).collect();
        assert_eq!((ids.len(), all[0].id()), (4, None));
        assert_eq!(Tls::new(Some(certificates), None), all[1]);
        assert_eq!(Tls::new(None, None), all[0]);
    }
}
