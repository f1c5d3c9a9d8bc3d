//! The life of a request: audit, look-up, limit, decision, permit, backend. There is no other road.

use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::audit::{AuditScope, Outcome};
use crate::backend::{
    Backend, BackendError, Completion, CompletionRef, Extras, PromptGet, ResourceRead, TaskAsk,
    ToolCall,
};
use crate::caller::{AuthnError, Caller, Credentials};
use crate::catalogue::Entry;
use crate::context::{CallContext, Incoming, Permit, RequestMeta};
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::input::Rounds;
use crate::json::RawJson;
use crate::limit::{Admission, Charge, Quota};
use crate::policy::{AccessRequest, Feature, Phase};
use crate::task::TaskHome;
use crate::tool::{Arguments, ToolOutput};

/// One page of a list, filtered for the caller.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListPage {
    /// The definitions, in the order of the catalogue.
    pub items: Vec<RawJson>,
    /// Key of the last item when there may be more: where the next page goes on.
    pub next_after: Option<Arc<str>>,
}

/// What a caller may know of.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sight {
    /// The features of which there is something to see.
    pub features: HashSet<Feature>,
    /// The servers of which there is something to see.
    pub servers: HashSet<Arc<str>>,
}

/// What a request is about, while it goes down the road.
struct Use<'a> {
    method: &'static str,
    feature: Feature,
    name: &'a str,
    arguments: Option<&'a Arguments>,
}

impl Gateway {
    /// Checks credentials. A refusal is audited here, whatever asked.
    ///
    /// # Errors
    /// See [`AuthnError`].
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        meta: &RequestMeta,
    ) -> Result<Arc<Caller>, AuthnError> {
        let result = if credentials.malformed {
            Err(AuthnError::Malformed)
        } else {
            self.inner.authenticator.authenticate(credentials).await
        };
        if let Err(error) = &result {
            let mut scope = self.audit(None, meta, "authenticate");
            scope.event.error = Some(error.to_string());
            scope.close(Outcome::Unauthenticated);
        }
        result
    }

    /// One page of what the caller may see of a feature: at most `limit` items that come after the
    /// item `after`.
    ///
    /// # Errors
    /// When a limit is reached, or `after` is not in the list any more.
    pub async fn list(
        &self,
        incoming: &Incoming,
        feature: Feature,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, GatewayError> {
        let method = list_method(feature);
        let mut scope = self.audit(Some(&incoming.caller), &incoming.meta, method);
        let result = self
            .list_stages(incoming, &mut scope, feature, after, limit.max(1))
            .await;
        let (outcome, error) = match &result {
            Ok(_) => (Outcome::Ok, None),
            Err(error) => (Outcome::Error(error.class()), Some(describe(error))),
        };
        scope.event.error = error;
        scope.close(outcome);
        result
    }

    async fn list_stages(
        &self,
        incoming: &Incoming,
        scope: &mut AuditScope<'_>,
        feature: Feature,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, GatewayError> {
        let method = list_method(feature);
        let catalogue = self.catalogue();
        self.admit(incoming, method, None).await?;
        let entries = catalogue.entries(feature);
        let start = match after {
            None => 0,
            // A cursor that leads from an item which the caller may not see would tell that it is
            // there.
            Some(key) => match catalogue.position(feature, key) {
                Some(at) if self.may_see(incoming, feature, key).await => at + 1,
                _ => {
                    return Err(GatewayError::InvalidParams {
                        message: "the list has changed since this cursor was given; list again \
                                  from the start"
                            .to_owned(),
                    });
                }
            },
        };
        let mut page = ListPage {
            items: Vec::new(),
            next_after: None,
        };
        let mut last = None;
        let rest = entries.get(start..).unwrap_or_default();
        'pages: for chunk in rest.chunks(limit) {
            let questions: Vec<_> = chunk
                .iter()
                .map(|entry| question(incoming, method, feature, entry))
                .collect();
            let decisions = self.inner.policy.decide_all(&questions).await;
            // A policy that answers too few questions has not allowed the rest.
            for (entry, decision) in chunk.iter().zip(decisions) {
                if !decision.is_allowed() {
                    continue;
                }
                if page.items.len() == limit {
                    // There is one more that the caller may see, so a cursor leads somewhere.
                    page.next_after = last;
                    break 'pages;
                }
                last = Some(Arc::clone(&entry.key));
                page.items.push(entry.definition.clone());
            }
        }
        scope.event.items = Some((entries.len(), page.items.len()));
        scope.event.response_bytes = page.items.iter().map(RawJson::len).sum();
        Ok(page)
    }

    /// True when the item would be in the caller's list. It is neither limited nor audited: a
    /// question of the gateway itself, on the way of a request that will be.
    pub async fn may_see(&self, incoming: &Incoming, feature: Feature, name: &str) -> bool {
        let catalogue = self.catalogue();
        match catalogue.find(feature, name) {
            None => false,
            Some(entry) => {
                let request = question(incoming, list_method(feature), feature, entry);
                self.inner.policy.decide(&request).await.is_allowed()
            }
        }
    }

    /// What the caller may know of, without its items. Like [`Gateway::may_see`] it is a question of
    /// the gateway itself, neither limited nor audited.
    pub async fn sight(&self, incoming: &Incoming) -> Sight {
        let catalogue = self.catalogue();
        let mut sight = Sight::default();
        for feature in [
            Feature::Tool,
            Feature::Resource,
            Feature::ResourceTemplate,
            Feature::Prompt,
        ] {
            let (method, entries) = (list_method(feature), catalogue.entries(feature));
            let questions: Vec<_> = entries
                .iter()
                .map(|entry| question(incoming, method, feature, entry))
                .collect();
            let decisions = self.inner.policy.decide_all(&questions).await;
            for (entry, decision) in entries.iter().zip(decisions) {
                if decision.is_allowed() {
                    sight.features.insert(feature);
                    sight.servers.insert(Arc::clone(&entry.server));
                }
            }
        }
        sight
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When there is no result of the tool. A tool that failed is a result with `isError: true`.
    pub async fn call_tool(
        &self,
        incoming: &Incoming,
        call: ToolCall,
    ) -> Result<ToolOutput, GatewayError> {
        let what = Use {
            method: "tools/call",
            feature: Feature::Tool,
            name: &call.name,
            arguments: Some(&call.arguments),
        };
        let run = self.begin(incoming, &what).await?;
        let ToolCall {
            name,
            arguments,
            extras,
        } = call;
        let answer = run.drive(extras, |extras| {
            let call = ToolCall {
                name: run.upstream_key(),
                arguments: arguments.clone(),
                extras,
            };
            run.backend.call_tool(&run.ctx, call)
        });
        let answer = answer.await;
        let answer = answer.and_then(|answer| self.learn_task(&run, &name, answer));
        run.finish(answer)
    }

    /// Reads a resource; the answer is a `ReadResourceResult` object.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn read_resource(
        &self,
        incoming: &Incoming,
        read: ResourceRead,
    ) -> Result<RawJson, GatewayError> {
        let what = Use {
            method: "resources/read",
            feature: Feature::Resource,
            name: &read.uri,
            arguments: None,
        };
        let run = self.begin(incoming, &what).await?;
        let ResourceRead { uri, extras } = read;
        let answer = run.drive(extras, |extras| {
            let read = ResourceRead::new(Arc::clone(&uri), extras);
            run.backend.read_resource(&run.ctx, read)
        });
        let answer = answer.await;
        run.finish(answer)
    }

    /// Gets a prompt; the answer is a `GetPromptResult` object.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn get_prompt(
        &self,
        incoming: &Incoming,
        get: PromptGet,
    ) -> Result<RawJson, GatewayError> {
        let what = Use {
            method: "prompts/get",
            feature: Feature::Prompt,
            name: &get.name,
            arguments: Some(&get.arguments),
        };
        let run = self.begin(incoming, &what).await?;
        let PromptGet {
            arguments, extras, ..
        } = get;
        let answer = run.drive(extras, |extras| {
            let get = PromptGet::new(run.upstream_key(), arguments.clone(), extras);
            run.backend.get_prompt(&run.ctx, get)
        });
        let answer = answer.await;
        run.finish(answer)
    }

    /// Completes an argument; the answer is a `CompleteResult` object. Whoever may not use the
    /// prompt or template may not complete its arguments either.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn complete(
        &self,
        incoming: &Incoming,
        completion: Completion,
    ) -> Result<RawJson, GatewayError> {
        let (feature, name) = match &completion.reference {
            CompletionRef::Prompt(name) => (Feature::Prompt, name),
            CompletionRef::Resource(uri) => (Feature::ResourceTemplate, uri),
        };
        let what = Use {
            method: "completion/complete",
            feature,
            name,
            arguments: None,
        };
        let run = self.begin(incoming, &what).await?;
        let reference = match feature {
            Feature::Prompt => CompletionRef::Prompt(run.upstream_key()),
            _ => CompletionRef::Resource(run.upstream_key()),
        };
        let completion = Completion {
            reference,
            ..completion
        };
        let answer = catch_panic(run.backend.complete(&run.ctx, completion)).await;
        run.finish(answer)
    }

    /// Subscribes to updates of a resource on behalf of the caller.
    ///
    /// # Errors
    /// When the caller may not, or the backend cannot tell of updates.
    pub async fn subscribe(&self, incoming: &Incoming, uri: &str) -> Result<(), GatewayError> {
        let what = Use {
            method: "resources/subscribe",
            feature: Feature::Resource,
            name: uri,
            arguments: None,
        };
        let run = self.begin(incoming, &what).await?;
        let answer = catch_panic(run.backend.subscribe(&run.ctx, uri)).await;
        run.finish(answer)
    }

    /// Ends [`Gateway::subscribe`]. It can only reduce, so nobody is asked.
    ///
    /// # Errors
    /// When there is no such resource, or its backend cannot be asked.
    pub async fn unsubscribe(&self, incoming: &Incoming, uri: &str) -> Result<(), GatewayError> {
        let mut scope = self.audit(
            Some(&incoming.caller),
            &incoming.meta,
            "resources/unsubscribe",
        );
        scope.name(uri);
        let entry = self.catalogue().find_resource(uri).cloned();
        let result = match entry {
            None => Err(GatewayError::Unknown {
                feature: Feature::Resource,
                name: uri.to_owned(),
            }),
            Some(entry) => {
                scope.event.name_known = true;
                scope.event.server = Some(Arc::clone(&entry.server));
                scope.event.backend_asked = true;
                let answer = catch_panic(entry.backend.unsubscribe(uri)).await;
                answer.and_then(|answer| answer.map_err(GatewayError::from))
            }
        };
        let outcome = match &result {
            Ok(()) => Outcome::Ok,
            Err(error) => {
                scope.event.error = Some(describe(error));
                Outcome::Error(error.class())
            }
        };
        scope.close(outcome);
        result
    }

    /// Asks how a task of this caller stands, answers what it asks for, or cancels it (extension
    /// `io.modelcontextprotocol/tasks`). Whoever may not call the tool any more may not ask about its
    /// tasks either, and somebody else's task is as good as none.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn task(&self, incoming: &Incoming, ask: TaskAsk) -> Result<RawJson, GatewayError> {
        let run = self
            .begin_task(incoming, ask.method.as_str(), &ask.task_id)
            .await?;
        let answer = catch_panic(run.backend.task(&run.ctx, ask)).await;
        run.finish(answer)
    }

    /// Asks for [`GatewayEvent::TaskChanged`](crate::GatewayEvent::TaskChanged) of a task of this
    /// caller.
    ///
    /// # Errors
    /// When it is not the caller's, or its backend cannot tell of changes.
    pub async fn watch_task(&self, incoming: &Incoming, id: &str) -> Result<(), GatewayError> {
        let run = self
            .begin_task(incoming, "subscriptions/listen", id)
            .await?;
        let answer = catch_panic(run.backend.watch_task(&run.ctx, id)).await;
        run.finish(answer)
    }

    /// Ends [`Gateway::watch_task`].
    pub async fn unwatch_task(&self, caller: &Caller, id: &str) {
        let now = self.inner.clock.now();
        let Some(home) = self.inner.tasks.find(caller, id, now) else {
            return;
        };
        for backend in self.backends() {
            if backend.name() == &*home.server {
                backend.unwatch_task(id).await;
            }
        }
    }

    /// True when the task of this id at `server` is this caller's.
    pub fn owns_task(&self, caller: &Caller, server: &str, id: &str) -> bool {
        let now = self.inner.clock.now();
        let home = self.inner.tasks.find(caller, id, now);
        home.is_some_and(|home| &*home.server == server)
    }

    /// The road of a request about a task: that of its tool, except that the task must be the
    /// caller's.
    async fn begin_task<'g>(
        &'g self,
        incoming: &Incoming,
        method: &'static str,
        id: &str,
    ) -> Result<Run<'g>, GatewayError> {
        let home = self
            .inner
            .tasks
            .find(&incoming.caller, id, self.inner.clock.now());
        // A name that no tool can have: unknown, after the limit and with an audit event.
        let name = home.as_ref().map_or("", |home| &*home.tool);
        let what = Use {
            method,
            feature: Feature::Tool,
            name,
            arguments: None,
        };
        self.begin(incoming, &what)
            .await
            .map_err(|error| match error {
                GatewayError::Unknown { .. } | GatewayError::Denied { .. } => {
                    GatewayError::InvalidParams {
                        message: format!(
                            "no such task: {}",
                            id.chars().take(128).collect::<String>()
                        ),
                    }
                }
                error => error,
            })
    }

    /// Remembers whose a task is, when the answer to a call is one.
    fn learn_task(
        &self,
        run: &Run<'_>,
        tool: &Arc<str>,
        answer: Result<ToolOutput, BackendError>,
    ) -> Result<Result<ToolOutput, BackendError>, GatewayError> {
        let Ok(output) = &answer else {
            return Ok(answer);
        };
        let server = || Arc::<str>::from(run.backend.name());
        let home = || TaskHome {
            server: server(),
            tool: Arc::clone(tool),
            endpoint: None,
        };
        let (tasks, now) = (&self.inner.tasks, self.inner.clock.now());
        if tasks.learn(run.ctx.caller(), home, output.as_raw(), now) {
            Ok(answer)
        } else {
            Err(GatewayError::Untellable { server: server() })
        }
    }

    /// The road up to the backend: audit, look-up, limit, decision, permit. What is refused on the
    /// way is audited here; what gets through is audited when the [`Run`] ends.
    async fn begin<'g>(
        &'g self,
        incoming: &Incoming,
        what: &Use<'_>,
    ) -> Result<Run<'g>, GatewayError> {
        let mut scope = self.audit(Some(&incoming.caller), &incoming.meta, what.method);
        scope.name(what.name);
        scope.event.request_bytes = what.arguments.map_or(0, |args| args.as_raw().len());
        match self.stages(incoming, what, &mut scope).await {
            Ok((permit, backend, upstream_key)) => {
                scope.event.backend_asked = true;
                let ctx = CallContext::new(permit, incoming.clone());
                Ok(Run {
                    scope,
                    ctx,
                    backend,
                    upstream_key,
                })
            }
            Err(error) => {
                scope.event.error = Some(describe(&error));
                scope.close(Outcome::Error(error.class()));
                Err(error)
            }
        }
    }

    async fn stages(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        scope: &mut AuditScope<'_>,
    ) -> Result<(Permit, Arc<dyn Backend>, Arc<str>), GatewayError> {
        let catalogue = self.catalogue();
        let entry = match what.feature {
            Feature::Resource => catalogue.find_resource(what.name),
            feature => catalogue.find(feature, what.name),
        };
        if let Some(entry) = entry {
            scope.event.name_known = true;
            scope.event.server = Some(Arc::clone(&entry.server));
        }
        self.admit(incoming, what.method, entry).await?;
        // Unknown comes after the limit, so that guessing names costs as much as calling them.
        let Some(entry) = entry else {
            return Err(GatewayError::Unknown {
                feature: what.feature,
                name: what.name.to_owned(),
            });
        };
        let permit = self.decide(incoming, what, entry, scope).await?;
        Ok((
            permit,
            Arc::clone(&entry.backend),
            Arc::clone(&entry.upstream_key),
        ))
    }

    async fn decide(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        entry: &Entry,
        scope: &mut AuditScope<'_>,
    ) -> Result<Permit, GatewayError> {
        // Asking about a task needs the right to call its tool.
        let method = match what.feature {
            Feature::Tool => "tools/call",
            _ => what.method,
        };
        let request = AccessRequest {
            name: what.name,
            phase: Phase::Call,
            arguments: what.arguments,
            ..question(incoming, method, what.feature, entry)
        };
        let decision = self.inner.policy.decide(&request).await;
        scope.event.effect = Some(decision.effect());
        scope.event.reasons = decision.reasons().to_vec();
        scope.event.policy_errors = decision.errors().to_vec();
        Permit::from_decision(decision).map_err(|decision| GatewayError::Denied {
            feature: what.feature,
            name: what.name.to_owned(),
            decision,
        })
    }

    async fn admit(
        &self,
        incoming: &Incoming,
        method: &str,
        entry: Option<&Entry>,
    ) -> Result<Option<Quota>, GatewayError> {
        let charge = Charge {
            caller: &incoming.caller,
            meta: &incoming.meta,
            method,
            name: entry.map(|entry| &*entry.key),
            server: entry.map(|entry| &*entry.server),
            cost: 1,
        };
        match self.inner.limiter.admit(&charge).await {
            Ok(Admission::Admitted { quota }) => Ok(quota),
            Ok(Admission::Limited {
                limit_name,
                quota,
                retry_after,
            }) => Err(GatewayError::Limited {
                limit_name,
                quota,
                retry_after,
            }),
            Err(error) => Err(GatewayError::LimiterUnavailable(error)),
        }
    }

    fn audit(
        &self,
        caller: Option<&Caller>,
        meta: &RequestMeta,
        method: &'static str,
    ) -> AuditScope<'_> {
        let inner = &*self.inner;
        AuditScope::open(
            &*inner.clock,
            &inner.sinks,
            &inner.stopped,
            caller,
            meta,
            method,
        )
    }
}

/// A request that may go to its backend, and whose audit event is still open. Dropping it records
/// that the request was given up.
struct Run<'g> {
    scope: AuditScope<'g>,
    ctx: CallContext,
    backend: Arc<dyn Backend>,
    upstream_key: Arc<str>,
}

impl Run<'_> {
    fn upstream_key(&self) -> Arc<str> {
        Arc::clone(&self.upstream_key)
    }

    /// Asks the backend; when it asks for input that the client must be asked for in another way,
    /// asks the client and then the backend again.
    async fn drive<'r, T: Answer>(
        &'r self,
        mut extras: Extras,
        ask: impl Fn(Extras) -> Asked<'r, T>,
    ) -> Result<Result<T, BackendError>, GatewayError> {
        let mut rounds = Rounds::new(&**self.ctx.link());
        if !rounds.are_driven() {
            return catch_panic(ask(extras)).await;
        }
        loop {
            let answer = catch_panic(ask(extras.clone())).await?;
            let Some(raw) = answer.as_ref().ok().and_then(Answer::raw) else {
                return Ok(answer);
            };
            match rounds.follow(self.backend.name(), raw, &extras).await? {
                None => return Ok(answer),
                Some(next) => extras = next,
            }
        }
    }

    fn finish<T: Answer>(
        mut self,
        answer: Result<Result<T, BackendError>, GatewayError>,
    ) -> Result<T, GatewayError> {
        let result = answer.and_then(|answer| answer.map_err(GatewayError::from));
        let result = result.and_then(|answer| {
            let raw = answer.raw();
            if raw.is_none_or(|raw| self.ctx.link().accepts(raw)) {
                Ok(answer)
            } else {
                Err(GatewayError::Untellable {
                    server: self.backend.name().into(),
                })
            }
        });
        let outcome = match &result {
            Ok(answer) => {
                self.scope.event.response_bytes = answer.len();
                if answer.is_error() {
                    Outcome::ToolError
                } else {
                    Outcome::Ok
                }
            }
            Err(error) => {
                self.scope.event.error = Some(describe(error));
                if let GatewayError::Backend(error) = error {
                    self.scope.event.backend_asked = !error.is_unsent();
                }
                Outcome::Error(error.class())
            }
        };
        self.scope.close(outcome);
        result
    }
}

/// A backend at work.
type Asked<'r, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'r>>;

/// What the audit event says of an answer.
trait Answer {
    fn raw(&self) -> Option<&RawJson>;

    fn len(&self) -> usize {
        self.raw().map_or(0, RawJson::len)
    }

    fn is_error(&self) -> bool {
        false
    }
}

impl Answer for ToolOutput {
    fn raw(&self) -> Option<&RawJson> {
        Some(self.as_raw())
    }

    fn is_error(&self) -> bool {
        self.is_error()
    }
}

impl Answer for RawJson {
    fn raw(&self) -> Option<&RawJson> {
        Some(self)
    }
}

impl Answer for () {
    fn raw(&self) -> Option<&RawJson> {
        None
    }
}

const fn list_method(feature: Feature) -> &'static str {
    match feature {
        Feature::Tool => "tools/list",
        Feature::Resource => "resources/list",
        Feature::ResourceTemplate => "resources/templates/list",
        Feature::Prompt => "prompts/list",
    }
}

fn question<'a>(
    incoming: &'a Incoming,
    method: &'a str,
    feature: Feature,
    entry: &'a Entry,
) -> AccessRequest<'a> {
    AccessRequest {
        caller: &incoming.caller,
        meta: &incoming.meta,
        method,
        feature,
        phase: Phase::List,
        name: &entry.key,
        upstream_name: &entry.upstream_key,
        server: &entry.server,
        tool: entry.tool.as_ref(),
        arguments: None,
    }
}

/// An error with its causes, for the audit event. It may hold words of a client or a server, so it
/// is cut.
fn describe(error: &GatewayError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST_ERROR) {
        text.truncate(end);
    }
    text
}

/// So many characters of an error are written down.
const LONGEST_ERROR: usize = 1024;

/// Runs `future` and turns a panic in it into an error, so that one broken tool takes neither the
/// connection nor other calls with it.
async fn catch_panic<T>(
    mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> Result<T, GatewayError> {
    std::future::poll_fn(move |cx| {
        // The future is dropped right after a panic and never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => {
                let message = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Poll::Ready(Err(GatewayError::Panicked { message }))
            }
        }
    })
    .await
}
