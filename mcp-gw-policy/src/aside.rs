//! Decisions that may take long are made on a thread for such work, so that they hold up nobody else.
//!
//! What the conditions of a request may take is known of each policy: where that is little, and that is
//! nearly everywhere, nothing here happens. Otherwise long arguments and long lists are decided aside,
//! by as many threads as the machine has processors, in the order in which they came.

use std::sync::Arc;

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, Decision, Feature, Phase, RequestMeta, ToolSpec,
};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::PolicyEngine;

/// Steps of a request, about 5 ms of work, from which on a policy is one of those that may take long.
const LONG_STEPS: u64 = 50_000;

/// Bytes of name and arguments up to which loops over them are short, also within each other.
const SHORT_BYTES: usize = 64;

/// Bytes of headers and query up to which loops over them are short.
const SHORT_HEAD: usize = 2048;

/// Items up to which a list is not long.
const SHORT_LIST: usize = 4;

/// Room for what is decided aside.
#[derive(Debug)]
pub(crate) struct Aside {
    calls: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            calls: Arc::new(Semaphore::new(threads)),
            lists: Arc::new(Semaphore::new(threads)),
        }
    }
}

/// Decides one request, here or aside.
pub(crate) async fn decide(engine: &PolicyEngine, request: &AccessRequest<'_>) -> Decision {
    // Nearly every policy costs little for any request: that is one number.
    let is_cheap =
        engine.most_steps(None) <= LONG_STEPS || engine.most_steps(Some(request)) <= LONG_STEPS;
    if is_cheap || is_short(request) {
        return engine.decide_now(request);
    }
    let work = {
        let question = Owned::of(std::slice::from_ref(request));
        move |engine: &PolicyEngine| {
            question
                .requests()
                .map(|asked| engine.decide_now(&asked))
                .next()
        }
    };
    match aside(engine, &engine.aside().calls, work).await {
        Some(Some(decision)) => decision,
        _ => engine.decide_now(request),
    }
}

/// True when nothing that the caller has sent is long.
fn is_short(request: &AccessRequest<'_>) -> bool {
    let arguments = request
        .arguments
        .map_or(0, |arguments| arguments.as_raw().len());
    let listed = request.meta.headers.iter();
    let head = match &request.meta.http {
        Some(http) => {
            let headers = http.headers().into_iter();
            let headers = headers.map(|(name, value)| name.len().saturating_add(value.len()));
            headers.fold(http.query().map_or(0, str::len), usize::saturating_add)
        }
        None => listed
            .map(|(_, value)| value.len())
            .fold(0, usize::saturating_add),
    };
    arguments.saturating_add(request.name.len()) <= SHORT_BYTES && head <= SHORT_HEAD
}

/// Decides the items of a list, here or aside.
pub(crate) async fn decide_all(
    engine: &PolicyEngine,
    requests: &[AccessRequest<'_>],
) -> Vec<Decision> {
    if requests.len() <= SHORT_LIST || engine.most_steps(None) <= LONG_STEPS {
        return engine.decide_all_now(requests);
    }
    let work = {
        let questions = Owned::of(requests);
        move |engine: &PolicyEngine| {
            let asked: Vec<_> = questions.requests().collect();
            engine.decide_all_now(&asked)
        }
    };
    match aside(engine, &engine.aside().lists, work).await {
        Some(decisions) => decisions,
        None => engine.decide_all_now(requests),
    }
}

/// Does it on a thread for long work when there is room; none without a runtime, or when it shuts down.
///
/// The room is given back when the work is done, even if nobody waits for it any more.
async fn aside<T: Send + 'static>(
    engine: &PolicyEngine,
    room: &Arc<Semaphore>,
    work: impl FnOnce(&PolicyEngine) -> T + Send + 'static,
) -> Option<T> {
    let runtime = Handle::try_current().ok()?;
    let permit: OwnedSemaphorePermit = Arc::clone(room).acquire_owned().await.ok()?;
    let engine = engine.clone();
    let working = runtime.spawn_blocking(move || {
        let done = work(&engine);
        drop(permit);
        done
    });
    working.await.ok()
}

/// Questions that borrow nothing. Most of a list ask for the same caller in the same request.
struct Owned {
    askers: Vec<(Caller, RequestMeta)>,
    items: Vec<Item>,
}

struct Item {
    /// Where its caller is.
    asker: usize,
    method: Box<str>,
    feature: Feature,
    phase: Phase,
    name: Box<str>,
    upstream_name: Box<str>,
    server: Box<str>,
    tool: Option<ToolSpec>,
    arguments: Option<Arguments>,
}

impl Owned {
    fn of(requests: &[AccessRequest<'_>]) -> Self {
        let mut askers: Vec<(Caller, RequestMeta)> = Vec::new();
        let mut last: Option<&AccessRequest<'_>> = None;
        let mut items = Vec::with_capacity(requests.len());
        for request in requests {
            let is_same = last.is_some_and(|last| {
                std::ptr::eq(last.caller, request.caller) && std::ptr::eq(last.meta, request.meta)
            });
            if !is_same {
                askers.push((request.caller.clone(), request.meta.clone()));
            }
            last = Some(request);
            items.push(Item {
                asker: askers.len().saturating_sub(1),
                method: request.method.into(),
                feature: request.feature,
                phase: request.phase,
                name: request.name.into(),
                upstream_name: request.upstream_name.into(),
                server: request.server.into(),
                tool: request.tool.cloned(),
                arguments: request.arguments.cloned(),
            });
        }
        Self { askers, items }
    }

    fn requests(&self) -> impl Iterator<Item = AccessRequest<'_>> {
        self.items.iter().filter_map(|item| {
            let (caller, meta) = self.askers.get(item.asker)?;
            let mut request =
                AccessRequest::new(caller, meta, &item.method, item.feature, &item.name);
            request.phase = item.phase;
            request.upstream_name = &item.upstream_name;
            request.server = &item.server;
            request.tool = item.tool.as_ref();
            request.arguments = item.arguments.as_ref();
            Some(request)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use mcp_gw_core::{
        AccessRequest, Arguments, Caller, CallerKind, Feature, Phase, Policy, RawJson, RequestMeta,
        Transport,
    };

    use crate::{PolicyConfig, PolicyEngine};

    /// A policy that may take long: 20 loops within loops, of which the last holds for an `x`.
    fn costly() -> PolicyEngine {
        let a = "mcp.tool.arguments.a";
        let rule = |at: usize| {
            let when = format!("{a}.exists(p, {a}.exists(q, p + q == 'x{at}'))");
            serde_json::json!({ "id": format!("r{at}"), "effect": "allow", "tools": ["any"], "when": when })
        };
        let mut rules: Vec<_> = (0..20).map(rule).collect();
        rules.push(serde_json::json!({
            "id": "names", "effect": "allow", "tools": ["any"], "when": "mcp.tool.name.endsWith('7')",
        }));
        let config = serde_json::json!({ "rules": rules });
        let config: PolicyConfig = serde_json::from_value(config).unwrap();
        let engine = PolicyEngine::compile(&config).unwrap();
        assert!(engine.most_steps(None) > super::LONG_STEPS);
        engine
    }

    fn arguments(last: &str) -> Arguments {
        let mut items = vec!["a".repeat(7); 40];
        items.extend(["x".to_owned(), last.to_owned()]);
        let text = serde_json::json!({ "a": items }).to_string();
        Arguments::from_raw(RawJson::parse(text).unwrap()).unwrap()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn what_is_decided_aside_is_decided_as_here() {
        let engine = costly();
        let (ann, meta) = (
            Caller::new(CallerKind::ApiKey, "ann"),
            RequestMeta::new("1", Transport::Http),
        );
        for last in ["3", "no", "19", "20"] {
            let arguments = arguments(last);
            let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&arguments);
            let aside = runtime().block_on(engine.decide(&request));
            assert_eq!(aside, engine.decide_now(&request), "{last}");
            assert_eq!(
                aside.is_allowed(),
                ["3", "19"].contains(&last),
                "{last}: {aside:?}"
            );
        }
        let ben = Caller::new(CallerKind::ApiKey, "ben");
        let names: Vec<String> = (0..100).map(|at| format!("tool_{at}")).collect();
        let mut list: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let who = if at < 50 { &ann } else { &ben };
                AccessRequest::new(who, &meta, "tools/list", Feature::Tool, name)
            })
            .collect();
        for request in &mut list {
            request.phase = Phase::List;
        }
        let aside = runtime().block_on(engine.decide_all(&list));
        assert_eq!(aside, engine.decide_all_now(&list));
        assert_eq!(aside.len(), 100);
    }

    #[test]
    fn a_long_decision_leaves_the_thread_to_others() {
        let (engine, arguments) = (costly(), arguments("no"));
        runtime().block_on(async {
            let (ann, meta) = (
                Caller::new(CallerKind::ApiKey, "ann"),
                RequestMeta::new("1", Transport::Http),
            );
            let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&arguments);
            let mut deciding = pin!(engine.decide(&request));
            // Asked once, it is under way elsewhere.
            let first = poll_fn(|cx| Poll::Ready(deciding.as_mut().poll(cx).is_ready())).await;
            assert!(!first);
            assert!(!deciding.await.is_allowed());
            // Short arguments are decided at once.
            let short = Arguments::none();
            let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&short);
            let mut deciding = pin!(engine.decide(&request));
            assert!(poll_fn(|cx| Poll::Ready(deciding.as_mut().poll(cx).is_ready())).await);
        });
    }

    #[test]
    fn few_arguments_beside_long_headers_are_no_short_request() {
        let caller = Caller::new(CallerKind::ApiKey, "ann");
        let mut meta = RequestMeta::new("1", Transport::Http);
        let few = Arguments::none();
        let is_short = |meta: &RequestMeta| {
            let mut request = AccessRequest::new(&caller, meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&few);
            super::is_short(&request)
        };
        assert!(is_short(&meta));
        meta.headers.push(("x-list".to_owned(), "a,".repeat(2000)));
        assert!(!is_short(&meta));
    }

    #[test]
    fn who_gives_up_leaves_the_room_to_others() {
        let (engine, arguments) = (costly(), arguments("19"));
        runtime().block_on(async {
            let (ann, meta) = (
                Caller::new(CallerKind::ApiKey, "ann"),
                RequestMeta::new("1", Transport::Http),
            );
            let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&arguments);
            for _ in 0..100 {
                let mut deciding = pin!(engine.decide(&request));
                poll_fn(|cx| Poll::Ready(deciding.as_mut().poll(cx).is_ready())).await;
            }
            assert!(engine.decide(&request).await.is_allowed());
        });
    }

    #[test]
    fn without_a_runtime_it_is_decided_here() {
        let (engine, arguments) = (costly(), arguments("3"));
        let (ann, meta) = (
            Caller::new(CallerKind::ApiKey, "ann"),
            RequestMeta::new("1", Transport::Http),
        );
        let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "t");
        request.arguments = Some(&arguments);
        let mut deciding = pin!(engine.decide(&request));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            matches!(deciding.as_mut().poll(&mut cx), Poll::Ready(decision) if decision.is_allowed())
        );
    }
}
