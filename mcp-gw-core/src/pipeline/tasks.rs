//! Requests about tasks (extension `io.modelcontextprotocol/tasks`), and news of them.

use std::sync::{Arc, Weak};

use memchr::memmem;

use super::{Run, Use, catch_panic};
use crate::backend::{Backend, BackendError, TaskAsk};
use crate::context::Incoming;
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::json::RawJson;
use crate::jsonrpc::as_str;
use crate::policy::Feature;
use crate::shown::Shown;
use crate::task::{self, TaskHome};
use crate::tool::{Arguments, ToolOutput};

/// A task that is watched, see [`Gateway::watch_task`].
#[derive(Clone)]
pub struct WatchedTask {
    backend: Weak<dyn Backend>,
    upstream: Arc<str>,
}

impl WatchedTask {
    fn is_at(&self, backend: &Arc<dyn Backend>) -> bool {
        std::ptr::addr_eq(self.backend.as_ptr(), Arc::as_ptr(backend))
    }
}

impl std::fmt::Debug for WatchedTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WatchedTask").field(&self.upstream).finish()
    }
}

impl Gateway {
    /// Asks how a task of this caller stands, answers what it asks for, or cancels it (extension
    /// `io.modelcontextprotocol/tasks`). Whoever may not call the tool any more may not ask about its
    /// tasks either, and somebody else's task is as good as none. What the task asks for is held to
    /// [`ClientLink::objection_to_task`](crate::ClientLink::objection_to_task).
    ///
    /// A task has the id that the answer to its call said. In a gateway with several servers that is
    /// the server's own behind its name and a colon, except at the endpoint of one server.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn task(&self, incoming: &Incoming, ask: TaskAsk) -> Result<RawJson, GatewayError> {
        let method = ask.method.as_str();
        let (run, upstream) = self.begin_task(incoming, method, &ask.task_id).await?;
        let ask = TaskAsk {
            task_id: Arc::clone(&upstream),
            extras: run.shown.extras(ask.extras),
            ..ask
        };
        let answer = catch_panic(run.backend.task(&run.ctx, ask)).await;
        let answer = run.unless(answer, |answer| objection_to_id(answer, &upstream));
        let answer = run.shown_error_as(answer, Shown::task_error);
        let answer = run.shown(answer, Shown::task);
        let answer = run.unless(answer, |answer| run.ctx.link().objection_to_task(answer));
        run.finish(answer)
    }

    /// Asks for [`GatewayEvent::TaskChanged`](crate::GatewayEvent::TaskChanged) of a task of this
    /// caller, until [`Gateway::unwatch_task`].
    ///
    /// # Errors
    /// When it is not the caller's, or its backend cannot tell of changes.
    pub async fn watch_task(
        &self,
        incoming: &Incoming,
        id: &str,
    ) -> Result<WatchedTask, GatewayError> {
        let method = "subscriptions/listen";
        let (run, upstream) = self.begin_task(incoming, method, id).await?;
        let backend = Arc::downgrade(&run.backend);
        let answer = catch_panic(run.backend.watch_task(&run.ctx, &upstream)).await;
        run.finish(answer)?;
        Ok(WatchedTask { backend, upstream })
    }

    /// Ends [`Gateway::watch_task`].
    pub async fn unwatch_task(&self, task: &WatchedTask) {
        for backend in self.backends() {
            if task.is_at(&backend) {
                backend.unwatch_task(&task.upstream).await;
            }
        }
    }

    /// False when the backend that tells of this task is behind the gateway no more.
    pub fn watches(&self, task: &WatchedTask) -> bool {
        self.backends().iter().any(|backend| task.is_at(backend))
    }

    /// What the client of `incoming` is told when the task changes that `server` calls `id`: the id
    /// by which it knows the task, and `params` in its words. `None` when the task is not its own, or
    /// when it may not make the call any more that made the task. Like [`Gateway::may_hear_of`] it is a
    /// question of the gateway itself, neither limited nor audited.
    pub async fn task_news(
        &self,
        incoming: &Incoming,
        server: &str,
        id: &str,
        params: &RawJson,
    ) -> Option<(Arc<str>, RawJson)> {
        let catalogue = self.catalogue_of(incoming);
        let shown = catalogue.shown(server)?;
        let known = shown.task_id(id);
        let (tasks, endpoint) = (&self.inner.tasks, incoming.meta.endpoint.as_deref());
        let home = tasks.find(&incoming.caller, &known, endpoint, self.inner.clock.now())?;
        let target = catalogue.target(Feature::Tool, &home.tool)?;
        if *home.server != *server || *target.server != *server {
            return None;
        }
        let what = about(&home, "notifications/tasks");
        let decision = self.decide(incoming, &what, Some(&target)).await;
        if !decision.is_allowed() {
            return None;
        }
        let params = shown.task(params).ok()?;
        Some((known.into(), params))
    }

    /// The road of a request about a task, with what its server calls it: the road of its tool,
    /// except that the task must be the caller's.
    async fn begin_task<'g>(
        &'g self,
        incoming: &Incoming,
        method: &'static str,
        id: &str,
    ) -> Result<(Run<'g>, Arc<str>), GatewayError> {
        let now = self.inner.clock.now();
        let endpoint = incoming.meta.endpoint.as_deref();
        let home = self.inner.tasks.find(&incoming.caller, id, endpoint, now);
        // A name that no tool can have: unknown, after the limit and with an audit event.
        let nothing = Use {
            method,
            feature: Feature::Tool,
            name: "",
            arguments: None,
            earlier: None,
        };
        let what = home.as_ref().map_or(nothing, |home| about(home, method));
        let no_such_task = || GatewayError::InvalidParams {
            message: format!("no such task: {}", id.chars().take(128).collect::<String>()),
        };
        let run = self.begin(incoming, &what).await;
        let mut run = run.map_err(|error| match error {
            GatewayError::Unknown { .. } | GatewayError::Denied { .. } => no_such_task(),
            error => error,
        })?;
        let home = home.ok_or_else(no_such_task)?;
        // The tool may have moved to another server meanwhile; the task has not.
        if run.backend.name() != &*home.server {
            run.scope.event.backend_asked = false;
            run.finish::<()>(Err(no_such_task()))?;
            return Err(no_such_task());
        }
        Ok((run, home.upstream))
    }

    /// Remembers whose a task is, when the answer to a call is one. The answer is still in the words
    /// of its server.
    pub(super) fn learn_task(
        &self,
        run: &Run<'_>,
        tool: &Arc<str>,
        arguments: &Arguments,
        answer: Result<ToolOutput, BackendError>,
    ) -> Result<Result<ToolOutput, BackendError>, GatewayError> {
        let Ok(output) = &answer else {
            return Ok(answer);
        };
        if run.ctx.link().is_plain() {
            return Ok(answer);
        }
        let server = || Arc::<str>::from(run.backend.name());
        let home = |id: &str| {
            let home = TaskHome {
                server: server(),
                upstream: id.into(),
                tool: Arc::clone(tool),
                endpoint: run.ctx.meta().endpoint.clone(),
                arguments: task::kept(arguments),
            };
            (run.shown.task_id(id).into(), home)
        };
        let (tasks, now) = (&self.inner.tasks, self.inner.clock.now());
        if tasks.learn(run.ctx.caller(), home, output.as_raw(), now) {
            Ok(answer)
        } else {
            Err(GatewayError::Untellable {
                server: server(),
                reason: "it is a task whose id is none, or that of a task of another server"
                    .to_owned(),
            })
        }
    }
}

impl Run<'_> {
    /// The answer, unless there is a reason why it cannot be told.
    fn unless(
        &self,
        answer: Result<Result<RawJson, BackendError>, GatewayError>,
        reason: impl FnOnce(&RawJson) -> Option<String>,
    ) -> Result<Result<RawJson, BackendError>, GatewayError> {
        let told = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok());
        match told.and_then(reason) {
            None => answer,
            Some(reason) => Err(GatewayError::Untellable {
                server: self.backend.name().into(),
                reason,
            }),
        }
    }
}

/// Why this is no answer about the task that its server calls `asked`. An answer need not say which
/// task it is about.
fn objection_to_id(answer: &RawJson, asked: &str) -> Option<String> {
    let has = |part: &[u8]| memmem::find(answer.as_bytes(), part).is_some();
    // A name may be written with escapes.
    if !has(b"\"taskId\"") && !has(b"\\u") {
        return None;
    }
    let Ok(members) = answer.members() else {
        return Some("it names a member twice".to_owned());
    };
    let id = members.get("taskId")?;
    let is_it = as_str(id).is_some_and(|id| id == asked);
    (!is_it).then(|| "it is about another task than was asked about".to_owned())
}

/// The question whether a caller may still make the call that made a task.
fn about<'a>(home: &'a TaskHome, method: &'static str) -> Use<'a> {
    Use {
        method,
        feature: Feature::Tool,
        name: &home.tool,
        arguments: None,
        earlier: home.arguments.as_ref(),
    }
}
