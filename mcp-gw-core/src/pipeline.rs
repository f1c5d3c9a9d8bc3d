//! The life of a request: audit, look-up, limit, decision, permit, backend. There is no other road.

mod between;
mod choice;
mod complete;
mod list;
mod questions;
mod resume;
mod subscribe;
mod tasks;

use std::future::Future;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::audit::{AuditScope, Deed, Outcome};
use crate::backend::{Backend, BackendError, Extras, PromptGet, ResourceRead, ToolCall};
use crate::caller::{AuthnError, Caller, Credentials};
use crate::catalogue::{Catalogue, Entry, Target};
use crate::choice::ServerChoice;
use crate::context::{CallContext, Incoming, Permit, RequestMeta, Transport};
use crate::error::{ErrorClass, GatewayError};
use crate::gateway::Gateway;
use crate::input::Rounds;
use crate::json::RawJson;
use crate::limit::{Admission, Charge, Hold, LimitReport, LimiterError};
use crate::policy::{AccessRequest, Decision, Effect, Feature, Phase};
use crate::shown::{Mapped, Shown, Unclear};
use crate::tool::{Arguments, ToolOutput, ToolSpec};

pub use list::{ListPage, Sight};
pub use resume::Resumed;
pub use subscribe::Subscription;
pub use tasks::WatchedTask;

/// What a request is about, while it goes down the road.
struct Use<'a> {
    method: &'static str,
    feature: Feature,
    name: &'a str,
    arguments: Option<&'a Arguments>,
    /// For a request about a task, the arguments of the call that made it: it is decided on as that
    /// call would be now.
    earlier: Option<&'a Arguments>,
}

/// What a request is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// What every request is.
    Full,
    /// The same, but it needs no place of its own: see [`Charge::goes_on`].
    GoesOn,
    /// Nothing: it was charged before, and is made once more by the gateway itself.
    Paid,
}

impl Gateway {
    /// Checks credentials; over HTTP, whether anybody may come from the client's address at all comes
    /// first. A refusal is audited here, whatever asked.
    ///
    /// # Errors
    /// See [`AuthnError`].
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        meta: &RequestMeta,
    ) -> Result<Arc<Caller>, AuthnError> {
        let refused = match meta.transport {
            Transport::Http => self.address_refusal(meta.client_addr),
            _ => None,
        };
        let result = if let Some(reason) = refused {
            Err(AuthnError::Address { reason })
        } else if let Some(refused) = &credentials.refused {
            Err(refused.clone())
        } else if credentials.malformed {
            Err(AuthnError::Malformed)
        } else {
            self.inner.authenticator.authenticate(credentials).await
        };
        if let Err(error) = &result {
            let mut scope = self.audit(None, meta, "authenticate");
            scope.event.error = Some(error.to_string());
            let outcome = if let Some(reason) = refused {
                scope.event.effect = Some(Effect::Deny);
                scope.event.reason = Some("address");
                scope.event.reasons = vec![reason.into()];
                Outcome::Error(ErrorClass::Denied)
            } else {
                Outcome::Unauthenticated
            };
            scope.close(outcome);
        }
        result
    }

    /// Does something to the gateway itself, beside MCP, such as a change to who may call, and audits it
    /// as `method` by `caller`: as cancelled when it is dropped before it ends.
    pub async fn audited<T>(
        &self,
        caller: Option<&Caller>,
        meta: &RequestMeta,
        method: &'static str,
        work: impl Future<Output = (T, Deed)>,
    ) -> T {
        let mut scope = self.audit(caller, meta, method);
        let (done, deed) = work.await;
        if let Some(name) = &deed.name {
            scope.name(name);
        }
        scope.event.error = deed.error;
        scope.close(deed.outcome);
        done
    }

    /// Why nobody may come over HTTP from this address, whoever they are; `None` when they may.
    /// [`Gateway::authenticate`] asks it first, and audits it: this is for who must know whether
    /// anything else may be told before.
    pub fn address_refusal(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        self.inner.policy.refuses_address(addr)
    }

    /// Charges a request of a client at `addr`, before anybody knows who it is from, and tells
    /// `report` how that address stands. It is not audited: what is refused by the thousand must not
    /// fill the log. The limiter counts it.
    ///
    /// # Errors
    /// When a limit is reached, or the limiter cannot tell.
    pub async fn admit_address(
        &self,
        addr: Option<IpAddr>,
        report: &LimitReport,
    ) -> Result<(), GatewayError> {
        let answer = self.inner.limiter.admit_address(addr).await;
        settle(answer, Some(report)).map(drop)
    }

    /// Charges a request that is answered without going down the road: `ping`, `initialize`,
    /// `server/discover`, `logging/setLevel`. It is not audited; the limiter counts it.
    ///
    /// # Errors
    /// When a limit is reached, or the limiter cannot tell.
    pub async fn charge(&self, incoming: &Incoming, method: &str) -> Result<(), GatewayError> {
        self.admit(&Charge::new(&incoming.caller, &incoming.meta, method))
            .await
            .map(drop)
    }

    /// The catalogue as the endpoint shows it that the request came to.
    pub fn catalogue_of(&self, incoming: &Incoming) -> Arc<Catalogue> {
        self.catalogue_at(incoming.meta.endpoint.as_deref())
    }

    /// True when the policy answers every caller alike, so that what one sees may be kept for all.
    pub fn is_uniform(&self) -> bool {
        self.inner.policy.is_uniform()
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
            earlier: None,
        };
        let run = match self.begin(incoming, &what).await {
            Ok(run) => run,
            Err(refused) => return self.told(incoming, &what, refused).await,
        };
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
        let answer = answer.and_then(|answer| self.learn_task(&run, &name, &arguments, answer));
        let answer = run.shown_error(run.shown(answer, Shown::tool));
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
            earlier: None,
        };
        let run = self.begin(incoming, &what).await?;
        let extras = read.extras;
        let answer = run.drive(extras, |extras| {
            let read = ResourceRead::new(run.upstream_key(), extras);
            run.backend.read_resource(&run.ctx, read)
        });
        let answer = run.shown_error(run.shown(answer.await, Shown::read));
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
            earlier: None,
        };
        let run = self.begin(incoming, &what).await?;
        let PromptGet {
            arguments, extras, ..
        } = get;
        let answer = run.drive(extras, |extras| {
            let get = PromptGet::new(run.upstream_key(), arguments.clone(), extras);
            run.backend.get_prompt(&run.ctx, get)
        });
        let answer = run.shown(answer.await, Shown::prompt);
        run.finish(answer)
    }

    /// The road up to the backend: audit, look-up, limit, decision, permit. What is refused on the
    /// way is audited here; what gets through is audited when the [`Run`] ends.
    async fn begin<'g>(
        &'g self,
        incoming: &Incoming,
        what: &Use<'_>,
    ) -> Result<Run<'g>, GatewayError> {
        self.begin_at(incoming, what, Cost::Full).await
    }

    async fn begin_at<'g>(
        &'g self,
        incoming: &Incoming,
        what: &Use<'_>,
        cost: Cost,
    ) -> Result<Run<'g>, GatewayError> {
        let (mut scope, (permit, target, hold)) = self.admitted(incoming, what, cost).await?;
        scope.event.backend_asked = true;
        let incoming = self.with_link_between(incoming, &target, &hold);
        let ctx = CallContext::new(permit, incoming).with_wording(target.wording);
        scope.told = Some(ctx.told());
        Ok(Run {
            gateway: self,
            _hold: hold,
            scope,
            ctx,
            backend: target.backend,
            upstream_key: target.upstream,
            shown: target.shown,
            name: what.name.to_owned(),
        })
    }

    /// The same up to the permit.
    async fn admitted<'g>(
        &'g self,
        incoming: &Incoming,
        what: &Use<'_>,
        cost: Cost,
    ) -> Result<(AuditScope<'g>, (Permit, Target, Hold)), GatewayError> {
        let mut scope = self.audit(Some(&incoming.caller), &incoming.meta, what.method);
        scope.name(what.name);
        scope.event.request_bytes = what.arguments.map_or(0, |args| args.as_raw().len());
        match self.stages(incoming, what, cost, &mut scope).await {
            Ok(passed) => Ok((scope, passed)),
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
        cost: Cost,
        scope: &mut AuditScope<'_>,
    ) -> Result<(Permit, Target, Hold), GatewayError> {
        let mut target = self.catalogue_of(incoming).target(what.feature, what.name);
        let own_server = target.as_ref().map(|target| Arc::clone(&target.server));
        let mut leads_nowhere = false;
        if let Some(target) = &mut target {
            leads_nowhere = choice::lead(target, what);
            scope.name(&target.canonical);
            scope.event.name_known = true;
            scope.event.server = Some(Arc::clone(&target.server));
        }
        let charge = Charge {
            goes_on: cost == Cost::GoesOn,
            ..Charge::new(&incoming.caller, &incoming.meta, what.method)
        };
        // A limit on a tool would tell who may not call it that it is there: where there are such
        // limits, what is refused is charged as what does not exist, so the decision comes first.
        let early = if self.inner.limiter.tells_items_apart(&charge) {
            Some(self.timed(incoming, what, target.as_ref(), scope).await)
        } else {
            None
        };
        // Except what the caller sees in lists: there a refused call tells nothing new, and has to cost
        // what others do, or arguments could be tried until one is let through.
        let server = match (&early, &target) {
            (None, target) => target.as_ref().map(|target| Arc::clone(&target.server)),
            (Some(early), Some(target)) if early.is_allowed() && !leads_nowhere => {
                Some(Arc::clone(&target.server))
            }
            // What is not there takes as long as what is not to be seen.
            (Some(_), target) => {
                let target = target.as_ref().zip(own_server.as_ref());
                self.seen_server(incoming, what, target).await
            }
        };
        let known = target.as_ref().filter(|_| server.is_some());
        let charge = charge.of(known.map(|target| &*target.canonical), server.as_deref());
        let hold = match cost {
            Cost::Full | Cost::GoesOn => self.admit(&charge).await?,
            Cost::Paid => Hold::default(),
        };
        let decision = match early {
            Some(decision) => decision,
            None => self.timed(incoming, what, target.as_ref(), scope).await,
        };
        // Unknown comes after the limit, so that guessing names costs as much as calling them, and
        // after a decision, so that it takes as long.
        let Some(target) = target else {
            return Err(GatewayError::Unknown {
                feature: what.feature,
                name: what.name.to_owned(),
            });
        };
        if leads_nowhere && !self.is_seen(incoming, what, &target).await {
            return Err(GatewayError::Unknown {
                feature: what.feature,
                name: what.name.to_owned(),
            });
        }
        scope.decided(what.feature, &decision);
        let permit = Permit::from_decision(decision).map_err(|decision| GatewayError::Denied {
            feature: what.feature,
            name: what.name.to_owned(),
            decision,
        })?;
        // After the decision: who may not call the tool learns nothing of it.
        check_repeated(what, &target)?;
        Ok((permit, target, hold))
    }

    /// As [`Gateway::decide`], and the audit event says how long it took.
    async fn timed(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: Option<&Target>,
        scope: &mut AuditScope<'_>,
    ) -> Decision {
        let began = scope.now();
        let decision = self.decide(incoming, what, target).await;
        scope.policy_took(began);
        decision
    }

    /// Asks the policy. It is asked about a name that nobody serves, too, under the name that the
    /// client gave; what it says of that is not used.
    async fn decide(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: Option<&Target>,
    ) -> Decision {
        // Asking about a task needs the right to call its tool.
        let method = match what.feature {
            Feature::Tool => "tools/call",
            _ => what.method,
        };
        let in_effect = target.and_then(|target| in_effect(what, target));
        let request = AccessRequest {
            caller: &incoming.caller,
            meta: &incoming.meta,
            method,
            feature: what.feature,
            phase: Phase::Call,
            name: target.map_or(what.name, |target| &*target.canonical),
            upstream_name: target.map_or(what.name, |target| &*target.own_name),
            server: target.map_or("", |target| &*target.server),
            tool: target.and_then(|target| target.tool.as_ref()),
            arguments: in_effect.as_ref().or(what.arguments).or(what.earlier),
        };
        self.inner.policy.decide(&request).await
    }

    async fn admit(&self, charge: &Charge<'_>) -> Result<Hold, GatewayError> {
        let report = charge.meta.limit_report.as_ref();
        settle(self.inner.limiter.admit(charge).await, report)
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

/// Arguments that headers repeat must be clear, whatever the client speaks: the server behind may read
/// the one member, and what is in front of it the other (MCP 2026-07-28, streamable HTTP).
fn check_repeated(what: &Use<'_>, target: &Target) -> Result<(), GatewayError> {
    let marked = target.tool.as_ref().map(ToolSpec::param_headers);
    let (Some(Ok(marked)), Some(arguments)) = (marked, what.arguments) else {
        return Ok(());
    };
    for param in marked {
        let told = param.text_in(arguments.as_raw());
        told.map_err(|unclear| GatewayError::InvalidParams {
            message: unclear.to_string(),
        })?;
    }
    Ok(())
}

/// What the policy judges: what goes to the server, where that is something else than what was given.
fn in_effect(what: &Use<'_>, target: &Target) -> Option<Arguments> {
    let given = what.arguments.or(what.earlier)?;
    if what.feature != Feature::Tool {
        return None;
    }
    let changed = target.backend.arguments_in_effect(&target.upstream, given);
    let choice = target.tool.as_ref().and_then(ToolSpec::choice);
    let formed = choice.and_then(|choice| choice.formed(changed.as_ref().unwrap_or(given)));
    formed.or(changed)
}

/// What a limiter's answer means for the request; who wants to know is told of all limits.
fn settle(
    answer: Result<Admission, LimiterError>,
    report: Option<&LimitReport>,
) -> Result<Hold, GatewayError> {
    let tell = |standings| {
        if let Some(report) = report {
            report.fill(standings);
        }
    };
    match answer {
        Ok(Admission::Admitted {
            standings, hold, ..
        }) => {
            tell(standings);
            Ok(hold)
        }
        Ok(Admission::Limited {
            limit_name,
            quota,
            retry_after,
            standings,
        }) => {
            tell(standings);
            Err(GatewayError::Limited {
                limit_name,
                quota,
                retry_after,
            })
        }
        Err(error) => Err(GatewayError::LimiterUnavailable(error)),
    }
}

/// A request that may go to its backend, and whose audit event is still open. Dropping it records
/// that the request was given up.
struct Run<'g> {
    gateway: &'g Gateway,
    /// What the limiter wants back when the request ends, or is given up. It goes first: when the log
    /// has a request that was given up, its place is free.
    _hold: Hold,
    scope: AuditScope<'g>,
    ctx: CallContext,
    backend: Arc<dyn Backend>,
    upstream_key: Arc<str>,
    /// How the client knows the server's URIs and tasks.
    shown: Shown,
    /// What the request is about, as the client calls it.
    name: String,
}

impl Run<'_> {
    fn upstream_key(&self) -> Arc<str> {
        Arc::clone(&self.upstream_key)
    }

    /// The answer with its URIs and tasks as the client knows them.
    fn shown<T: Answer>(
        &self,
        answer: Result<Result<T, BackendError>, GatewayError>,
        map: impl FnOnce(&Shown, &RawJson) -> Mapped,
    ) -> Result<Result<T, BackendError>, GatewayError> {
        match answer {
            Ok(Ok(answer)) if !self.shown.is_plain() => {
                let raw = answer.raw().map(|raw| map(&self.shown, raw));
                let raw = raw
                    .transpose()
                    .map_err(|unclear| self.untellable(unclear))?;
                Ok(Ok(match raw {
                    Some(raw) => answer.with_raw(|_| raw),
                    None => answer,
                }))
            }
            answer => answer,
        }
    }

    /// Which resource is meant is said in errors, too (server/resources, error handling).
    fn shown_error<T>(
        &self,
        answer: Result<Result<T, BackendError>, GatewayError>,
    ) -> Result<Result<T, BackendError>, GatewayError> {
        self.shown_error_as(answer, Shown::error)
    }

    fn shown_error_as<T>(
        &self,
        answer: Result<Result<T, BackendError>, GatewayError>,
        map: impl FnOnce(&Shown, &RawJson) -> Mapped,
    ) -> Result<Result<T, BackendError>, GatewayError> {
        match answer {
            Ok(Err(BackendError::Rpc(error))) => {
                let error = map(&self.shown, &error);
                let error = error.map_err(|unclear| self.untellable(unclear))?;
                Ok(Err(BackendError::Rpc(error)))
            }
            answer => answer,
        }
    }

    fn untellable(&self, _: Unclear) -> GatewayError {
        GatewayError::Untellable {
            server: self.backend.name().into(),
            reason: Unclear::REASON.to_owned(),
        }
    }

    /// Asks the backend; when it asks for input that the client must be asked for in another way,
    /// asks the client and then the backend again.
    async fn drive<'r, T: Answer>(
        &'r self,
        extras: Extras,
        ask: impl Fn(Extras) -> Asked<'r, T>,
    ) -> Result<Result<T, BackendError>, GatewayError> {
        let mut extras = self.shown.extras(extras);
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

    /// What the backend does not know reads as what nobody serves: under the name that the client gave.
    fn named(&self, mut error: GatewayError) -> GatewayError {
        if let GatewayError::Backend(BackendError::NotFound { name, .. }) = &mut error {
            name.clone_from(&self.name);
        }
        error
    }

    fn finish<T: Answer>(
        mut self,
        answer: Result<Result<T, BackendError>, GatewayError>,
    ) -> Result<T, GatewayError> {
        let result = answer.and_then(|answer| answer.map_err(GatewayError::from));
        let result = result.map_err(|error| self.named(error));
        let result = result.and_then(|answer| {
            let raw = answer.raw();
            match raw.and_then(|raw| self.ctx.link().objection(raw)) {
                None => Ok(answer),
                Some(reason) => Err(GatewayError::Untellable {
                    server: self.backend.name().into(),
                    reason,
                }),
            }
        });
        if let Some(raw) = result.as_ref().ok().and_then(Answer::raw) {
            self.note_questions(raw);
        }
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
trait Answer: Sized {
    fn raw(&self) -> Option<&RawJson>;

    /// The same answer with other text; still an object.
    fn with_raw(self, change: impl FnOnce(&RawJson) -> RawJson) -> Self;

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

    fn with_raw(self, change: impl FnOnce(&RawJson) -> RawJson) -> Self {
        let changed = change(self.as_raw());
        Self::from_raw(changed).unwrap_or(self)
    }

    fn is_error(&self) -> bool {
        self.is_error()
    }
}

impl Answer for RawJson {
    fn raw(&self) -> Option<&RawJson> {
        Some(self)
    }

    fn with_raw(self, change: impl FnOnce(&Self) -> Self) -> Self {
        change(&self)
    }
}

impl Answer for () {
    fn raw(&self) -> Option<&RawJson> {
        None
    }

    fn with_raw(self, _: impl FnOnce(&RawJson) -> RawJson) -> Self {}
}

/// The questions that decide whether an item is in a list: one, or one for each server that a tool may
/// lead to.
fn questions<'a>(
    incoming: &'a Incoming,
    method: &'a str,
    feature: Feature,
    entry: &'a Entry,
) -> impl Iterator<Item = AccessRequest<'a>> {
    let choice = entry.tool.as_ref().and_then(ToolSpec::choice);
    let options = choice.into_iter().flat_map(ServerChoice::options);
    let only = choice.is_none().then_some(&entry.server);
    let servers = options.map(|(_, server)| server).chain(only);
    servers.map(move |server| AccessRequest {
        server,
        ..question(incoming, method, feature, entry)
    })
}

/// How many [`questions`] there are about an item.
fn questions_about(entry: &Entry) -> usize {
    let choice = entry.tool.as_ref().and_then(ToolSpec::choice);
    choice.map_or(1, |choice| choice.options().len())
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
        name: &entry.canonical,
        upstream_name: &entry.own_name,
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
