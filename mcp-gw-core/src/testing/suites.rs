//! What every implementation of a trait must do. Each suite panics with a sentence when it is
//! broken; call it from a test.
#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a suite reports by panicking, as a test does"
)]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::audit::{AuditEvent, AuditScope, AuditSink, Outcome};
use crate::backend::{Backend, BackendError, Extras, ResourceRead, ToolCall};
use crate::caller::{Authenticator, AuthnError, Caller, CallerKind, Credentials};
use crate::clock::SystemClock;
use crate::context::{RequestMeta, Transport};
use crate::json::RawJson;
use crate::limit::{Admission, RateLimiter};
use crate::policy::{AccessRequest, Phase, Policy};
use crate::testing::{RecordingLink, access_request, call_context, charge};
use crate::tool::{Arguments, Tool, ToolSpec};

fn check(holds: bool, says: &str) {
    assert!(holds, "contract broken: {says}");
}

fn context() -> crate::context::CallContext {
    call_context(Caller::local(), Arc::new(RecordingLink::new()))
}

fn hostile_arguments() -> Vec<Arguments> {
    [
        r#"{"\u0000":null}"#,
        r#"{"unexpected":{"deep":[[[[1e400]]]]}}"#,
        r#"{"a":123456789012345678901234567890}"#,
        "{}",
    ]
    .into_iter()
    .filter_map(|text| Arguments::from_raw(RawJson::parse(text).ok()?).ok())
    .collect()
}

/// Polls `future` once and drops it: what a client that hangs up does.
fn start_and_drop<F: Future>(future: F) {
    let mut future = Box::pin(future);
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

/// A [`Tool`]: its definition is stable and complete; odd arguments and cancellation harm nothing.
pub async fn tool_contract(tool: &dyn Tool) {
    let definition = tool.spec().definition().clone();
    check(
        &definition == tool.spec().definition(),
        "the definition does not change",
    );
    let read = ToolSpec::from_definition(definition);
    check(
        read.is_ok_and(|read| read.name() == tool.spec().name()),
        "the definition reads back",
    );
    check(
        tool.spec().input_schema().is_object(),
        "there is a schema for the arguments",
    );
    for arguments in hostile_arguments() {
        start_and_drop(tool.call(&context(), arguments.clone()));
        // Whatever it answers, it must answer and not panic.
        if let Ok(output) = tool.call(&context(), arguments).await {
            check(output.as_raw().members().is_ok(), "the output is an object");
        }
    }
}

/// A [`Backend`]: two offers in a row agree, unknown names are errors and not panics, and a dropped
/// call does not spoil the next.
pub async fn backend_contract(backend: &dyn Backend) {
    check(!backend.name().is_empty(), "a backend has a name");
    let names = |offer: &crate::backend::Offer| {
        offer
            .tools
            .iter()
            .map(|tool| tool.name().to_owned())
            .collect::<Vec<_>>()
    };
    let first = match backend.offer().await {
        Ok(offer) => offer,
        Err(error) => panic!("contract broken: the backend under test has an offer: {error}"),
    };
    match backend.offer().await {
        Ok(second) => check(names(&first) == names(&second), "two offers in a row agree"),
        Err(error) => panic!("contract broken: a second offer fails: {error}"),
    }
    if let Some(now) = backend.offer_now() {
        check(
            names(&now) == names(&first),
            "the offer that is known now is the offer",
        );
    }
    let nobody = || ToolCall::new("no_such_tool_here", Arguments::none());
    start_and_drop(backend.call_tool(&context(), nobody()));
    match backend.call_tool(&context(), nobody()).await {
        Err(
            BackendError::NotFound { .. } | BackendError::Rpc(_) | BackendError::Unsupported { .. },
        ) => {}
        // Some servers answer an unknown tool with a result that is an error.
        Ok(output) => check(
            output.is_error(),
            "a tool that is not there has no good result",
        ),
        Err(error) => panic!("contract broken: an unknown tool is not a failure: {error}"),
    }
    let nothing = ResourceRead::new("no-such-scheme:nothing", Extras::default());
    check(
        backend.read_resource(&context(), nothing).await.is_err(),
        "a resource that is not there has no result",
    );
}

/// A [`Policy`]: the same request gets the same answer, alone and in a list.
pub async fn policy_contract(policy: &dyn Policy) {
    let meta = RequestMeta::new("test", Transport::InProcess);
    let callers = [
        Caller::anonymous(),
        Caller::local(),
        Caller::new(CallerKind::ApiKey, "k"),
    ];
    let arguments = Arguments::none();
    for caller in &callers {
        let request = |phase, name| AccessRequest {
            method: if phase == Phase::List {
                "tools/list"
            } else {
                "tools/call"
            },
            phase,
            arguments: (phase == Phase::Call).then_some(&arguments),
            ..access_request(caller, &meta, name)
        };
        let requests: Vec<_> = ["a", "", "a\u{0}b", "ä*?[", "../x"]
            .into_iter()
            .flat_map(|name| [request(Phase::List, name), request(Phase::Call, name)])
            .collect();
        let together = policy.decide_all(&requests).await;
        if let Some(now) = policy.as_of_now() {
            let listed = |request: &&AccessRequest<'_>| request.phase == Phase::List;
            let lists: Vec<_> = requests.iter().filter(listed).cloned().collect();
            let shown = now.shows(&lists);
            check(shown.len() == lists.len(), "every item is shown or not");
            for (request, shown) in lists.iter().zip(shown) {
                let decided = policy.decide(request).await.is_allowed();
                check(
                    shown.is_none_or(|shown| shown == decided),
                    "what a list shows is decided as in a request",
                );
            }
        }
        check(
            together.len() == requests.len(),
            "every request of a list gets an answer",
        );
        for (request, in_list) in requests.iter().zip(&together) {
            start_and_drop(policy.decide(request));
            let alone = policy.decide(request).await;
            check(
                alone.effect() == in_list.effect(),
                "alone and in a list the answer is the same",
            );
            check(
                policy.decide(request).await.effect() == alone.effect(),
                "asked twice, the answer is the same",
            );
        }
    }
}

/// A [`RateLimiter`] that allows callers something and not everything: it refuses at last, says for
/// how long, and lets one caller's use not touch another's.
///
/// Give it a limiter whose limit per caller is at most 10,000 units.
pub async fn rate_limiter_contract(limiter: &dyn RateLimiter) {
    let meta = RequestMeta::new("test", Transport::InProcess);
    let (busy, idle) = (
        Caller::new(CallerKind::ApiKey, "busy"),
        Caller::new(CallerKind::ApiKey, "idle"),
    );
    let charge = |caller| charge(caller, &meta, "tools/call");
    let mut refused = false;
    for _ in 0..=10_000 {
        match limiter.admit(&charge(&busy)).await {
            Ok(Admission::Admitted { quota, .. }) => check(
                quota.is_none_or(|quota| quota.remaining < quota.limit),
                "an admitted request was charged",
            ),
            Ok(Admission::Limited {
                quota,
                retry_after,
                limit_name,
                ..
            }) => {
                check(
                    retry_after > Duration::ZERO,
                    "a refusal says how long to wait",
                );
                check(
                    quota.limit > 0 && !limit_name.is_empty(),
                    "a refusal names its limit",
                );
                refused = true;
                break;
            }
            Err(error) => panic!("contract broken: the limiter under test can decide: {error}"),
        }
    }
    check(refused, "there is an end to what one caller may do");
    check(
        limiter
            .admit(&charge(&idle))
            .await
            .is_ok_and(|admission| admission.is_admitted()),
        "one caller's use does not touch another's",
    );
}

/// An [`Authenticator`]: what is wrong is refused, is not repeated in the error, and never makes a
/// caller. `good` are credentials that it knows, if it asks for any.
pub async fn authenticator_contract(authenticator: &dyn Authenticator, good: Option<Credentials>) {
    const WRONG: &str = "certainly-not-a-key-5d1f";
    let http = || Credentials::none(Transport::Http);
    let Some(good) = good else {
        let caller = authenticator.authenticate(&http()).await;
        check(
            caller.is_ok(),
            "an authenticator without credentials lets everybody in",
        );
        return;
    };
    match authenticator.authenticate(&good).await {
        Ok(caller) => {
            let shown = format!("{caller:?}");
            for secret in [&good.bearer, &good.api_key].into_iter().flatten() {
                check(
                    !shown.contains(secret.expose()),
                    "a caller does not carry its credential",
                );
            }
        }
        Err(error) => panic!("contract broken: good credentials make a caller: {error}"),
    }
    for wrong in [
        http().with_bearer(WRONG.to_owned()),
        http().with_api_key(WRONG.to_owned()),
        http().with_bearer(String::new()),
        http().with_bearer("ä\u{0}".to_owned()),
    ] {
        match authenticator.authenticate(&wrong).await {
            Err(AuthnError::Invalid { .. } | AuthnError::Malformed) => {}
            Err(error) => panic!("contract broken: wrong credentials are invalid, not: {error}"),
            Ok(_) => panic!("contract broken: wrong credentials made a caller"),
        }
        if let Err(error) = authenticator.authenticate(&wrong).await {
            check(
                !format!("{error:?}").contains(WRONG),
                "an error does not repeat the credential",
            );
        }
    }
}

/// An [`AuditSink`]: it takes any event at once and does not panic.
pub fn audit_sink_contract(sink: impl AuditSink) {
    let (clock, stopped) = (SystemClock::new(), AtomicBool::new(false));
    let sinks: Vec<Box<dyn AuditSink>> = vec![Box::new(sink)];
    let meta = RequestMeta::new("\u{0}\n", Transport::Http);
    for outcome in [Outcome::Ok, Outcome::Cancelled, Outcome::Unauthenticated] {
        let mut scope = AuditScope::open(
            &clock,
            &sinks,
            &stopped,
            Some(&Caller::local()),
            &meta,
            "test",
        );
        scope.name(&"ä".repeat(10_000));
        let AuditEvent { name, .. } = &scope.event;
        check(
            name.as_deref()
                .is_some_and(|name| name.chars().count() == 256),
            "names are cut",
        );
        scope.close(outcome);
    }
}
