//! A backend that asks its client, logs, and changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_gw_core::testing::RecordingAudit;
use mcp_gw_core::{
    AccessRequest, Admission, AllowAll, Backend, BackendError, BackendEvent, BackendListener,
    CallContext, CallNotification, CancelReason, Charge, ClientLinkError, ClientRef, Decision,
    Feature, Gateway, ItemSpec, LimiterError, Offer, Policy, PromptGet, Quota, RateLimiter,
    RawJson, ResourceRead, SessionKey, TaskAsk, ToolCall, ToolOutput, ToolSpec, Transport,
    async_trait,
};
use mcp_gw_server::{Engine, EngineConfig};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the tests look at afterwards, and what they say to the backend.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) listener: Mutex<Option<Arc<dyn BackendListener>>>,
    pub(crate) heard: Mutex<Vec<String>>,
    pub(crate) offer: Mutex<Offer>,
    pub(crate) go: Notify,
    /// The session of the last call.
    pub(crate) session: Mutex<Option<SessionKey>>,
    /// Refused by the policy: names and URIs.
    pub(crate) refused: Mutex<Vec<String>>,
    pub(crate) rang: Notify,
    /// So many requests the limiter still lets through.
    pub(crate) budget: AtomicUsize,
    /// What the policy was asked about calls: names and arguments.
    pub(crate) decided: Mutex<Vec<String>>,
    /// What tasks ask for: `inputRequests`.
    pub(crate) task_asks: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.heard.lock().unwrap().push(what.into());
        self.rang.notify_waiters();
    }

    /// Waits until `what` was noted so often.
    pub(crate) async fn heard(&self, what: &str, times: usize) {
        loop {
            let rang = self.rang.notified();
            let count = || {
                let heard = self.heard.lock().unwrap();
                heard.iter().filter(|it| *it == what).count()
            };
            if count() >= times {
                return;
            }
            rang.await;
        }
    }

    pub(crate) fn tell(&self, event: BackendEvent) {
        let listener = self.listener.lock().unwrap().clone().unwrap();
        listener.on_event(event);
    }
}

#[derive(Clone)]
pub(crate) struct Asker(pub(crate) Arc<Shared>, pub(crate) &'static str);

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_serialize(value).unwrap()
}

fn tool(name: &str) -> ToolSpec {
    let definition = json!({"name": name, "inputSchema": {"type": "object"}});
    ToolSpec::from_definition(raw(&definition)).unwrap()
}

/// Drops leave a note.
struct Noted(Arc<Shared>, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

impl Asker {
    pub(crate) fn offer() -> Offer {
        let names = ["ask", "ask_two", "ask_twice", "change_mind", "log", "wait"];
        let more = ["task", "url_first", "error", "ask_then_wait"];
        let tools = names.iter().chain(&more).map(|name| tool(name)).collect();
        let mut offer = Offer::of_tools(tools);
        let item = |feature, value: Value| ItemSpec::from_definition(feature, raw(&value)).unwrap();
        offer.resources = ["a://1", "a://2", "a://secret"]
            .iter()
            .map(|uri| item(Feature::Resource, json!({"uri": uri, "name": uri})))
            .collect();
        offer.resource_templates = vec![item(
            Feature::ResourceTemplate,
            json!({"uriTemplate": "t://{id}", "name": "t"}),
        )];
        offer.prompts = vec![item(Feature::Prompt, json!({"name": "p"}))];
        offer.capabilities = Some(raw(&json!({
            "tools": {}, "logging": {}, "resources": {"subscribe": true}, "prompts": {},
            "extensions": {"io.modelcontextprotocol/tasks": {"v": 1}},
        })));
        offer
    }

    /// What the client of a subscription can be asked for, which is for all its calls alike.
    fn note_watcher(&self, what: &str, client: &ClientRef) {
        if let Some(capabilities) = &client.capabilities {
            let kind = if client.session.is_some() {
                "session"
            } else {
                "caller"
            };
            self.0
                .note(format!("a {kind} {what} that has {capabilities}"));
        }
    }

    async fn ask(&self, ctx: &CallContext, args: &Value) -> Value {
        let method = args["method"].as_str().unwrap_or("elicitation/create");
        let params = args.get("params").cloned().unwrap_or_else(|| json!({}));
        said(ctx.link().request(method, raw(&params)).await)
    }
}

fn said(answer: Result<RawJson, ClientLinkError>) -> Value {
    match answer {
        Ok(answer) => json!({"answer": answer.to_value().unwrap()}),
        Err(ClientLinkError::Rpc(error)) => json!({"error": error.to_value().unwrap()}),
        Err(ClientLinkError::Unsupported { .. }) => json!("unsupported"),
        Err(_) => json!("gone"),
    }
}

fn output(value: &Value) -> ToolOutput {
    let result = json!({"content": [], "structuredContent": value});
    ToolOutput::from_raw(raw(&result)).unwrap()
}

#[async_trait]
impl Backend for Asker {
    fn name(&self) -> &'static str {
        self.1
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.0.offer.lock().unwrap().clone())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let args = call.arguments.as_raw().to_value().unwrap();
        (*self.0.session.lock().unwrap()).clone_from(&ctx.meta().session);
        self.0.note(format!("called {}", call.name));
        let _end = Noted(Arc::clone(&self.0), "call ended");
        let declared = ctx.link().capabilities();
        let value = match &*call.name {
            "ask" => {
                let answer = self.ask(ctx, &args).await;
                json!({"said": answer, "declared": declared.map(|it| it.to_value().unwrap())})
            }
            "ask_two" => {
                let later = async {
                    let apart = args["apart_ms"].as_u64().unwrap_or_default();
                    tokio::time::sleep(Duration::from_millis(apart)).await;
                    self.ask(ctx, &args).await
                };
                let (a, b) = tokio::join!(self.ask(ctx, &args), later);
                json!([a, b])
            }
            "ask_twice" => {
                let a = self.ask(ctx, &args).await;
                ctx.progress(1.0, None, Some("half"));
                let log = raw(&json!({"level": "info", "data": "half"}));
                ctx.link().notify(CallNotification::Log(log));
                json!([a, self.ask(ctx, &args).await])
            }
            "change_mind" => {
                let taken_back = CancelReason::default();
                let params = RawJson::empty_object();
                let why = async {
                    self.0.go.notified().await;
                    taken_back.say("changed its mind");
                };
                tokio::select! {
                    answer = ctx.link().ask("elicitation/create", params, &taken_back) => said(answer),
                    () = why => json!("changed its mind"),
                }
            }
            "log" => {
                for level in ["debug", "info", "error"] {
                    let params = raw(&json!({"level": level, "data": {"n": level}}));
                    ctx.link().notify(CallNotification::Log(params));
                }
                json!("logged")
            }
            "ask_then_wait" => {
                self.ask(ctx, &args).await;
                self.0.note("waits");
                std::future::pending().await
            }
            "wait" => {
                self.0.go.notified().await;
                json!("waited")
            }
            "task" => {
                let task = json!({"resultType": "task", "taskId": "t1", "status": "working"});
                return Ok(ToolOutput::from_raw(raw(&task)).unwrap());
            }
            "error" => return Err(BackendError::Rpc(raw(&args))),
            "url_first" => {
                if self
                    .0
                    .heard
                    .lock()
                    .unwrap()
                    .iter()
                    .filter(|it| *it == "called url_first")
                    .count()
                    > 1
                {
                    return Ok(output(&json!({"extras": call.extras.members.len()})));
                }
                return Err(BackendError::Rpc(raw(&json!({
                    "code": -32042, "message": "sign in first", "data": {"elicitations": [
                        {"mode": "url", "url": "https://x.example/in", "elicitationId": "e1", "message": "Sign in"}
                    ]}
                }))));
            }
            _ => json!(null),
        };
        Ok(output(&value))
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        if &*read.uri == "t://gone" {
            let data = json!({"uri": "t://gone", "x": 1});
            let error = json!({"code": -32602, "message": "gone", "data": data});
            return Err(BackendError::Rpc(raw(&error)));
        }
        Ok(raw(&json!({"contents": []})))
    }

    async fn get_prompt(&self, ctx: &CallContext, _: PromptGet) -> Result<RawJson, BackendError> {
        let answer = self.ask(ctx, &json!({})).await;
        Ok(raw(&json!({"messages": [], "said": answer})))
    }

    async fn task(&self, _: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        let asks = self.0.task_asks.lock().unwrap().clone();
        if let Some(error) = asks.as_deref().and_then(|asks| asks.strip_prefix("error ")) {
            return Err(BackendError::Rpc(RawJson::parse(error.to_owned()).unwrap()));
        }
        let asks = asks.map_or_else(String::new, |asks| format!(",{asks}"));
        let text = format!(
            r#"{{"taskId":"{}","status":"working","x":1.0,"method":"{}"{asks}}}"#,
            ask.task_id,
            ask.method.as_str()
        );
        Ok(RawJson::parse(text).unwrap())
    }

    async fn watch_task(&self, _: &CallContext, task_id: &str) -> Result<(), BackendError> {
        self.0.note(format!("watch {task_id}"));
        Ok(())
    }

    async fn unwatch_task(&self, task_id: &str) {
        self.0.note(format!("unwatch {task_id}"));
    }

    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        self.note_watcher("subscribes", &ctx.client());
        if uri == "a://2" {
            return Err(self.unsupported("resources/subscribe"));
        }
        self.0.note(format!("subscribe {uri}"));
        Ok(())
    }

    async fn unsubscribe(&self, uri: &str, client: Option<&ClientRef>) -> Result<(), BackendError> {
        self.note_watcher("ends", client.unwrap());
        self.0.note(format!("unsubscribe {uri}"));
        Ok(())
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        *self.0.listener.lock().unwrap() = Some(listener);
    }

    fn greet(&self, client: &ClientRef) {
        let asked = client.capabilities.as_ref().unwrap();
        let is_stdio = client.transport == Transport::Stdio;
        self.0.note(format!("greeted {asked} stdio {is_stdio}"));
        *self.0.session.lock().unwrap() = client.session.clone();
    }

    fn end_session(&self, _: &SessionKey) {
        self.0.note("session ended");
    }

    fn roots_changed(&self, _: &SessionKey) {
        self.0.note("roots changed");
    }
}

/// Refuses what the tests name, and asks `AllowAll` about the rest.
struct Refusing(Arc<Shared>);

#[async_trait]
impl Policy for Refusing {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        if let Some(arguments) = request.arguments {
            let asked = format!("{} {}", request.name, arguments.as_raw());
            self.0.decided.lock().unwrap().push(asked);
        }
        if self
            .0
            .refused
            .lock()
            .unwrap()
            .iter()
            .any(|it| it == request.name)
        {
            return Decision::deny();
        }
        AllowAll::new().decide(request).await
    }
}

/// Lets so many requests through as the tests say.
struct Budget(Arc<Shared>);

#[async_trait]
impl RateLimiter for Budget {
    async fn admit(&self, _: &Charge<'_>) -> Result<Admission, LimiterError> {
        let budget = &self.0.budget;
        let one_less = |left: usize| left.checked_sub(1);
        let spent = budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        let quota = Quota::new(1, 0, Duration::from_secs(1));
        Ok(match spent {
            Ok(_) => Admission::admitted(None),
            Err(_) => Admission::limited("budget", quota, Duration::from_secs(1)),
        })
    }

    fn tells_items_apart(&self, _: &Charge<'_>) -> bool {
        false
    }
}

fn shared() -> Arc<Shared> {
    let shared = Arc::new(Shared::default());
    shared.budget.store(usize::MAX, Ordering::SeqCst);
    *shared.offer.lock().unwrap() = Asker::offer();
    shared
}

/// An engine in front of two such backends, each with its name as a prefix.
pub(crate) async fn engine_of(names: [&'static str; 2]) -> (Engine, [Arc<Shared>; 2]) {
    let all = [shared(), shared()];
    let mut builder = Gateway::builder().policy(AllowAll::new());
    for (name, shared) in names.into_iter().zip(&all) {
        builder = builder.backend_with_prefix(name, Asker(Arc::clone(shared), name));
    }
    let gateway = builder.build().unwrap();
    gateway.refresh().await.unwrap();
    (Engine::new(gateway, EngineConfig::default()), all)
}

/// An engine in front of the backend, by these rules.
pub(crate) async fn engine_by(policy: impl Policy) -> (Engine, Arc<Shared>) {
    let shared = shared();
    let gateway = Gateway::builder()
        .backend(Asker(Arc::clone(&shared), "asker"))
        .policy(policy)
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    (Engine::new(gateway, EngineConfig::default()), shared)
}

/// An engine in front of the backend.
pub(crate) async fn engine(config: EngineConfig) -> (Engine, Arc<Shared>, RecordingAudit) {
    engine_limited(config, |shared| Budget(Arc::clone(shared))).await
}

/// The same with another limiter.
pub(crate) async fn engine_limited<L: RateLimiter>(
    config: EngineConfig,
    limiter: impl FnOnce(&Arc<Shared>) -> L,
) -> (Engine, Arc<Shared>, RecordingAudit) {
    let shared = shared();
    shared.refused.lock().unwrap().push("a://secret".to_owned());
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .backend(Asker(Arc::clone(&shared), "asker"))
        .policy(Refusing(Arc::clone(&shared)))
        .rate_limiter(limiter(&shared))
        .audit(audit.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    (Engine::new(gateway, config), shared, audit)
}
