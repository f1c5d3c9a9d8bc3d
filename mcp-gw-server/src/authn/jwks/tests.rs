use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_gw_core::testing::ManualClock;
use tokio::sync::Semaphore;

use super::super::key::Found;
use super::*;
use crate::config::JwtAlgorithm;

/// Answers what it is given, when it may.
struct Script {
    answers: Mutex<VecDeque<Result<Fetched, String>>>,
    asked: AtomicUsize,
    may: Semaphore,
}

struct Handle(Arc<Script>);

#[async_trait]
impl JwksSource for Handle {
    async fn fetch(&self) -> Result<Fetched, String> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.may.acquire().await.unwrap().forget();
        let next = self.0.answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| Err("nothing is left to say".to_owned()))
    }
}

struct Rig {
    script: Arc<Script>,
    clock: ManualClock,
    jwks: Jwks,
}

impl Rig {
    fn new() -> Self {
        let script = Arc::new(Script {
            answers: Mutex::default(),
            asked: AtomicUsize::new(0),
            may: Semaphore::new(0),
        });
        let clock = ManualClock::new();
        let jwks = Jwks::new(
            Box::new(Handle(Arc::clone(&script))),
            "https://login.example".to_owned(),
            (Duration::from_secs(600), Duration::from_secs(86_400)),
            Arc::new(clock.clone()),
        );
        Self {
            script,
            clock,
            jwks,
        }
    }

    fn says(&self, kid: &str, max_age: Option<u64>) {
        let body = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}}"#
        );
        let max_age = max_age.map(Duration::from_secs);
        self.answer(Ok(Fetched {
            body: body.into(),
            max_age,
        }));
    }

    fn answer(&self, answer: Result<Fetched, String>) {
        self.script.answers.lock().unwrap().push_back(answer);
        self.script.may.add_permits(1);
    }

    fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Lets what goes on in the background go on.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    async fn kid(&self) -> Option<String> {
        name(&*self.jwks.keys().await.ok()?)
    }

    async fn newer(&self) -> Option<String> {
        name(&*self.jwks.newer_keys().await?)
    }
}

/// The name of the key of a set, of the few that there are here.
fn name(set: &KeySet) -> Option<String> {
    let names = ["one", "two", "three"];
    let is = |name: &&&str| matches!(set.find(Some(name), JwtAlgorithm::EdDsa), Found::Keys(_));
    names.iter().find(is).map(|name| (*name).to_owned())
}

#[tokio::test]
async fn many_that_wait_have_keys_fetched_once() {
    let rig = Rig::new();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let jwks = rig.jwks.clone();
            tokio::spawn(async move { jwks.keys().await.is_ok() })
        })
        .collect();
    rig.settle().await;
    assert_eq!(rig.asked(), 1);
    rig.says("one", None);
    for waiting in waiting {
        assert!(waiting.await.unwrap());
    }
    assert_eq!(rig.asked(), 1);
    rig.later(599);
    assert_eq!(rig.kid().await.as_deref(), Some("one"));
    rig.settle().await;
    assert_eq!(rig.asked(), 1, "they are fresh");
}

#[tokio::test]
async fn old_keys_are_used_while_new_ones_are_fetched() {
    let rig = Rig::new();
    rig.says("one", None);
    assert_eq!(rig.kid().await.as_deref(), Some("one"));
    rig.later(600);
    // Nobody answers, and nobody waits.
    assert_eq!(rig.kid().await.as_deref(), Some("one"));
    assert_eq!(rig.kid().await.as_deref(), Some("one"));
    rig.settle().await;
    assert_eq!(rig.asked(), 2);
    rig.says("two", None);
    rig.settle().await;
    assert_eq!(rig.kid().await.as_deref(), Some("two"));
}

#[tokio::test]
async fn stale_keys_are_good_for_a_time_when_no_others_can_be_had() {
    let rig = Rig::new();
    rig.says("one", None);
    assert!(rig.kid().await.is_some());
    rig.later(86_400);
    rig.answer(Err("it is down".to_owned()));
    assert_eq!(
        rig.kid().await.as_deref(),
        Some("one"),
        "to the last second"
    );
    rig.settle().await;
    rig.later(1);
    assert_eq!(rig.kid().await, None);
    assert_eq!(rig.asked(), 2, "not so soon again");
    rig.later(30);
    rig.says("two", None);
    assert_eq!(rig.kid().await.as_deref(), Some("two"));
}

#[tokio::test]
async fn keys_that_never_came_are_asked_for_more_seldom() {
    let rig = Rig::new();
    let mut asked = 0;
    for pause in [1_u64, 2, 4, 8, 16, 30, 30] {
        rig.answer(Err("it is down".to_owned()));
        let why = rig.jwks.keys().await.unwrap_err();
        assert_eq!(why, "the keys of https://login.example cannot be had");
        asked += 1;
        assert_eq!(rig.asked(), asked);
        assert_eq!(rig.kid().await, None);
        rig.later(pause - 1);
        assert_eq!(rig.kid().await, None);
        assert_eq!(rig.asked(), asked, "too early by a second of {pause}");
        rig.later(1);
    }
    rig.says("one", None);
    assert_eq!(rig.kid().await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_key_that_nobody_knows_has_them_fetched_once_in_thirty_seconds() {
    let rig = Rig::new();
    rig.says("one", None);
    assert!(rig.kid().await.is_some());
    rig.says("two", None);
    assert_eq!(
        rig.newer().await.as_deref(),
        Some("two"),
        "a moment after the first time"
    );
    for _ in 0..100 {
        assert_eq!(rig.newer().await, None);
    }
    rig.later(29);
    assert_eq!(rig.newer().await, None);
    assert_eq!(rig.asked(), 2);
    rig.later(1);
    rig.says("three", None);
    assert_eq!(rig.newer().await.as_deref(), Some("three"));
    assert_eq!(rig.asked(), 3);
}

#[tokio::test]
async fn a_set_that_is_none_does_not_take_the_place_of_one() {
    let rig = Rig::new();
    rig.says("one", None);
    assert!(rig.kid().await.is_some());
    for body in ["", "{}", r#"{"keys":[]}"#, "<html>"] {
        rig.later(700);
        rig.answer(Ok(Fetched {
            body: body.into(),
            max_age: None,
        }));
        assert_eq!(rig.kid().await.as_deref(), Some("one"));
        rig.settle().await;
    }
    assert_eq!(rig.asked(), 5);
}

#[tokio::test]
async fn the_server_says_how_long_keys_are_good_within_bounds() {
    for (max_age, fresh) in [
        (Some(0), 60),
        (Some(3600), 3600),
        (Some(1 << 40), 86_400),
        (None, 600),
    ] {
        let rig = Rig::new();
        rig.says("one", max_age);
        assert!(rig.kid().await.is_some());
        rig.later(fresh - 1);
        assert!(rig.kid().await.is_some());
        rig.settle().await;
        assert_eq!(rig.asked(), 1, "{max_age:?}");
        rig.later(1);
        assert!(rig.kid().await.is_some());
        rig.settle().await;
        assert_eq!(rig.asked(), 2, "{max_age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_keeps_nobody_for_long() {
    let rig = Rig::new();
    let began = tokio::time::Instant::now();
    assert_eq!(rig.kid().await, None);
    assert_eq!(began.elapsed(), WITHIN);
}

#[tokio::test]
async fn a_new_configuration_keeps_the_keys_there_are() {
    let (before, after) = (Rig::new(), Rig::new());
    before.says("one", None);
    assert!(before.kid().await.is_some());
    after.jwks.take_over(&before.jwks);
    after.jwks.prefetch();
    assert_eq!(after.kid().await.as_deref(), Some("one"));
    assert_eq!(after.asked(), 0);
}

#[test]
fn what_cache_control_says_is_read() {
    for (lines, seconds) in [
        (&["max-age=90"][..], Some(90)),
        (&["public, Max-Age=90, must-revalidate"], Some(90)),
        (&["public", "max-age=\"90\""], Some(90)),
        (&["max-age=90, no-store"], Some(0)),
        (&["no-cache"], Some(0)),
        (&["s-maxage=90"], None),
        (&["max-age=x"], None),
        (&["max-age"], None),
        (&[], None),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, line.parse().unwrap());
        }
        assert_eq!(
            max_age(&headers),
            seconds.map(Duration::from_secs),
            "{lines:?}"
        );
    }
}

/// A server that answers every request with this.
async fn server(answer: String) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn fetched(url: &str) -> Result<Fetched, String> {
    let url = keys_at(&JwksConfig::default(), url).unwrap();
    HttpSource::of(url).fetch().await
}

#[tokio::test]
async fn keys_come_through_the_guard_on_requests() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=90\r\nConnection: close\r\n";
    let good = server(format!("{head}Content-Length: 11\r\n\r\n{{\"keys\":[]}}")).await;
    let got = fetched(&format!("http://{good}/j?x=1")).await.unwrap();
    assert_eq!(&*got.body, b"{\"keys\":[]}");
    assert_eq!(got.max_age, Some(Duration::from_secs(90)));
    let got = fetched(&format!("http://localhost:{}/j", good.port())).await;
    assert!(got.is_ok());

    let away =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{good}/\r\nConnection: close\r\n\r\n");
    let away = server(away).await;
    let error = fetched(&format!("http://{away}/")).await.err().unwrap();
    assert!(error.contains("302"), "{error}");

    let long = server(format!("{head}\r\n{}", " ".repeat(LONGEST_SET + 1))).await;
    let error = fetched(&format!("http://{long}/")).await.err().unwrap();
    assert!(error.contains("longer than"), "{error}");
}

/// Says of every name that it is this machine.
struct Here;

#[async_trait]
impl mcp_gw_upstream::egress::Resolve for Here {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()])
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_asked() {
    let config = JwksConfig::default();
    let url = keys_at(&config, "https://login.example/j").unwrap();
    let mut source = HttpSource::of(url);
    source.client = Client::with_resolver(Arc::new(Here));
    let error = source.fetch().await.err().unwrap();
    assert!(error.contains("allow_private"), "{error}");
}
