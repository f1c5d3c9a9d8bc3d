//! Other backends in the place of those there are.

use std::sync::Mutex;

use super::*;
use crate::{Mounting, Naming};

/// One tool; answers with its own number.
struct Numbered(&'static str, usize, Arc<Notify>);

#[async_trait]
impl Backend for Numbered {
    fn name(&self) -> &str {
        self.0
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(Offer::of_tools(vec![ToolSpec::new("say", "").unwrap()]))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        if call.arguments.as_raw().len() > 2 {
            self.2.notified().await;
        }
        Ok(ToolOutput::text(format!("{} {}", self.0, self.1)))
    }
}

fn numbered(name: &'static str, number: usize) -> Numbered {
    Numbered(name, number, Arc::default())
}

fn prefixed(name: &str) -> Mounting {
    Mounting::new(Naming::Always, name)
}

fn names(gateway: &Gateway) -> Vec<String> {
    let catalogue = gateway.catalogue();
    let entries = catalogue.entries(Feature::Tool).iter();
    entries.map(|entry| entry.key.to_string()).collect()
}

async fn says(gateway: &Gateway, name: &str) -> String {
    let output = gateway.call_tool(&incoming(), call(name)).await.unwrap();
    output.as_raw().as_str().to_owned()
}

async fn with_one() -> Gateway {
    let gateway = Gateway::builder()
        .tool(Hello)
        .backend(numbered("one", 1))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    gateway
}

#[tokio::test]
async fn backends_come_and_go_and_stay() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<GatewayEvent>>);
    impl GatewayListener for Heard {
        fn on_event(&self, event: &GatewayEvent) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
    let gateway = with_one().await;
    let heard = Arc::new(Heard::default());
    gateway.listen(Arc::clone(&heard) as Arc<dyn GatewayListener>);
    assert_eq!(names(&gateway), ["hello", "say"]);
    let next = Remount::new()
        .keep("local", Mounting::plain())
        .keep("one", prefixed("one"))
        .mount(numbered("two", 1), prefixed("two"))
        .endpoint(Endpoint::new("all", |_: Feature, _: &str, _: &str| true));
    assert!(gateway.remount(next).unwrap().is_empty());
    assert_eq!(
        names(&gateway),
        ["hello", "one__say"],
        "the other was not asked yet"
    );
    assert!(
        says(&gateway, "one__say").await.contains("one 1"),
        "it was not asked again"
    );
    gateway.refresh_backend("two").await.unwrap();
    assert_eq!(names(&gateway), ["hello", "one__say", "two__say"]);
    assert_eq!(
        gateway
            .endpoints()
            .iter()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["all", "local", "one", "two"]
    );
    let tools = |event: &GatewayEvent| matches!(event, GatewayEvent::CatalogueChanged { change, .. } if change.tools);
    assert_eq!(
        heard
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| tools(event))
            .count(),
        2
    );

    let next = Remount::new()
        .keep("local", Mounting::plain())
        .keep("two", Mounting::plain());
    let gone = gateway.remount(next).unwrap();
    assert_eq!(gone.iter().map(Backend::name).collect::<Vec<_>>(), ["one"]);
    assert_eq!(names(&gateway), ["hello", "say"]);
    assert!(says(&gateway, "say").await.contains("two 1"));
    assert!(!gateway.has_endpoint("all") && !gateway.has_endpoint("one"));
}

#[tokio::test]
async fn one_that_takes_a_name_is_known_by_what_was_offered_before() {
    let gateway = with_one().await;
    let next = Remount::new().mount(numbered("one", 2), Mounting::plain());
    let gone = gateway.remount(next).unwrap();
    assert_eq!(gone.len(), 2, "the local tools went, too");
    assert!(says(&gateway, "say").await.contains("one 2"));
    // What the one that went says late is not about the one that came.
    gateway.mark_down("one", "late");
    assert!(!gateway.status()[0].is_up);
    assert_eq!(names(&gateway), ["say"]);
}

#[tokio::test]
async fn a_call_ends_where_it_began() {
    let go_on = Arc::new(Notify::new());
    let gateway = Gateway::builder()
        .backend(Numbered("one", 1, Arc::clone(&go_on)))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let slow = {
        let gateway = gateway.clone();
        let arguments = Arguments::from_raw(RawJson::parse(r#"{"wait":true}"#).unwrap()).unwrap();
        tokio::spawn(async move {
            let incoming = incoming();
            gateway
                .call_tool(&incoming, ToolCall::new("say", arguments))
                .await
        })
    };
    tokio::task::yield_now().await;
    let gone = gateway.remount(Remount::new()).unwrap();
    assert!(names(&gateway).is_empty());
    assert!(Arc::strong_count(&gone[0]) > 1, "it is in use");
    go_on.notify_one();
    let output = slow.await.unwrap().unwrap();
    assert!(output.as_raw().as_str().contains("one 1"));
    assert_eq!(Arc::strong_count(&gone[0]), 1, "it can be closed");
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let gateway = with_one().await;
    let before = gateway.catalogue().version();
    for (next, says) in [
        (Remount::new().keep("none", Mounting::plain()), "`none`"),
        (
            Remount::new()
                .keep("one", Mounting::plain())
                .mount(numbered("one", 2), prefixed("x")),
            "two backends are called `one`",
        ),
        (
            Remount::new().keep("one", Mounting::new(Naming::Always, "a b")),
            "`a b` cannot be the prefix",
        ),
        (
            Remount::new()
                .keep("one", Mounting::plain())
                .endpoint(Endpoint::new("one", |_: Feature, _: &str, _: &str| true)),
            "two endpoints are called `one`",
        ),
    ] {
        let error = gateway.remount(next).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(names(&gateway), ["hello", "say"], "{says}");
    }
    assert_eq!(gateway.catalogue().version(), before);
}

/// Asks until the backend has answered and the catalogue is about to be settled.
fn answered(asking: std::pin::Pin<&mut impl Future>) {
    let mut turn = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asking.poll(&mut turn).is_pending());
}

#[tokio::test]
async fn what_several_backends_say_at_once_goes_into_one_catalogue() {
    let gateway = Gateway::builder()
        .mount(numbered("one", 1), prefixed("one"))
        .mount(numbered("two", 2), prefixed("two"))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    let before = gateway.catalogue().version();
    {
        let mut one = std::pin::pin!(gateway.refresh_backend("one"));
        let mut two = std::pin::pin!(gateway.refresh_backend("two"));
        answered(one.as_mut());
        answered(two.as_mut());
        one.await.unwrap();
        assert_eq!(names(&gateway), ["one__say", "two__say"]);
        two.await.unwrap();
    }
    assert_eq!(gateway.catalogue().version(), before + 1);
}

#[tokio::test]
async fn what_a_backend_said_is_seen_though_who_asked_is_gone() {
    let gateway = Gateway::builder()
        .backend(numbered("one", 1))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    {
        let mut asking = std::pin::pin!(gateway.refresh_backend("one"));
        answered(asking.as_mut());
        assert!(names(&gateway).is_empty());
    }
    assert_eq!(names(&gateway), ["say"]);
}

#[tokio::test]
async fn what_stays_as_it_was_is_not_built_again() {
    let gateway = Gateway::builder()
        .mount(numbered("one", 1), prefixed("one"))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let entry = || Arc::clone(&gateway.catalogue().entries(Feature::Tool)[0]);
    let before = entry();
    let with_two = |way: Mounting| {
        Remount::new()
            .keep("one", way)
            .mount(numbered("two", 2), prefixed("two"))
    };
    gateway.remount(with_two(prefixed("one"))).unwrap();
    gateway.refresh_backend("two").await.unwrap();
    assert_eq!(names(&gateway), ["one__say", "two__say"]);
    // The ids of its tasks name it now that there are two.
    assert!(!Arc::ptr_eq(&before, &entry()));
    let before = entry();
    gateway.remount(with_two(prefixed("one"))).unwrap();
    assert!(Arc::ptr_eq(&before, &entry()));
    gateway.remount(with_two(prefixed("uno"))).unwrap();
    assert_eq!(names(&gateway)[0], "uno__say");
}
