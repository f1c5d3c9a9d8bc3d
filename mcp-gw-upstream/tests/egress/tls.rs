//! TLS (E-10): always verified, for the name that is configured.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use mcp_gw_upstream::egress::{
    AddressRules, ApiRules, Base, BaseRules, Client, FixedUrl, RefusalCode, Trust,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::get;
use crate::names::Names;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

/// The name that each client asked for, and the head of its request.
type Seen = Vec<(Option<String>, String)>;

struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn server(authority: &Authority, name: &str) -> Server {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Mutex<Seen>>::default();
    let shared = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            shared.lock().unwrap().push((name, head));
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsafe";
            let _ = stream.write_all(reply).await;
            let _ = stream.shutdown().await;
        }
    });
    Server { port, seen, task }
}

async fn ask(port: u16, host: &str, trust: Trust) -> Result<String, (RefusalCode, &'static str)> {
    let names = Names::always([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let base = Base::parse(&format!("https://{host}:{port}"), BaseRules::new()).unwrap();
    let rules = ApiRules::new(base)
        .with_allow_private(true)
        .with_trust(trust);
    let client = Client::with_resolver(names);
    let answer = client.get(rules.check(get("/")).unwrap()).await;
    let answer = answer.map_err(|error| (error.code, error.rule))?;
    let body = answer.read_whole().await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_certificate_is_believed_for_the_name_that_is_configured() {
    let ours = authority();
    let server = server(&ours, "api.test").await;
    let trust = Trust::Pem(ours.pem.clone());
    assert_eq!(
        ask(server.port, "api.test", trust.clone()).await.unwrap(),
        "safe"
    );
    let (name, head) = server.seen.lock().unwrap()[0].clone();
    assert_eq!(name.as_deref(), Some("api.test"));
    assert!(
        head.contains(&format!("\r\nhost: api.test:{}\r\n", server.port)),
        "{head}"
    );

    let refused = Err((RefusalCode::UpstreamUnreachable, "E-10"));
    // Another name, an authority that is not known, those of the system only.
    assert_eq!(ask(server.port, "other.test", trust).await, refused);
    assert_eq!(
        ask(server.port, "api.test", Trust::Pem(authority().pem)).await,
        refused
    );
    assert_eq!(ask(server.port, "api.test", Trust::System).await, refused);
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_does_not_speak_tls_is_not_spoken_to_without() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain";
        stream.write_all(reply).await.unwrap();
        head.truncate(length);
        head
    });
    let seen = ask(port, "api.test", Trust::Pem(authority().pem)).await;
    assert_eq!(seen, Err((RefusalCode::UpstreamUnreachable, "E-10")));
    let sent = plain.await.unwrap();
    // A handshake, and no word of HTTP.
    assert_eq!(sent[0], 22);
    assert!(!String::from_utf8_lossy(&sent).contains("HTTP/"));
}

#[test]
fn a_file_without_certificates_is_a_fault_before_the_first_call() {
    let base = Base::parse("https://api.test", BaseRules::new()).unwrap();
    for pem in [
        "",
        "no",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let rules = ApiRules::new(base.clone()).with_trust(Trust::Pem(pem.to_owned()));
        assert!(Client::new().prepare(&rules).is_err(), "{pem:?}");
    }
    let rules = ApiRules::new(base).with_trust(Trust::Pem(authority().pem));
    Client::new().prepare(&rules).unwrap();
}

#[tokio::test]
async fn a_fixed_address_is_fetched_under_the_same_guard() {
    let ours = authority();
    let server = server(&ours, "keys.test").await;
    let url = format!("https://keys.test:{}/a/keys.json?x=1", server.port);
    let fixed = FixedUrl::parse(&url, BaseRules::new())
        .unwrap()
        .with_trust(Trust::Pem(ours.pem));
    let client = Client::with_resolver(Names::always([IpAddr::V4(Ipv4Addr::LOCALHOST)]));
    let error = client.get(fixed.get().unwrap()).await.unwrap_err();
    assert_eq!(error.code, RefusalCode::EgressBlocked);
    let fixed = fixed.with_addresses(AddressRules::new().with_private(true));
    let body = client
        .get(fixed.get().unwrap())
        .await
        .unwrap()
        .read_whole()
        .await
        .unwrap();
    assert_eq!(body, "safe");
    let head = server.seen.lock().unwrap()[0].1.clone();
    assert!(
        head.starts_with("GET /a/keys.json?x=1 HTTP/1.1\r\n"),
        "{head}"
    );
    let short = fixed.with_max_response(3);
    let answer = client.get(short.get().unwrap()).await.unwrap();
    let error = answer.read_whole().await.unwrap_err();
    assert_eq!(error.code, RefusalCode::ResponseTooLarge);

    assert!(FixedUrl::parse("https://h", BaseRules::new()).is_ok());
    for wrong in [
        "http://h/",
        "https://u@h/",
        "https://h/../x",
        "https://h/#x",
        "https://1.1.1.1/",
    ] {
        assert!(FixedUrl::parse(wrong, BaseRules::new()).is_err(), "{wrong}");
    }
}
