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

/// What the tools are told in the process that asks.
#[cfg(feature = "tools")]
const ASKS: &str = "MCP_GW_TEST_ASKS";

/// Which authorities the system has is read from the environment of a process: this test is run once more, in one of its own.
#[cfg(feature = "tools")]
#[expect(
    clippy::disallowed_methods,
    reason = "what a process is told when it is begun stands in its environment"
)]
#[tokio::test]
async fn tools_believe_the_given_authority_alone_and_for_the_gateway_the_systems_too() {
    if let Ok(told) = std::env::var(ASKS) {
        let [ca, given, of_system]: [&str; 3] =
            told.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let ca = std::fs::read_to_string(ca).unwrap();
        asks::api7(&ca, given, of_system).await;
        asks::apisix(&ca, given, of_system).await;
        return;
    }
    let (system, given) = (Authority::new(), Authority::new());
    let folder = std::env::temp_dir().join(format!("mcp-gw-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (of_system, ca) = (folder.join("system.pem"), folder.join("given.pem"));
    std::fs::write(&of_system, system.0.pem()).unwrap();
    std::fs::write(&ca, given.0.pem()).unwrap();
    let ports = [
        given.dashboard("127.0.0.1").await,
        system.dashboard("127.0.0.1").await,
    ];
    let [by_given, by_system] = ports.map(|port| format!("https://127.0.0.1:{port}"));
    let this = "tools_believe_the_given_authority_alone_and_for_the_gateway_the_systems_too";
    let (of_system, told) = (
        of_system.display().to_string(),
        format!("{} {by_given} {by_system}", ca.display()),
    );
    let child = tokio::task::spawn_blocking(move || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env("SSL_CERT_FILE", of_system)
            .env_remove("SSL_CERT_DIR")
            .env(ASKS, told)
            .output()
            .unwrap()
    });
    let output = child.await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[cfg(feature = "tools")]
mod asks {
    use mcp_gw_admin_client::tools::{api7, apisix};
    use mcp_gw_core::Secret;
    use mcp_gw_core::testing::call_context;
    use mcp_gw_core::{Arguments, Backend, Caller, NoClient, ToolCall};
    use serde_json::{Value, json};
    use std::sync::Arc;

    async fn asked(backend: &dyn Backend, tool: &str, arguments: Value) -> String {
        let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
        let arguments = Arguments::from_serialize(&arguments).unwrap();
        let call = ToolCall::new(tool, arguments);
        let output = backend.call_tool(&ctx, call).await.unwrap();
        output.as_raw().as_str().to_owned()
    }

    fn requests() -> Value {
        json!({"requests": [{"path": "/", "method": "GET"}]})
    }

    pub(crate) async fn api7(ca: &str, given: &str, of_system: &str) {
        for (dashboard, gateway) in [(given, of_system), (of_system, given)] {
            let token = Secret::new("a7ee-hidden".to_owned());
            let mut config = api7::Api7Config::new(dashboard.to_owned(), token);
            config.ca_pem = Some(ca.to_owned());
            config.gateway_url = Some(gateway.to_owned());
            let backend = api7::backend(&config).unwrap();
            let read = asked(&*backend, "get_role", json!({})).await;
            let is_refused = read.contains("certificate is not believed");
            assert_eq!(is_refused, dashboard == of_system, "{read}");
            let sent = asked(&*backend, "send_request_to_gateway", requests()).await;
            assert!(sent.contains(r#""successful":1"#), "{gateway}: {sent}");
        }
    }

    pub(crate) async fn apisix(ca: &str, given: &str, of_system: &str) {
        for (admin, gateway) in [(given, of_system), (of_system, given)] {
            let key = Secret::new("hidden-key".to_owned());
            let mut config = apisix::ApisixConfig::new(admin.to_owned(), key);
            config.ca_pem = Some(ca.to_owned());
            config.gateway_url = Some(gateway.to_owned());
            let backend = apisix::backend(&config).unwrap();
            let read = asked(&*backend, "get_resource", json!({"type": "routes"})).await;
            let is_refused = read.contains("certificate is not believed");
            assert_eq!(is_refused, admin == of_system, "{read}");
            let sent = asked(&*backend, "send_request_to_gateway", requests()).await;
            assert!(sent.contains(r#""successful":1"#), "{gateway}: {sent}");
        }
    }
}
