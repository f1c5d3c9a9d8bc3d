//! Servers that replace others under clients that hear of a resource.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName};
use mcp_gw_core::{
    Admission, AllowAll, Backend, BackendError, CallContext, Caller, CallerKind, Charge, ClientRef,
    Endpoint, Feature, Gateway, Incoming, ItemSpec, LimiterError, Mounting, Naming, Offer,
    RateLimiter, Remount, RequestMeta, ToolCall, ToolOutput, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::engine::EngineConfig;
use crate::http::{HttpBody, HttpPeer, SESSION_ID_HEADER};
use crate::listen::Filter;
use crate::outbox::Outbox;
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use crate::session::SessionSeal;

const URI: &str = "test:a";

/// What a server does about subscriptions.
#[derive(Debug, Default)]
struct Ledger {
    /// It is away so many times.
    away: Mutex<usize>,
    /// It has no such resource.
    is_without: bool,
    held: Mutex<usize>,
    ended: Mutex<usize>,
}

impl Ledger {
    fn held(&self) -> (usize, usize) {
        (*self.held.lock().unwrap(), *self.ended.lock().unwrap())
    }
}

#[derive(Clone)]
struct Shelf(Arc<Ledger>);

#[async_trait]
impl Backend for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let text = RawJson::parse(format!(r#"{{"uri":"{URI}","name":"a"}}"#)).unwrap();
        let mut offer = Offer::default();
        offer.resources = vec![ItemSpec::from_definition(Feature::Resource, text).unwrap()];
        Ok(offer)
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }

    async fn subscribe(&self, _: &CallContext, uri: &str) -> Result<(), BackendError> {
        if self.0.is_without {
            return Err(BackendError::NotFound {
                feature: Feature::Resource,
                name: uri.to_owned(),
            });
        }
        let mut away = self.0.away.lock().unwrap();
        if *away > 0 {
            *away -= 1;
            return Err(BackendError::Unavailable {
                server: "shelf".into(),
                reason: "it starts".to_owned(),
            });
        }
        *self.0.held.lock().unwrap() += 1;
        Ok(())
    }

    async fn unsubscribe(&self, _: &str, _: Option<&ClientRef>) -> Result<(), BackendError> {
        *self.0.ended.lock().unwrap() += 1;
        Ok(())
    }
}

/// Counts what is charged.
#[derive(Debug, Default, Clone)]
struct Meter(Arc<AtomicUsize>);

#[async_trait]
impl RateLimiter for Meter {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        if charge.method == "resources/subscribe" {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Admission::admitted(None))
    }
}

/// A gateway with one client of each kind that hears of [`URI`].
struct World {
    engine: Engine,
    meter: Meter,
    client: Arc<Client>,
    told: mpsc::Receiver<RawJson>,
    news: mpsc::Receiver<RawJson>,
    listening: JoinHandle<Result<RawJson, RpcError>>,
}

impl World {
    async fn new(first: Ledger) -> (Self, Arc<Ledger>) {
        let (first, meter) = (Arc::new(first), Meter::default());
        let gateway = Gateway::builder()
            .backend(Shelf(Arc::clone(&first)))
            .policy(AllowAll::new())
            .rate_limiter(meter.clone())
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        let engine = Engine::new(gateway, EngineConfig::default());
        let caller = Arc::new(Caller::new(CallerKind::ApiKey, "ann"));
        let (outbox, told) = mpsc::channel(64);
        let client = Client::new(
            Arc::clone(&caller),
            Revision::NEWEST_LEGACY,
            None,
            None,
            Outbox::lines(outbox),
        );
        let client = engine.inner.clients.welcome(client);
        let meta = RequestMeta::new("1", Transport::Http).with_session(Some(client.key.clone()));
        let incoming = Incoming::new(Arc::clone(&caller), meta);
        let uri: Arc<str> = URI.into();
        let added = client.subscribed.add(engine.gateway(), &incoming, &uri);
        added.await.unwrap();
        let filter = Filter {
            uris: vec![URI.into()],
            ..Filter::default()
        };
        let incoming = Incoming::new(caller, RequestMeta::new("2", Transport::Http));
        let closing = CancellationToken::new();
        let opened = engine.listen(filter, &RawJson::string("2"), incoming, closing);
        let (work, mut news) = opened.ok().unwrap();
        let listening = tokio::spawn(work);
        assert!(news.recv().await.unwrap().as_str().contains("acknowledged"));
        assert_eq!(first.held(), (2, 0));
        let world = Self {
            engine,
            meter,
            client,
            told,
            news,
            listening,
        };
        (world, first)
    }

    /// Another server takes the place of the one there is.
    fn replace(&self, next: Ledger) -> Arc<Ledger> {
        let next = Arc::new(next);
        let server = Shelf(Arc::clone(&next));
        let remount = Remount::new().mount(server, Mounting::plain());
        self.engine.gateway().remount(remount).unwrap();
        self.engine.remounted();
        next
    }

    /// The same server stays, and its names and URIs are these.
    fn mount_again(&self, mounting: Mounting) {
        let remount = Remount::new().keep("shelf", mounting);
        self.engine.gateway().remount(remount).unwrap();
        self.engine.remounted();
    }
}

fn method(message: &RawJson) -> String {
    let method = message.member("method").unwrap().unwrap();
    method.decode_owned().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_of_goes_with_the_server_as_soon_as_it_is_there() {
    let (mut world, first) = World::new(Ledger::default()).await;
    let away = Mutex::new(5);
    let second = world.replace(Ledger {
        away,
        ..Ledger::default()
    });
    for messages in [&mut world.told, &mut world.news] {
        let message = messages.recv().await.unwrap();
        assert_eq!(method(&message), "notifications/resources/updated");
        assert!(message.as_str().contains(r#""uri":"test:a""#), "{message}");
    }
    assert_eq!(second.held(), (2, 0));
    assert_eq!(first.held(), (2, 0), "it is closed as a whole");
    assert_eq!(
        world.meter.0.load(Ordering::SeqCst),
        2,
        "each is charged once"
    );
    // Each ends where it is.
    world.client.end();
    world.listening.abort();
    let _ = world.listening.await;
    world.engine.inner.detached.close();
    world.engine.inner.closing.cancel();
    world.engine.inner.detached.wait().await;
    assert_eq!((first.held(), second.held()), ((2, 0), (2, 2)));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_that_comes_does_not_have_ends_visibly() {
    let (mut world, _) = World::new(Ledger::default()).await;
    world.replace(Ledger {
        is_without: true,
        ..Ledger::default()
    });
    let message = world.told.recv().await.unwrap();
    assert_eq!(method(&message), "notifications/resources/list_changed");
    assert!(world.client.subscribed.find(URI).is_none());
    let end = world.listening.await.unwrap().ok().unwrap();
    assert!(end.as_str().contains(r#""resultType":"complete""#), "{end}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_server_that_went_as_well_goes_to_the_next() {
    let (mut world, _) = World::new(Ledger::default()).await;
    let never = world.replace(Ledger {
        away: Mutex::new(usize::MAX),
        ..Ledger::default()
    });
    sleep(Duration::from_secs(100)).await;
    let third = world.replace(Ledger::default());
    for messages in [&mut world.told, &mut world.news] {
        messages.recv().await.unwrap();
    }
    assert_eq!((never.held(), third.held()), ((0, 0), (2, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_a_uri_leads_to_no_more_ends_visibly_and_where_it_is_held() {
    let (mut world, first) = World::new(Ledger::default()).await;
    world.mount_again(Mounting::plain());
    sleep(Duration::from_secs(100)).await;
    assert!(world.client.subscribed.find(URI).is_some());
    assert!(!world.listening.is_finished());
    assert_eq!(first.held(), (2, 0), "nothing has changed");
    // The resource is `shelf+test:a` from now on.
    world.mount_again(Mounting::new(Naming::Always, "shelf"));
    let end = world.listening.await.unwrap().ok().unwrap();
    assert!(end.as_str().contains(r#""resultType":"complete""#), "{end}");
    let message = world.told.recv().await.unwrap();
    assert_eq!(method(&message), "notifications/resources/list_changed");
    sleep(Duration::from_secs(100)).await;
    assert!(world.client.subscribed.find(URI).is_none());
    assert_eq!(first.held(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn who_stays_at_an_endpoint_that_goes_hears_that_it_has_nothing() {
    let (world, _) = World::new(Ledger::default()).await;
    let gateway = world.engine.gateway();
    let mount = |is_there: bool| {
        let mut remount = Remount::new().keep("shelf", Mounting::plain());
        if is_there {
            remount = remount.endpoint(Endpoint::new("rd", |_, _, _| true));
        }
        gateway.remount(remount).unwrap();
        world.engine.remounted();
    };
    mount(true);
    let (outbox, mut told) = mpsc::channel(64);
    let client = Client::new(
        Arc::new(Caller::local()),
        Revision::NEWEST_LEGACY,
        None,
        None,
        Outbox::lines(outbox),
    );
    let client = client.at(Some("rd".into())).over(Transport::Stdio);
    let _client = world.engine.inner.clients.welcome(client);
    // Once, however often others come.
    for _ in 0..2 {
        mount(false);
        sleep(Duration::from_secs(10)).await;
    }
    let mut methods = Vec::new();
    while let Ok(message) = told.try_recv() {
        methods.push(method(&message));
    }
    methods.sort();
    let lists = ["prompts", "resources", "tools"];
    let expected = lists.map(|list| format!("notifications/{list}/list_changed"));
    assert_eq!(methods, expected);
    mount(true);
    mount(false);
    sleep(Duration::from_secs(10)).await;
    assert!(told.try_recv().is_ok(), "it went once more");
}

#[tokio::test]
async fn a_session_that_begins_anew_from_its_id_hears_that_resources_are_others() {
    let engine = async || {
        let gateway = Gateway::builder()
            .backend(Shelf(Arc::default()))
            .policy(AllowAll::new())
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        let key = mcp_gw_core::Secret::new([7; 32]);
        let seal = SessionSeal::new([key], Duration::from_secs(600));
        Engine::new(gateway, EngineConfig::default().with_seal(seal))
    };
    let peer = || {
        let caller = Arc::new(Caller::new(CallerKind::ApiKey, "ann"));
        HttpPeer::new(caller, "1".to_owned(), None)
    };
    let (first, second) = (engine().await, engine().await);
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let reply = first.post(&HeaderMap::new(), hello.into(), peer()).await;
    let id = reply.headers.get(SESSION_ID_HEADER).unwrap().clone();
    let headers = HeaderMap::from_iter([(HeaderName::from_static(SESSION_ID_HEADER), id)]);
    let events = |engine: &Engine| match engine.get(&headers, &peer()).body {
        HttpBody::Events(events) => events,
        other => panic!("{other:?}"),
    };
    let told = "notifications/resources/list_changed";
    let mut stream = events(&second);
    let mut text = String::new();
    while !text.contains(told) {
        let chunk = tokio::time::timeout(Duration::from_secs(20), stream.next());
        let chunk = chunk.await.expect("the client should hear of it").unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    // Once; and the session that goes on where it began hears nothing of the kind.
    for engine in [&first, &second] {
        let stream = events(engine);
        engine.wind_down();
        let rest: Vec<_> = stream.collect().await;
        assert!(!String::from_utf8(rest.concat()).unwrap().contains(told));
    }
}
