//! The identity of a TLS server: its certificates, its key, and the rules for its connections.
//!
//! TLS 1.2 and 1.3, with the protocol http/1.1. One certificate answers every server name. This
//! module does no I/O: a connection moves the bytes of its session.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, ServerConfig, ServerConnection,
    crypto::ring::{Ticketer, default_provider},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// The certificates and the key of a TLS server, and what its sessions share.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    config: Arc<ServerConfig>,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsIdentityError {
    /// The text holds no certificate.
    NoCertificate,
    /// The text holds no private key, or one of an unknown kind.
    NoKey,
    /// A certificate cannot be parsed.
    BadCertificate,
    /// The key belongs to another certificate.
    Mismatch,
    /// The key or its algorithm is not supported.
    Unsupported(String),
}

impl TlsIdentity {
    /// Creates an identity from PEM texts: the chain, which begins with the server's own
    /// certificate, and the private key (PKCS #8, PKCS #1 or SEC 1). Other text is ignored.
    ///
    /// # Errors
    /// Fails if either is missing or not valid, or if they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<TlsIdentity, TlsIdentityError> {
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| TlsIdentityError::BadCertificate)?;
        if chain.is_empty() {
            return Err(TlsIdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsIdentityError::NoKey)?;
        let provider = Arc::new(default_provider());
        let unsupported = |e: rustls::Error| TlsIdentityError::Unsupported(e.to_string());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unsupported)?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => TlsIdentityError::Mismatch,
            rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
                TlsIdentityError::BadCertificate
            }
            e => unsupported(e),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A ticket holds the session, so resumption takes no memory here.
        config.ticketer = Ticketer::new().map_err(unsupported)?;
        Ok(TlsIdentity { config: Arc::new(config) })
    }

    /// Starts the session of a new connection.
    ///
    /// # Errors
    /// Fails if the system has no randomness.
    pub(crate) fn session(&self) -> Result<ServerConnection, rustls::Error> {
        ServerConnection::new(Arc::clone(&self.config))
    }
}

impl fmt::Display for TlsIdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsIdentityError::NoCertificate => f.write_str("there is no certificate"),
            TlsIdentityError::NoKey => f.write_str("there is no private key"),
            TlsIdentityError::BadCertificate => f.write_str("the certificate is not valid"),
            TlsIdentityError::Mismatch => f.write_str("the key belongs to another certificate"),
            TlsIdentityError::Unsupported(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TlsIdentityError {}
