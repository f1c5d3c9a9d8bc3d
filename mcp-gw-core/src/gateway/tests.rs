//! The pipeline, seen from outside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::testing::{
    ManualClock, RecordingAudit, audit_sink_contract, authenticator_contract, backend_contract,
    policy_contract,
};
use crate::{
    AccessRequest, Admission, AllowAll, Arguments, AuthnError, CallContext, Caller, Charge,
    Completion, CompletionRef, Credentials, Decision, ErrorClass, Extras, Feature, GatewayError,
    Incoming, LimiterError, NoArguments, Outcome, Phase, PromptGet, Quota, RateLimiter,
    RequestMeta, ResourceRead, SignatureFault, ToolCall, ToolError, ToolOutput, ToolSpec,
    Transport,
};

mod choice;
mod federation;
mod hidden;
mod limits;
mod questions;
mod remount;
mod wording;

fn assert_send<T: Send>(value: T) -> T {
    value
}

fn incoming() -> Incoming {
    Incoming::new(
        Caller::local(),
        RequestMeta::new("r1", Transport::InProcess),
    )
}

fn call(name: &str) -> ToolCall {
    ToolCall::new(name, Arguments::none())
}

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

struct Broken;

impl TypedTool for Broken {
    const NAME: &'static str = "broken";
    const DESCRIPTION: &'static str = "Panics.";
    type Args = NoArguments;
    type Output = String;

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        tokio::task::yield_now().await;
        panic!("secret detail")
    }
}

/// Waits for ever, and says that it began.
struct Endless(Arc<Notify>);

impl TypedTool for Endless {
    const NAME: &'static str = "endless";
    const DESCRIPTION: &'static str = "Never answers.";
    type Args = NoArguments;
    type Output = String;

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

/// Allows what its function says.
struct Rule(fn(&AccessRequest<'_>) -> bool);

#[async_trait]
impl Policy for Rule {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        if (self.0)(request) {
            Decision::allow().because("rule")
        } else {
            Decision::deny()
        }
    }
}

/// Admits so many and remembers the names it was charged for.
#[derive(Clone, Default)]
struct Counter(Arc<std::sync::Mutex<Vec<Charged>>>, usize);

/// Method and name of a charge.
type Charged = (String, Option<String>);

#[async_trait]
impl RateLimiter for Counter {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        let mut seen = self.0.lock().unwrap();
        seen.push((charge.method.to_owned(), charge.name.map(str::to_owned)));
        Ok(if seen.len() <= self.1 {
            Admission::admitted(None)
        } else {
            let quota = Quota::new(1, 0, Duration::from_secs(1));
            Admission::limited("test", quota, Duration::from_secs(1))
        })
    }
}

#[test]
fn requests_can_move_between_threads() {
    let gateway = Gateway::builder().build().unwrap();
    let incoming = incoming();
    let read = ResourceRead::new("x", Extras::default());
    let get = PromptGet::new("x", Arguments::none(), Extras::default());
    let prompt = CompletionRef::Prompt("x".into());
    let completion = Completion::new(prompt, RawJson::null(), Extras::default());
    drop(assert_send(gateway.call_tool(&incoming, call("x"))));
    drop(assert_send(gateway.list(&incoming, Feature::Tool, None, 1)));
    drop(assert_send(gateway.read_resource(&incoming, read)));
    drop(assert_send(gateway.get_prompt(&incoming, get)));
    drop(assert_send(gateway.complete(&incoming, completion)));
    drop(assert_send(gateway.subscribe(&incoming, "x")));
    drop(assert_send(gateway.refresh()));
}

#[tokio::test]
async fn nothing_is_allowed_until_a_policy_says_so() {
    let gateway = Gateway::builder().tool(Hello).build().unwrap();
    let page = gateway
        .list(&incoming(), Feature::Tool, None, 10)
        .await
        .unwrap();
    assert!(page.items.is_empty());
    let error = gateway
        .call_tool(&incoming(), call("hello"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied);
    let unknown = gateway
        .call_tool(&incoming(), call("hellp"))
        .await
        .unwrap_err();
    assert_eq!(
        error.public_message().replace("hello", "hellp"),
        unknown.public_message()
    );
}

#[tokio::test]
async fn a_call_that_is_allowed_is_audited_with_its_grounds() {
    let audit = RecordingAudit::new();
    let clock = ManualClock::new();
    let gateway = Gateway::builder()
        .tool(Hello)
        .policy(Rule(|_| true))
        .audit(audit.clone())
        .clock(clock)
        .build()
        .unwrap();
    let output = gateway.call_tool(&incoming(), call("hello")).await.unwrap();
    assert!(output.as_raw().as_str().contains("hello local"));
    let [event] = &audit.events()[..] else {
        panic!()
    };
    assert_eq!(event.outcome, Outcome::Ok);
    assert_eq!(
        (event.method, event.name.as_deref()),
        ("tools/call", Some("hello"))
    );
    assert_eq!(event.server.as_deref(), Some("local"));
    assert_eq!(event.reasons, ["rule"]);
    assert_eq!(event.response_bytes, output.as_raw().len());
    assert!(event.backend_asked && event.name_known);
}

#[tokio::test]
async fn the_limit_comes_first_and_unknown_names_cost_without_becoming_keys() {
    let counter = Counter(Arc::default(), 3);
    let gateway = Gateway::builder()
        .tool(Hello)
        .tool(Broken)
        .policy(Rule(|request| request.name == "broken"))
        .rate_limiter(counter.clone())
        .build()
        .unwrap();
    for (name, class) in [
        ("no such tool", ErrorClass::Unknown),
        ("hello", ErrorClass::Denied),
        ("broken", ErrorClass::Internal),
        ("hello", ErrorClass::Limited),
        ("no such tool", ErrorClass::Limited),
        ("broken", ErrorClass::Limited),
    ] {
        let error = gateway
            .call_tool(&incoming(), call(name))
            .await
            .unwrap_err();
        assert_eq!(error.class(), class, "{name}");
    }
    let seen = counter.0.lock().unwrap().clone();
    let names: Vec<_> = seen.iter().map(|(_, name)| name.as_deref()).collect();
    let broken = Some("broken");
    assert_eq!(names, [None, None, broken, None, None, broken]);
}

#[tokio::test]
async fn a_limiter_that_cannot_tell_lets_nothing_through() {
    struct Blind;
    #[async_trait]
    impl RateLimiter for Blind {
        async fn admit(&self, _: &Charge<'_>) -> Result<Admission, LimiterError> {
            Err(LimiterError::new("store is down"))
        }
    }
    let gateway = Gateway::builder()
        .tool(Hello)
        .policy(AllowAll::new())
        .rate_limiter(Blind)
        .build()
        .unwrap();
    let error = gateway
        .call_tool(&incoming(), call("hello"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::LimiterUnavailable);
    assert!(!error.public_message().contains("store"));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_audited_as_cancelled_with_the_backend_asked() {
    let (audit, began) = (RecordingAudit::new(), Arc::new(Notify::new()));
    let gateway = Gateway::builder()
        .tool(Endless(Arc::clone(&began)))
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming();
    tokio::select! {
        _ = gateway.call_tool(&incoming, call("endless")) => panic!("it never answers"),
        () = began.notified() => {}
    }
    let [event] = &audit.events()[..] else {
        panic!()
    };
    assert_eq!(event.outcome, Outcome::Cancelled);
    assert!(event.backend_asked);
}

#[tokio::test]
async fn a_panic_in_a_tool_is_an_error_of_that_call_alone() {
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .tool(Broken)
        .tool(Hello)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let error = gateway
        .call_tool(&incoming(), call("broken"))
        .await
        .unwrap_err();
    assert!(matches!(error, GatewayError::Panicked { .. }));
    assert!(!error.public_message().contains("secret"));
    assert!(gateway.call_tool(&incoming(), call("hello")).await.is_ok());
    assert!(
        audit.events()[0]
            .error
            .as_deref()
            .unwrap()
            .contains("secret detail")
    );
}

#[tokio::test]
async fn refused_credentials_are_audited_and_malformed_ones_are_not_looked_at() {
    struct Never;
    #[async_trait]
    impl Authenticator for Never {
        async fn authenticate(&self, c: &Credentials) -> Result<Arc<Caller>, AuthnError> {
            assert!(!c.malformed && c.refused.is_none());
            Err(AuthnError::Missing)
        }
    }
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .authenticator(Never)
        .audit(audit.clone())
        .build()
        .unwrap();
    let meta = RequestMeta::new("r", Transport::Http);
    let none = Credentials::none(Transport::Http);
    let refused = gateway.authenticate(&none, &meta).await.unwrap_err();
    assert_eq!(refused, AuthnError::Missing);
    let malformed = none.with_malformed();
    let refused = gateway.authenticate(&malformed, &meta).await.unwrap_err();
    assert_eq!(refused, AuthnError::Malformed);
    let unsigned = AuthnError::Signature {
        fault: SignatureFault::Missing,
        reason: "there is none",
    };
    let signed = malformed.with_refusal(unsigned.clone());
    let refused = gateway.authenticate(&signed, &meta).await.unwrap_err();
    assert_eq!(refused, unsigned, "that comes first");
    let events = audit.events();
    let outcomes: Vec<_> = events.iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unauthenticated; 3]);
    let error = events.last().unwrap().error.clone();
    assert_eq!(error.as_deref(), Some("signature_missing: there is none"));
}

/// So many tools.
struct Numbers(usize);

#[async_trait]
impl Backend for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let tools = (0..self.0).map(|n| ToolSpec::new(&format!("t{n}"), "").unwrap());
        Ok(Offer::of_tools(tools.collect()))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        let name = call.name.to_string();
        if name.starts_with('t') {
            Ok(ToolOutput::text(name))
        } else {
            Err(BackendError::NotFound {
                feature: Feature::Tool,
                name,
            })
        }
    }
}

fn even(request: &AccessRequest<'_>) -> bool {
    let last = request.upstream_name.bytes().last().unwrap_or_default();
    last.is_multiple_of(2)
}

/// Lists that are long enough to be kept once they were written.
#[tokio::test]
async fn a_page_that_was_written_before_is_for_those_who_may_see_just_that() {
    fn may(request: &AccessRequest<'_>) -> bool {
        let number: usize = request
            .upstream_name
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap();
        match &*request.caller.id {
            "odd" => number % 2 == 1,
            "all" => true,
            "but-one" => number != 70,
            _ => false,
        }
    }
    let gateway = Gateway::builder()
        .backend_with_prefix("n", Numbers(100))
        .policy(Rule(may))
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let by = |who: &str| Caller::new(crate::CallerKind::ApiKey, who);
    let mut seen: HashMap<(&str, usize), String> = HashMap::new();
    for _ in 0..3 {
        for (who, count) in [("odd", 50), ("all", 100), ("but-one", 99), ("nobody", 0)] {
            for size in [1, 20, 33, 50, 99, 100, 1000] {
                let incoming = Incoming::new(Arc::new(by(who)), incoming().meta.as_ref().clone());
                let (mut after, mut all) = (None::<Arc<str>>, String::new());
                let mut items = 0;
                loop {
                    let list = gateway.list(&incoming, Feature::Tool, after.as_deref(), size);
                    let page = list.await.unwrap();
                    let array: Vec<RawJson> = page.array.decode_owned().unwrap();
                    assert_eq!(array, page.items[..]);
                    items += array.len();
                    all += page.array.as_str();
                    after = page.next_after;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(items, count, "{who} {size}");
                assert_eq!(*seen.entry((who, size)).or_insert_with(|| all.clone()), all);
            }
        }
    }
}

#[tokio::test]
async fn pages_hold_what_the_caller_may_see_and_lead_to_the_rest() {
    let gateway = Gateway::builder()
        .backend_with_prefix("n", Numbers(10))
        .policy(Rule(even))
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    for size in 1..=12 {
        let (mut names, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let incoming = incoming();
            let list = gateway.list(&incoming, Feature::Tool, after.as_deref(), size);
            let page = list.await.unwrap();
            assert!(page.items.len() <= size);
            for item in page.items.iter() {
                names.push(
                    ToolSpec::from_definition(item.clone())
                        .unwrap()
                        .name()
                        .to_owned(),
                );
            }
            pages += 1;
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            names,
            ["n__t0", "n__t2", "n__t4", "n__t6", "n__t8"],
            "pages of {size}"
        );
        assert_eq!(pages, 5_usize.div_ceil(size), "no page is empty");
    }
    let gone = gateway
        .list(&incoming(), Feature::Tool, Some("n__t99"), 3)
        .await
        .unwrap_err();
    assert_eq!(gone.class(), ErrorClass::InvalidParams);
    assert!(gateway.may_see(&incoming(), Feature::Tool, "n__t2").await);
    assert!(!gateway.may_see(&incoming(), Feature::Tool, "n__t3").await);
    let output = gateway.call_tool(&incoming(), call("n__t2")).await.unwrap();
    assert!(output.as_raw().as_str().contains("\"t2\""));
}

#[tokio::test]
async fn a_policy_that_forgets_to_answer_allows_nothing() {
    struct Lazy;
    #[async_trait]
    impl Policy for Lazy {
        async fn decide(&self, _: &AccessRequest<'_>) -> Decision {
            Decision::deny()
        }
        async fn decide_all(&self, _: &[AccessRequest<'_>]) -> Vec<Decision> {
            vec![Decision::allow()]
        }
    }
    let gateway = Gateway::builder()
        .backend(Numbers(10))
        .policy(Lazy)
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let page = gateway
        .list(&incoming(), Feature::Tool, None, 100)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn what_a_server_offered_stays_known_while_it_is_away() {
    struct Flaky(Arc<AtomicBool>);
    #[async_trait]
    impl Backend for Flaky {
        fn name(&self) -> &'static str {
            "flaky"
        }
        async fn offer(&self) -> Result<Offer, BackendError> {
            if self.0.load(Ordering::Relaxed) {
                Numbers(10).offer().await
            } else {
                let reason = "refused".to_owned();
                Err(BackendError::Unavailable {
                    server: "flaky".into(),
                    reason,
                })
            }
        }
        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            self.offer().await.map(|_| ToolOutput::text("ok"))
        }
    }
    let up = Arc::new(AtomicBool::new(true));
    let gateway = Gateway::builder()
        .backend(Flaky(Arc::clone(&up)))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    up.store(false, Ordering::Relaxed);
    assert!(gateway.refresh().await.is_err());
    assert!(!gateway.status()[0].is_up);
    let error = gateway
        .call_tool(&incoming(), call("t1"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::UpstreamUnavailable);
    up.store(true, Ordering::Relaxed);
    gateway.refresh_backend("flaky").await.unwrap();
    assert!(gateway.status()[0].is_up);
}

#[tokio::test]
async fn a_change_is_told_only_when_a_client_would_see_it() {
    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<GatewayEvent>>);
    impl GatewayListener for Heard {
        fn on_event(&self, event: &GatewayEvent) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
    let heard = Arc::new(Heard::default());
    let gateway = Gateway::builder().backend(Numbers(10)).build().unwrap();
    gateway.listen(Arc::<Heard>::clone(&heard));
    let swap = |before, endpoint| CatalogueSwap::new(before, gateway.catalogue_at(endpoint));
    let before = (gateway.catalogue(), gateway.catalogue_at(Some("numbers")));
    gateway.refresh().await.unwrap();
    let swaps = (swap(before.0, None), swap(before.1, Some("numbers")));
    gateway.refresh().await.unwrap();
    let events = heard.0.lock().unwrap();
    let tools = CatalogueChange {
        tools: true,
        ..CatalogueChange::default()
    };
    let main = GatewayEvent::CatalogueChanged {
        change: tools,
        swap: swaps.0,
    };
    let own = GatewayEvent::EndpointChanged {
        endpoint: "numbers".into(),
        change: tools,
        swap: swaps.1,
    };
    assert_eq!(*events, [main, own]);
}

#[test]
fn two_backends_of_one_name_cannot_be_told_apart() {
    let error = Gateway::builder()
        .backend(Numbers(10))
        .backend(Numbers(10))
        .build()
        .unwrap_err();
    assert!(matches!(error, BuildError::DuplicateBackend { .. }));
}

#[tokio::test]
async fn our_own_parts_keep_their_contracts() {
    policy_contract(&AllowAll::new()).await;
    policy_contract(&DenyAll::new()).await;
    policy_contract(&Rule(|request| request.phase == Phase::List)).await;
    authenticator_contract(&NoAuthentication::new(), None).await;
    audit_sink_contract(TracingAudit::new());
    audit_sink_contract(RecordingAudit::new());
    backend_contract(&Numbers(10)).await;
    let tools = ToolRegistry::builder("tools").typed(Hello).build().unwrap();
    backend_contract(&tools).await;
    crate::testing::tool_contract(&*crate::typed(Hello).unwrap()).await;
}

#[tokio::test]
async fn a_cursor_does_not_tell_what_the_caller_may_not_see() {
    let gateway = Gateway::builder()
        .backend(Numbers(10))
        .policy(Rule(even))
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let incoming = incoming();
    let after = |name| gateway.list(&incoming, Feature::Tool, Some(name), 3);
    assert!(after("t2").await.is_ok());
    let hidden = after("t3").await.unwrap_err();
    let unknown = after("t33").await.unwrap_err();
    assert_eq!(hidden.public_message(), unknown.public_message());
    let sight = gateway.sight(&incoming).await;
    assert!(sight.features.contains(&Feature::Tool) && sight.servers.contains("numbers"));
    let blind = Gateway::builder().backend(Numbers(10)).build().unwrap();
    blind.refresh().await.unwrap();
    assert!(blind.sight(&incoming).await.servers.is_empty());
}

#[tokio::test]
async fn what_the_client_cannot_be_told_is_not_audited_as_told() {
    struct Picky;
    #[async_trait]
    impl crate::ClientLink for Picky {
        fn notify(&self, _: crate::CallNotification) {}
        fn wants_progress(&self) -> bool {
            false
        }
        fn accepts(&self, _: &RawJson) -> bool {
            false
        }
        async fn request(
            &self,
            method: &str,
            _: RawJson,
        ) -> Result<RawJson, crate::ClientLinkError> {
            Err(crate::ClientLinkError::Unsupported {
                method: method.to_owned(),
            })
        }
    }
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .tool(Hello)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming().with_link(Arc::new(Picky));
    let error = gateway
        .call_tool(&incoming, call("hello"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::UpstreamInvalid);
    assert_eq!(
        audit.events()[0].outcome,
        Outcome::Error(ErrorClass::UpstreamInvalid)
    );
}

#[tokio::test]
async fn an_audit_event_is_short_and_says_whether_the_backend_was_reached() {
    struct Away;
    #[async_trait]
    impl Backend for Away {
        fn name(&self) -> &'static str {
            "away"
        }
        async fn offer(&self) -> Result<Offer, BackendError> {
            Numbers(10).offer().await
        }
        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            Err(BackendError::Unavailable {
                server: "away".into(),
                reason: "refused".to_owned(),
            })
        }
    }
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .backend(Away)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    gateway
        .call_tool(&incoming(), call("t1"))
        .await
        .unwrap_err();
    gateway
        .call_tool(&incoming(), call(&"n".repeat(100_000)))
        .await
        .unwrap_err();
    let [unsent, long] = &audit.events()[..] else {
        panic!()
    };
    assert!(!unsent.backend_asked);
    assert!(long.error.as_deref().unwrap().len() < 2000);
}

#[tokio::test]
async fn a_call_that_ends_with_the_gateway_says_so() {
    let (audit, began) = (RecordingAudit::new(), Arc::new(Notify::new()));
    let gateway = Gateway::builder()
        .tool(Endless(Arc::clone(&began)))
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming();
    tokio::select! {
        _ = gateway.call_tool(&incoming, call("endless")) => panic!("it never answers"),
        () = async { began.notified().await; gateway.mark_stopped() } => {}
    }
    assert_eq!(audit.events()[0].outcome, Outcome::Stopped);
}
