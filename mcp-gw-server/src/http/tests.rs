use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::HeaderValue;
use mcp_gw_core::testing::{ManualClock, RecordingAudit};
use mcp_gw_core::{AllowAll, CallContext, CallerKind, Gateway, NoArguments, ToolError, TypedTool};
use tokio::sync::Notify;

use super::*;
use crate::engine::EngineConfig;
use crate::session::SessionLimits;

struct Hello;

impl TypedTool for Hello {
    const NAME: &'static str = "hello";
    const DESCRIPTION: &'static str = "Greets.";
    type Args = NoArguments;
    type Output = String;

    async fn call(&self, ctx: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        Ok(format!("hello {}", ctx.caller().id))
    }
}

/// Says that it has begun, and ends when it is told to.
struct Slow(Arc<Notify>);

impl TypedTool for Slow {
    const NAME: &'static str = "slow";
    const DESCRIPTION: &'static str = "Takes its time.";
    type Args = NoArguments;
    type Output = String;

    async fn call(&self, ctx: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        ctx.progress(1.0, None, None);
        self.0.notified().await;
        ctx.progress(2.0, None, None);
        Ok("at last".to_owned())
    }
}

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) clock: ManualClock,
    audit: RecordingAudit,
    go: Arc<Notify>,
}

const IDLE: Duration = Duration::from_secs(60);

impl Bench {
    fn new() -> Self {
        Self::with(|config| config)
    }

    pub(super) fn with(change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        let (clock, audit) = (ManualClock::new(), RecordingAudit::new());
        let go = Arc::new(Notify::new());
        let gateway = Gateway::builder()
            .tool(Hello)
            .tool(Slow(Arc::clone(&go)))
            .policy(AllowAll::new())
            .audit(audit.clone())
            .build()
            .unwrap();
        let config = EngineConfig::default().with_sessions(SessionLimits::new(IDLE, 8, 16));
        let engine = Engine::with_clock(gateway, change(config), Arc::new(clock.clone()));
        Self {
            engine,
            clock,
            audit,
            go,
        }
    }

    pub(super) async fn post(&self, headers: &[(&str, &str)], body: &str) -> HttpReply {
        self.post_as("ann", headers, body).await
    }

    pub(super) async fn post_as(
        &self,
        who: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> HttpReply {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.engine.post(&map(headers), body, peer(who)).await
    }

    /// Begins a session of this revision.
    pub(super) async fn session(&self, revision: &str) -> String {
        let reply = self.post(&[], &initialize(revision)).await;
        let id = reply.headers.get(SESSION_ID).unwrap();
        id.to_str().unwrap().to_owned()
    }

    pub(super) fn get(&self, headers: &[(&str, &str)]) -> HttpReply {
        self.engine.get(&map(headers), &peer("ann"))
    }

    fn delete(&self, session: &str) -> u16 {
        let headers = map(&[(SESSION_ID, session)]);
        self.engine.delete(&headers, &peer("ann")).status.as_u16()
    }

    fn send(&self, session: &str, text: &str) -> bool {
        let found = self
            .engine
            .inner
            .sessions
            .find(session, &peer("ann").caller, None);
        let message = RawJson::parse(text.to_owned()).unwrap();
        found.unwrap().client.outbox.send(message)
    }
}

pub(super) fn initialize(revision: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{"roots":{{}}}},"clientInfo":{{"name":"t","version":"1"}}}}}}"#
    )
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn peer(who: &str) -> HttpPeer {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let caller = Arc::new(Caller::new(CallerKind::ApiKey, who));
    HttpPeer::new(caller, number.to_string(), None)
}

pub(super) fn full(reply: &HttpReply) -> String {
    match &reply.body {
        HttpBody::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        HttpBody::Pieces(pieces) => String::from_utf8(pieces.concat()).unwrap(),
        other => format!("{other:?}"),
    }
}

/// The events of a stream, without the first part of their ids, which is another in each run.
struct Events(std::pin::Pin<Box<dyn futures_util::Stream<Item = Bytes> + Send>>);

impl Events {
    fn of(reply: HttpReply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        match reply.body {
            HttpBody::Events(events) => Self(events),
            other => panic!("no stream: {other:?}"),
        }
    }

    async fn next(&mut self) -> Option<String> {
        let chunk = self.0.next().await?;
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    /// The next event that carries a message.
    async fn data(&mut self) -> Option<String> {
        loop {
            let event = self.next().await?;
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(data) = data {
                return Some(data.to_owned());
            }
        }
    }

    async fn rest(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(data) = self.data().await {
            rest.push(data);
        }
        rest
    }
}

fn id_of(event: &str) -> String {
    let id = event.lines().find_map(|line| line.strip_prefix("id: "));
    id.unwrap_or_else(|| panic!("no id: {event}")).to_owned()
}

fn slow(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"slow","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

fn hello(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"hello"}}}}"#)
}

#[tokio::test]
async fn messages_of_no_request_wait_for_a_get_and_go_to_one_stream() {
    let bench = Bench::new();
    let session = bench.session("2025-11-25").await;
    let headers = [(SESSION_ID, session.as_str())];
    assert!(bench.send(&session, "1"));
    let mut first = Events::of(bench.get(&headers));
    assert_eq!(first.data().await.unwrap(), "1");
    let mut second = Events::of(bench.get(&headers));
    bench.send(&session, "2");
    assert_eq!(first.next().await, None, "the second takes over");
    assert_eq!(second.data().await.unwrap(), "2");
    // What concerns a request goes where that is answered.
    let mut call = Events::of(bench.post(&headers, &slow(1)).await);
    bench.send(&session, "3");
    bench.go.notify_one();
    assert!(call.data().await.unwrap().contains("progress"));
    assert_eq!(second.data().await.unwrap(), "3");
    assert_eq!(call.rest().await.len(), 2);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_engine() {
    let bench = Bench::new();
    for end in ["delete", "wind_down", "stop"] {
        let session = bench.session("2025-06-18").await;
        let headers = [(SESSION_ID, session.as_str())];
        let mut stream = Events::of(bench.get(&headers));
        stream.next().await.unwrap();
        match end {
            "delete" => assert_eq!(bench.delete(&session), 204),
            "wind_down" => bench.engine.wind_down(),
            _ => bench.engine.stop(),
        }
        assert_eq!(stream.next().await, None, "{end}");
    }
}

#[tokio::test]
async fn an_open_stream_is_use_and_the_idle_time_begins_at_its_end() {
    let bench = Bench::new();
    let session = bench.session("2025-11-25").await;
    let headers = [(SESSION_ID, session.as_str())];
    let stream = Events::of(bench.get(&headers));
    bench.clock.advance(IDLE * 3);
    assert!(bench.engine.inner.sessions.sweep());
    drop(stream);
    bench.clock.advance(IDLE / 2);
    assert!(bench.engine.inner.sessions.sweep());
    bench.clock.advance(IDLE / 2);
    assert!(!bench.engine.inner.sessions.sweep(), "nothing is left");
    assert_eq!(bench.get(&headers).status, 404);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_goes_although_nobody_asks() {
    let bench = Bench::new();
    bench.session("2025-11-25").await;
    bench.clock.advance(IDLE);
    // Paused time moves when everybody waits: the sweeper is the only one.
    tokio::time::sleep(IDLE).await;
    assert!(bench.engine.inner.sessions.needs_sweeper(), "it has ended");
}

#[tokio::test]
async fn a_call_whose_connection_broke_is_answered_on_a_later_get() {
    let bench = Bench::new();
    let session = bench.session("2025-11-25").await;
    let headers = [(SESSION_ID, session.as_str())];
    let mut call = Events::of(bench.post(&headers, &slow(7)).await);
    let primed = call.next().await.unwrap();
    assert!(primed.ends_with("retry: 1000\ndata:\n\n"), "{primed}");
    let first = call.next().await.unwrap();
    drop(call);
    let resumed = |id: &str| bench.get(&[(SESSION_ID, session.as_str()), ("last-event-id", id)]);
    let rest = Events::of(resumed(&id_of(&first)));
    bench.go.notify_one();
    let rest = rest.rest().await;
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(rest[1].contains(r#""id":7"#) && rest[1].contains("at last"));
    // As long as it is kept, the same may be asked for again.
    assert_eq!(Events::of(resumed(&id_of(&primed))).rest().await.len(), 3);

    let other = bench.session("2025-11-25").await;
    let elsewhere = id_of(&primed);
    let stolen = bench.get(&[(SESSION_ID, other.as_str()), ("last-event-id", &elsewhere)]);
    assert_eq!(stolen.status, 400, "{}", full(&stolen));
    let stranger = [
        (SESSION_ID, session.as_str()),
        ("last-event-id", &elsewhere),
    ];
    let stranger = bench.engine.get(&map(&stranger), &peer("bob"));
    assert_eq!(stranger.status, 404);
    for odd in ["0", "nonsense", "ffffffff-1-1"] {
        assert_eq!(resumed(odd).status, 400, "{odd}");
    }
    bench.clock.advance(Duration::from_secs(5 * 60));
    let session = bench
        .engine
        .inner
        .sessions
        .find(&session, &peer("ann").caller, None);
    assert!(session.is_err(), "idle by then, and gone with all it kept");
}

#[tokio::test]
async fn a_plain_answer_has_no_ids_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let session = bench.session("2025-11-25").await;
    let reply = bench.post(&[(SESSION_ID, &session)], &hello(1)).await;
    assert!(full(&reply).contains("hello ann"));
    assert_eq!(reply.headers.len(), 1, "{:?}", reply.headers);
    let table = &bench.engine.inner.sessions;
    assert_eq!(table.kept_bytes(), 0);
}

#[tokio::test]
async fn a_batch_is_answered_as_one_array() {
    let bench = Bench::new();
    let session = bench.session("2025-03-26").await;
    let headers = [(SESSION_ID, session.as_str())];
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let unknown = hello(3).replace("hello", "no_such_tool");
    let body = format!(
        r#" [{},{note},7,{{"jsonrpc":"1.0","id":"v","method":"ping"}},{unknown},{}]"#,
        hello(1),
        initialize("2025-03-26")
    );
    let reply = bench.post(&headers, &body).await;
    assert_eq!(reply.status, 200);
    insta::assert_snapshot!(full(&reply).replace("},{\"jsonrpc", "},\n{\"jsonrpc"));
    let audited: Vec<_> = bench.audit.events().into_iter().collect();
    let calls = audited.iter().filter(|event| event.method == "tools/call");
    let mut requests: Vec<_> = calls.map(|event| event.request_id.to_string()).collect();
    requests.dedup();
    assert_eq!(requests.len(), 2, "one event each, under an id of its own");
}

#[tokio::test]
async fn a_batch_that_asks_nothing_is_accepted_and_odd_ones_have_one_answer() {
    let bench = Bench::new();
    let (old, new) = (
        bench.session("2025-03-26").await,
        bench.session("2025-06-18").await,
    );
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let many = format!("[{}]", vec![note; 101].join(","));
    let modern = ("mcp-protocol-version", "2026-07-28");
    for (name, headers, body, status, code) in [
        (
            "nothing asked",
            vec![(SESSION_ID, &*old)],
            format!("[{note},{answer}]"),
            202,
            "",
        ),
        (
            "empty",
            vec![(SESSION_ID, &*old)],
            "[]".to_owned(),
            400,
            "-32600",
        ),
        (
            "no JSON",
            vec![(SESSION_ID, &*old)],
            "[1,".to_owned(),
            400,
            "-32700",
        ),
        ("too many", vec![(SESSION_ID, &*old)], many, 400, "-32600"),
        (
            "later revision",
            vec![(SESSION_ID, &*new)],
            format!("[{note}]"),
            400,
            "-32600",
        ),
        ("no session", vec![], format!("[{note}]"), 400, "-32600"),
        (
            "no such session",
            vec![(SESSION_ID, "x")],
            format!("[{note}]"),
            404,
            "-32600",
        ),
        (
            "modern",
            vec![(SESSION_ID, &*old), modern],
            format!("[{note}]"),
            400,
            "-32600",
        ),
    ] {
        let reply = bench.post(&headers, &body).await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", full(&reply));
        let text = full(&reply);
        assert!(
            text.contains(code) && !text.contains("\"id\""),
            "{name}: {text}"
        );
    }
}

#[tokio::test]
async fn a_batch_streams_when_one_of_its_calls_does() {
    let bench = Bench::new();
    let session = bench.session("2025-03-26").await;
    let headers = [(SESSION_ID, session.as_str())];
    let body = format!("[{},{},{}]", slow(1), hello(2), slow(1));
    let mut stream = Events::of(bench.post(&headers, &body).await);
    bench.go.notify_one();
    let mut got = Vec::new();
    while let Some(data) = stream.data().await {
        got.push(data);
    }
    got.sort();
    let has = |part: &str| got.iter().filter(|data| data.contains(part)).count();
    assert_eq!(got.len(), 5, "{got:?}");
    assert_eq!(
        (has("progress\""), has("at last"), has("hello ann")),
        (2, 1, 1)
    );
    assert_eq!(has("still open"), 1, "an id counts once");
}

#[tokio::test]
async fn a_cancelled_call_of_a_batch_has_no_answer() {
    let bench = Bench::new();
    let session = bench.session("2025-03-26").await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let one = slow(1).replace(r#","_meta":{"progressToken":1}"#, "");
    let body = format!("[{one},{cancel},{}]", hello(2));
    let reply = bench.post(&[(SESSION_ID, &session)], &body).await;
    let text = full(&reply);
    assert!(
        text.starts_with("[{") && text.contains("hello ann"),
        "{text}"
    );
    assert!(
        !text.contains("at last") && !text.contains(r#""id":1"#),
        "{text}"
    );
    // No array is empty in JSON-RPC, and 202 is for what has no requests: a stream can have nothing.
    let body = format!("[{one},{cancel}]");
    let reply = bench.post(&[(SESSION_ID, &session)], &body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let mut events = Events::of(reply);
    assert_eq!(futures_util::StreamExt::next(&mut events.0).await, None);
}

#[test]
fn methods_and_media_types_are_judged_by_the_head_alone() {
    let modern = ("mcp-protocol-version", "2026-07-28");
    let events = ("accept", "text/event-stream");
    let json = ("accept", "application/json");
    for (method, headers, status, allow) in [
        ("GET", vec![events], None, None),
        ("GET", vec![("accept", "*/*")], None, None),
        ("GET", vec![json], Some(406), None),
        ("GET", vec![], Some(406), None),
        ("GET", vec![events, modern], Some(405), Some("POST")),
        ("DELETE", vec![], None, None),
        ("DELETE", vec![modern], Some(405), Some("POST")),
        ("HEAD", vec![events], Some(405), Some("GET, POST, DELETE")),
        ("OPTIONS", vec![], Some(405), Some("GET, POST, DELETE")),
        ("PUT", vec![], Some(405), Some("GET, POST, DELETE")),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let reply = preflight(&method, &map(&headers));
        let status_of = reply.as_ref().map(|reply| reply.status.as_u16());
        assert_eq!(status_of, status, "{method} {headers:?}");
        let allowed = reply.and_then(|reply| reply.headers.get("allow").cloned());
        assert_eq!(allowed, allow.map(HeaderValue::from_static), "{method}");
    }
}

#[tokio::test]
async fn a_session_is_named_once_and_speaks_one_revision() {
    let bench = Bench::new();
    let session = bench.session("2025-06-18").await;
    let id = (SESSION_ID, session.as_str());
    let version = |version: &'static str| (VERSION, version);
    for (name, headers, status) in [
        ("good", vec![id, version("2025-06-18")], 200),
        ("no version", vec![id], 200),
        ("another", vec![id, version("2025-11-25")], 400),
        ("unknown", vec![id, version("2024-01-01")], 400),
        (
            "version twice",
            vec![id, version("2025-06-18"), version("2025-06-18")],
            400,
        ),
        ("session twice", vec![id, id], 400),
        ("empty", vec![(SESSION_ID, "")], 400),
        ("not visible", vec![(SESSION_ID, "caf\u{e9}")], 400),
        ("none", vec![], 400),
        (
            "longer",
            vec![(SESSION_ID, "00000000000000000000000000000000x")],
            404,
        ),
    ] {
        let reply = bench.post(&headers, &hello(1)).await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", full(&reply));
        let stream = bench.get(&headers);
        assert_eq!(stream.status.as_u16(), status, "GET, {name}");
        if status == 400 {
            let text = full(&stream);
            let is_legacy = text.contains("-32600") || text.contains("-32022");
            assert!(is_legacy, "{name}: {text}");
        }
    }
    assert_eq!(bench.delete(&session), 204);
    assert_eq!(bench.delete(&session), 404);
}

use super::headers::VERSION;

/// Knows no addresses at all, and cannot tell of those that it is told.
struct Door;

#[async_trait::async_trait]
impl mcp_gw_core::RateLimiter for Door {
    async fn admit(
        &self,
        _: &mcp_gw_core::Charge<'_>,
    ) -> Result<mcp_gw_core::Admission, mcp_gw_core::LimiterError> {
        Ok(mcp_gw_core::Admission::admitted(None))
    }

    async fn admit_address(
        &self,
        addr: Option<IpAddr>,
    ) -> Result<mcp_gw_core::Admission, mcp_gw_core::LimiterError> {
        let quota = mcp_gw_core::Quota::new(5, 0, Duration::from_secs(1));
        match addr {
            Some(_) => Err(mcp_gw_core::LimiterError::new("secret")),
            None => Ok(mcp_gw_core::Admission::limited(
                "door",
                quota,
                Duration::from_millis(1_001),
            )),
        }
    }
}

#[tokio::test]
async fn an_address_is_refused_with_a_reason_and_the_time_to_come_back() {
    let gateway = mcp_gw_core::Gateway::builder()
        .rate_limiter(Door)
        .build()
        .unwrap();
    let engine = Engine::new(gateway, crate::EngineConfig::default());
    for (addr, status, after, says) in [
        (None, 429, "2", "Rate limit `door`"),
        (Some([192, 0, 2, 1]), 503, "5", "Limits cannot be checked"),
    ] {
        let reply = engine.admit_address(addr.map(IpAddr::from)).await;
        let reply = reply.unwrap_err();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.headers.get("retry-after").unwrap(), after);
        let HttpBody::Full(body) = reply.body else {
            panic!("a reason")
        };
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(says) && !text.contains("secret"), "{text}");
        if status == 429 {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["violated-policies"], serde_json::json!(["door"]));
            assert_eq!(reply.headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test]
async fn what_is_not_of_the_revision_in_the_header_is_refused_over_http() {
    let bench = Bench::new();
    let version = (headers::VERSION, "2026-07-28");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    for (named, status) in [
        (Some("notifications/x"), 202),
        (Some("notifications/y"), 400),
        (None, 400),
    ] {
        let mut sent = vec![version];
        sent.extend(named.map(|method| ("mcp-method", method)));
        let reply = bench.post(&sent, note).await;
        assert_eq!(reply.status.as_u16(), status, "{named:?}");
        if status == 400 {
            assert!(full(&reply).contains("-32020"));
        }
    }
    let other = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}}"#;
    let sent = [version, ("mcp-method", "notifications/x")];
    assert_eq!(bench.post(&sent, other).await.status.as_u16(), 400);

    let sent = [version, ("mcp-method", "initialize")];
    let reply = bench.post(&sent, &initialize("2025-11-25")).await;
    assert_eq!(reply.status.as_u16(), 404);
    assert!(full(&reply).contains("-32601"));

    let odd = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"progressToken":1.5,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let sent = [version, ("mcp-method", "tools/list")];
    let reply = bench.post(&sent, odd).await;
    assert_eq!(reply.status.as_u16(), 400);
    assert!(full(&reply).contains("-32602"));
}
