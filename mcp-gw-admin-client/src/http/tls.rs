//! Whose certificates are believed.

use std::sync::Arc;

use mcp_gw_core::BoxError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};

/// Whose certificates are believed. Verification cannot be switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities of the operating system.
    #[default]
    System,
    /// Only the authorities in this text: certificates in PEM. For a dashboard with a certificate of the
    /// company's own authority, or a self-signed one: a server that shows one of these very certificates, made out to
    /// its name and not expired, is believed too.
    Pem(String),
    /// Those, and the authorities of the operating system.
    SystemAnd(String),
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
    fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let all = CertificateDer::pem_slice_iter(pem.as_bytes());
        let all: Result<Vec<_>, _> = all.collect();
        all.ok()
            .filter(|all| !all.is_empty())
            .ok_or(TlsError::Certificate)
    }

    fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate.clone())
                .map_err(|_| TlsError::Certificate)?;
        }
        Ok(roots)
    }

    /// Who believes these certificates, and perhaps those of the system.
    fn verifier(pem: &str, and_system: bool) -> Result<Arc<Known>, TlsError> {
        let known = Self::certificates(pem)?;
        let roots = Self::roots(&known)?;
        let provider = Arc::new(ring::default_provider());
        let others: Arc<dyn ServerCertVerifier> = if and_system {
            let verifier = Verifier::new_with_extra_roots(known.clone(), provider)
                .map_err(|error| TlsError::System(error.into()))?;
            Arc::new(verifier)
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|_| TlsError::Certificate)?
        };
        Ok(Arc::new(Known { known, others }))
    }

    /// Without a set-up for the whole process: checked with `ring`, HTTP/1.1.
    pub(crate) fn client_config(&self, is_https: bool) -> Result<ClientConfig, TlsError> {
        let system = |error: BoxError| TlsError::System(error);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| system(error.into()))?;
        // Reading the certificates of the system takes time and memory that plain HTTP need not cost.
        let tls = match self {
            Self::Pem(pem) => tls
                .dangerous()
                .with_custom_certificate_verifier(Self::verifier(pem, false)?),
            Self::SystemAnd(pem) => tls
                .dangerous()
                .with_custom_certificate_verifier(Self::verifier(pem, is_https)?),
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

/// Checks as others do, and believes a server that shows a known certificate which is also an authority's: what
/// `openssl req -x509` makes, and what others refuse to take for a server's.
#[derive(Debug)]
struct Known {
    known: Vec<CertificateDer<'static>>,
    others: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked = self
            .others
            .verify_server_cert(shown, chain, name, ocsp, now);
        match checked {
            // Whether it is in force was checked before that.
            Err(error) if is_authority(&error) && self.known.contains(shown) => {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.others
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.others
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}

/// The only fault is that the certificate is an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            format!("{other:?}").contains("CaUsedAsEndEntity")
        }
        _ => false,
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
