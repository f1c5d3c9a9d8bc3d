//! Certificates are checked, and a CA of one's own can be given.
#![cfg(test)]

use std::sync::Arc;

use mcp_gw_admin_client::api7::{Client, ClientConfig};
use mcp_gw_admin_client::http::{Done, ErrorKind, RetryPolicy, Trust};
use mcp_gw_core::Secret;
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn trust(&self) -> Trust {
        Trust::Pem(self.0.pem())
    }

    /// A dashboard with a certificate of this authority for `name`; answers each connection once.
    async fn dashboard(&self, name: &str) -> u16 {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        serve(certificate.der().clone(), &key).await
    }
}

/// What `openssl req -x509` makes: signed by itself, and an authority's.
fn self_signed(name: &str) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

async fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not believe the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = r#"{"value":{"id":"r"}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    port
}

fn client(port: u16, trust: Trust) -> Client {
    let mut config = ClientConfig::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.trust = trust;
    config.retries = RetryPolicy::never();
    Client::with_config(config, Secret::new("a7ee-hidden".to_owned())).unwrap()
}

#[tokio::test]
async fn only_the_authorities_that_are_given_are_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let port = authority.dashboard("127.0.0.1").await;
    let role = client(port, authority.trust())
        .roles()
        .get("r")
        .await
        .unwrap();
    assert_eq!(role.id.as_deref(), Some("r"));
    for trust in [Trust::System, other.trust()] {
        let error = client(port, trust).roles().get("r").await.unwrap_err();
        assert_eq!((error.kind, error.done), (ErrorKind::Unavailable, Done::No));
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_is_not_believed() {
    let authority = Authority::new();
    let port = authority.dashboard("other.example").await;
    let error = client(port, authority.trust())
        .roles()
        .get("r")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_believed_when_it_is_the_one_that_was_given() {
    let (known, key) = self_signed("127.0.0.1");
    let (other, _) = self_signed("127.0.0.1");
    let port = serve(known.der().clone(), &key).await;
    for trust in [Trust::Pem(known.pem()), Trust::SystemAnd(known.pem())] {
        let role = client(port, trust).roles().get("r").await.unwrap();
        assert_eq!(role.id.as_deref(), Some("r"));
    }
    for trust in [Trust::Pem(other.pem()), Trust::SystemAnd(other.pem())] {
        let error = client(port, trust).roles().get("r").await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // Not for another name, and not when it is over.
    let (known, key) = self_signed("other.example");
    let port = serve(known.der().clone(), &key).await;
    let asked = client(port, Trust::Pem(known.pem()));
    let error = asked.roles().get("r").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let over = params.self_signed(&key).unwrap();
    let port = serve(over.der().clone(), &key).await;
    let asked = client(port, Trust::Pem(over.pem()));
    let error = asked.roles().get("r").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
