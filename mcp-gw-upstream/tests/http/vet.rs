//! What is listed on a new connection is judged before anything of a client goes there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_gw_core::{Backend as _, BackendError, BoxError, Feature, Offer};
use mcp_gw_upstream::{HttpServer, HttpServerConfig, Judgement, Vet};

use crate::answer;
use crate::client::{ASKABLE, Client};
use crate::fake::{Fake, INITIALIZED, Seen, handshake, status};
use crate::old::Old;
use crate::support::{call, context};

/// Refuses tools that do not say what they said first.
#[derive(Debug, Default)]
struct Strict {
    first: Mutex<Option<String>>,
    is_idle: AtomicBool,
    /// It cannot judge.
    is_lost: AtomicBool,
    times: AtomicUsize,
}

#[derive(Debug)]
struct Same(bool);

impl Judgement for Same {
    fn refuses(&self, feature: Feature, _: &str) -> bool {
        !self.0 && feature == Feature::Tool
    }
}

#[async_trait]
impl Vet for Strict {
    fn is_needed(&self) -> bool {
        !self.is_idle.load(Ordering::SeqCst)
    }

    async fn vet(self: Arc<Self>, offer: Offer) -> Result<Arc<dyn Judgement>, BoxError> {
        self.times.fetch_add(1, Ordering::SeqCst);
        if self.is_lost.load(Ordering::SeqCst) {
            return Err("no pins".into());
        }
        let now = offer.tools[0].definition().to_string();
        let mut first = self.first.lock().unwrap();
        let is_same = *first.get_or_insert_with(|| now.clone()) == now;
        Ok(Arc::new(Same(is_same)))
    }
}

/// A server with sessions whose tool changes.
#[derive(Debug)]
struct Changing {
    fake: Fake,
    says: Arc<Mutex<&'static str>>,
    forgotten: Arc<Mutex<HashSet<String>>>,
    calls: Arc<AtomicUsize>,
}

impl Changing {
    async fn start(can_list: bool) -> Self {
        let says = Arc::new(Mutex::new("good"));
        let forgotten: Arc<Mutex<HashSet<String>>> = Arc::default();
        let (calls, sessions) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(1));
        let (of_text, of_ids) = (Arc::clone(&says), Arc::clone(&forgotten));
        let of_calls = Arc::clone(&calls);
        let fake = Fake::start(move |seen: Seen| {
            let session = seen.header("mcp-session-id").unwrap_or_default().to_owned();
            let response = match seen.method() {
                _ if of_ids.lock().unwrap().contains(&session) => status(404),
                "initialize" => {
                    let mut response = seen.result(INITIALIZED);
                    let number = sessions.fetch_add(1, Ordering::SeqCst);
                    let id = format!("s{number}").parse().unwrap();
                    response.headers_mut().insert("mcp-session-id", id);
                    response
                }
                "tools/list" if !can_list => seen.error(200, -32000, "not today"),
                "tools/list" => seen.result(&format!(
                    r#"{{"tools":[{{"name":"echo","description":"{}","inputSchema":{{}}}}]}}"#,
                    of_text.lock().unwrap()
                )),
                "tools/call" => {
                    of_calls.fetch_add(1, Ordering::SeqCst);
                    answer(&seen)
                }
                _ => handshake(&seen).unwrap_or_else(|| status(405)),
            };
            async move { response }
        })
        .await;
        Self {
            fake,
            says,
            forgotten,
            calls,
        }
    }

    fn becomes(&self, text: &'static str) {
        *self.says.lock().unwrap() = text;
    }

    fn forget(&self, session: &str) {
        self.forgotten.lock().unwrap().insert(session.to_owned());
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn judged(fake: &Fake) -> (HttpServer, Arc<Strict>) {
    let strict: Arc<Strict> = Arc::default();
    let vet = Some(Arc::clone(&strict) as Arc<dyn Vet>);
    let config = HttpServerConfig::new("up", fake.url()).with_vet(vet);
    (HttpServer::new(&config).unwrap(), strict)
}

async fn echo(backend: &HttpServer, client: Option<&Client>) -> Result<(), BackendError> {
    let ctx = client.map_or_else(|| context().0, Client::context);
    backend.call_tool(&ctx, call("echo", "{}")).await.map(drop)
}

#[tokio::test]
async fn a_new_session_is_judged_once_and_before_its_first_call() {
    let server = Changing::start(true).await;
    let (backend, strict) = judged(&server.fake);
    let calls = (0..8).map(|_| echo(&backend, None));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(
        (server.calls(), strict.times.load(Ordering::SeqCst)),
        (8, 1)
    );
    server.becomes("evil");
    server.forget("s1");
    for _ in 0..3 {
        let refused = echo(&backend, None).await.unwrap_err();
        assert!(
            matches!(&refused, BackendError::NotFound { name, .. } if name == "echo"),
            "{refused}"
        );
    }
    // The first of them was sent into the session of before, which nobody knew.
    assert_eq!(server.calls(), 8);
    assert_eq!(strict.times.load(Ordering::SeqCst), 2);
    // It is looked at again after a while.
    server.becomes("good");
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while echo(&backend, None).await.is_err() {
        assert!(tokio::time::Instant::now() < end, "it is refused for ever");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (server.calls(), strict.times.load(Ordering::SeqCst)),
        (9, 3)
    );
}

#[tokio::test]
async fn a_session_of_a_clients_own_is_judged_by_itself() {
    let server = Changing::start(true).await;
    let (backend, _) = judged(&server.fake);
    echo(&backend, None).await.unwrap();
    server.becomes("evil");
    let own = Client::new(Some("c"), ASKABLE);
    assert!(matches!(
        echo(&backend, Some(&own)).await.unwrap_err(),
        BackendError::NotFound { .. }
    ));
    // The shared one is as it was.
    echo(&backend, None).await.unwrap();
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_can_be_judged() {
    let server = Changing::start(false).await;
    let (backend, strict) = judged(&server.fake);
    let calls = (0..4).map(|_| echo(&backend, None));
    for outcome in futures_util::future::join_all(calls).await {
        let error = outcome.unwrap_err();
        assert!(
            error.is_unsent() && error.to_string().contains("not today"),
            "{error}"
        );
    }
    assert_eq!(
        (server.calls(), strict.times.load(Ordering::SeqCst)),
        (0, 0)
    );

    let server = Changing::start(true).await;
    let (backend, strict) = judged(&server.fake);
    strict.is_lost.store(true, Ordering::SeqCst);
    let error = echo(&backend, None).await.unwrap_err();
    assert!(
        error.is_unsent() && error.to_string().contains("no pins"),
        "{error}"
    );
    strict.is_lost.store(false, Ordering::SeqCst);
    echo(&backend, None).await.unwrap();
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn where_nothing_has_to_wait_nothing_is_read() {
    let mut server = Changing::start(true).await;
    let (backend, strict) = judged(&server.fake);
    strict.is_idle.store(true, Ordering::SeqCst);
    echo(&backend, None).await.unwrap();
    let methods = server.fake.methods();
    assert!(
        !methods.iter().any(|method| method == "tools/list"),
        "{methods:?}"
    );
}

/// Lets nothing of the server be heard while it is closed.
#[derive(Debug, Default)]
struct Gag(AtomicBool);

#[async_trait]
impl Vet for Gag {
    fn is_needed(&self) -> bool {
        false
    }

    async fn vet(self: Arc<Self>, _: Offer) -> Result<Arc<dyn Judgement>, BoxError> {
        Ok(Arc::new(Same(true)))
    }

    fn is_silenced(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_server_that_may_not_be_heard_asks_nothing_in_calls_under_way_and_they_end() {
    let mut old = Old::start().await;
    let gag: Arc<Gag> = Arc::default();
    let vet = Some(Arc::clone(&gag) as Arc<dyn Vet>);
    let backend = HttpServer::new(&old.config().with_vet(vet)).unwrap();
    let mut client = Client::new(Some("c"), ASKABLE);
    let ctx = client.context();
    let task = tokio::spawn(async move { backend.call_tool(&ctx, call("t", "{}")).await });
    let opened = old.call().await;
    let question = |id: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{{}}}}"#)
    };
    let log = |text: &str| {
        let method = "notifications/message";
        format!(
            r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"level":"info","data":"{text}"}}}}"#
        )
    };
    opened.say(&log("heard")).await;
    opened.say(&question("before")).await;
    let asked = client.asked().await;
    gag.0.store(true, Ordering::SeqCst);
    asked.answer(Ok(r#"{"action":"accept","content":{"secret":1}}"#));
    let answer = old.fake.next("POST").await;
    assert!(
        answer.text.contains(r#""id":"before","error""#),
        "{}",
        answer.text
    );
    opened.say(&log("unheard")).await;
    opened.say(&question("after")).await;
    let answer = old.fake.next("POST").await;
    assert!(
        answer.text.contains(r#""id":"after","error""#),
        "{}",
        answer.text
    );
    let told = format!("{:?}", client.told());
    assert!(
        told.contains("heard") && !told.contains("unheard"),
        "{told}"
    );
    opened.finish(r#"{"content":[]}"#).await;
    let output = task.await.unwrap().unwrap();
    assert_eq!(output.as_raw().as_str(), r#"{"content":[]}"#);
}
