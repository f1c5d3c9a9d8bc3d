//! Whose certificates are believed (E-10).

use std::fmt;
use std::sync::Arc;

use mcp_gw_core::BoxError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};

/// Whose certificates are believed. Verification cannot be switched off.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities of the operating system.
    #[default]
    System,
    /// Only the authorities in this text: certificates in PEM.
    Pem(String),
    /// Those, and the authorities of the operating system.
    SystemAnd(String),
}

/// Why connections cannot be made safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The text holds no certificate, or one that cannot be read.
    #[error(
        "the CA file holds no certificate that can be read; it must be PEM (-----BEGIN CERTIFICATE-----)"
    )]
    Certificate,
    /// The system's certificates cannot be used.
    #[error("the certificates of the system cannot be used")]
    System(#[source] BoxError),
}

impl Trust {
    fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        all.ok()
            .filter(|all| !all.is_empty())
            .ok_or(TrustError::Certificate)
    }

    /// Without a set-up for the whole process: checked with `ring`, HTTP/1.1 and nothing else.
    pub(crate) fn client_config(&self, is_https: bool) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::System(error.into()))?;
        let tls = match self {
            Self::Pem(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in Self::certificates(pem)? {
                    roots
                        .add(certificate)
                        .map_err(|_| TrustError::Certificate)?;
                }
                tls.with_root_certificates(roots)
            }
            Self::SystemAnd(pem) => {
                let verifier = Verifier::new_with_extra_roots(Self::certificates(pem)?, provider)
                    .map_err(|error| TrustError::System(error.into()))?;
                tls.dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
            // Reading the certificates of the system takes time and memory that plain HTTP need not cost.
            Self::System if is_https => tls
                .with_platform_verifier()
                .map_err(|error| TrustError::System(error.into()))?,
            Self::System => tls.with_root_certificates(RootCertStore::empty()),
        };
        let mut tls = tls.with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Pem(_) => "Pem",
            Self::SystemAnd(_) => "SystemAnd",
        })
    }
}
