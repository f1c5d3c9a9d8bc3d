//! Whose certificates are believed.

use std::sync::Arc;

use mcp_gw_core::BoxError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Whose certificates are believed. Verification cannot be switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities of the operating system.
    #[default]
    System,
    /// Only the authorities in this text: certificates in PEM. For a dashboard with a certificate of the
    /// company's own authority, or a self-signed one.
    Pem(String),
}

/// Why a connection cannot be made safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
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
    fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| TlsError::Certificate)?;
            roots.add(certificate).map_err(|_| TlsError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Certificate);
        }
        Ok(roots)
    }

    /// Without a set-up for the whole process: checked with `ring`, HTTP/1.1.
    pub(crate) fn client_config(&self, is_https: bool) -> Result<ClientConfig, TlsError> {
        let system = |error: BoxError| TlsError::System(error);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| system(error.into()))?;
        // Reading the certificates of the system takes time and memory that plain HTTP need not cost.
        let tls = match self {
            Self::Pem(pem) => tls.with_root_certificates(Self::roots(pem)?),
            Self::System if is_https => tls
                .with_platform_verifier()
                .map_err(|error| system(error.into()))?,
            Self::System => tls.with_root_certificates(RootCertStore::empty()),
        };
        let mut tls = tls.with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        for text in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n",
        ] {
            let trust = Trust::Pem(text.to_owned());
            assert!(matches!(
                trust.client_config(true),
                Err(TlsError::Certificate)
            ));
        }
    }
}
