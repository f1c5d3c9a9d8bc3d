//! Calls of tools that lead to several servers: which of them the caller may know of.

use std::sync::Arc;

use super::list::list_method;
use super::{Use, in_effect};
use crate::catalogue::Target;
use crate::context::Incoming;
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::policy::{AccessRequest, Phase};
use crate::tool::{ToolOutput, ToolSpec};

/// The servers that a tool leads to in the list of one caller.
pub(super) struct Seen {
    servers: Vec<Arc<str>>,
}

impl Seen {
    /// True when the tool is in the list.
    pub(super) fn any(&self) -> bool {
        !self.servers.is_empty()
    }

    /// True when the list has a value that leads to `server`.
    pub(super) fn has(&self, server: &str) -> bool {
        self.servers.iter().any(|seen| **seen == *server)
    }
}

/// Where a tool leads to several servers, the call is one of that which its arguments name. True when
/// they name none.
pub(super) fn lead(target: &mut Target, what: &Use<'_>) -> bool {
    let Some(choice) = target.tool.as_ref().and_then(ToolSpec::choice) else {
        return false;
    };
    let changed = in_effect(what, target);
    let arguments = changed.as_ref().or(what.arguments).or(what.earlier);
    let Some(arguments) = arguments else {
        return false;
    };
    match choice.server_of(arguments) {
        Some(server) => {
            target.server = Arc::clone(server);
            false
        }
        None => true,
    }
}

impl Gateway {
    /// What the caller's list has of this tool; `None` when it leads to one server only.
    pub(super) async fn seen(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: &Target,
    ) -> Option<Seen> {
        let choice = target.tool.as_ref().and_then(ToolSpec::choice)?;
        let servers: Vec<_> = choice.options().map(|(_, server)| server).collect();
        let (caller, meta) = (&*incoming.caller, &*incoming.meta);
        let method = list_method(what.feature);
        let question = |server| AccessRequest {
            phase: Phase::List,
            upstream_name: &target.own_name,
            server,
            tool: target.tool.as_ref(),
            ..AccessRequest::new(caller, meta, method, what.feature, &target.canonical)
        };
        let questions: Vec<_> = servers.iter().map(|server| question(server)).collect();
        let decisions = self.inner.policy.decide_all(&questions).await;
        let seen = servers.into_iter().zip(decisions);
        let seen = seen.filter(|(_, decision)| decision.is_allowed());
        Some(Seen {
            servers: seen.map(|(server, _)| Arc::clone(server)).collect(),
        })
    }

    /// As a call of which server a refused one is charged, or one of a value that leads nowhere: that
    /// which the caller's list shows it to lead to, else that which has the tool, and none when the tool
    /// is not in its list. `target` comes with the server that has it.
    pub(super) async fn seen_server(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: Option<(&Target, &Arc<str>)>,
    ) -> Option<Arc<str>> {
        let seen = match target {
            Some((target, _)) => self.seen(incoming, what, target).await,
            None => None,
        };
        if let (Some((target, own)), Some(seen)) = (target, seen) {
            let server = if seen.has(&target.server) {
                &target.server
            } else {
                own
            };
            return seen.any().then(|| Arc::clone(server));
        }
        let target = target.map(|(target, _)| target);
        let is_listed = self.is_listed(incoming, what, target).await;
        target
            .filter(|_| is_listed)
            .map(|target| Arc::clone(&target.server))
    }

    /// True when the caller's list has the tool, by any of its values.
    pub(super) async fn is_seen(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: &Target,
    ) -> bool {
        let seen = self.seen(incoming, what, target).await;
        seen.is_none_or(|seen| seen.any())
    }

    /// What is told of a call that was refused: a tool that is in the caller's list is not one that there
    /// is not, so it may answer itself ([`ServerChoice::with_refusals`], [`ToolSpec::with_limit_result`]).
    pub(super) async fn told(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        refused: GatewayError,
    ) -> Result<ToolOutput, GatewayError> {
        let is_plain = matches!(&refused, GatewayError::Denied { decision, .. }
            if decision.missing_scopes().is_empty());
        let is_limit = matches!(&refused, GatewayError::Limited { .. });
        let target = self.catalogue_of(incoming).target(what.feature, what.name);
        let Some(mut target) = target.filter(|_| is_plain || is_limit) else {
            return Err(refused);
        };
        if is_limit {
            return self.told_limit(incoming, what, &target, refused).await;
        }
        lead(&mut target, what);
        let seen = self.seen(incoming, what, &target).await;
        let Some(seen) = seen.filter(Seen::any) else {
            return Err(refused);
        };
        let choice = target.tool.as_ref().and_then(ToolSpec::choice);
        let refusal = choice.and_then(|choice| choice.refusal(seen.has(&target.server)));
        refusal.cloned().ok_or(refused)
    }

    async fn told_limit(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: &Target,
        refused: GatewayError,
    ) -> Result<ToolOutput, GatewayError> {
        let result = target.tool.as_ref().and_then(ToolSpec::limit_result);
        let Some(output) = result.and_then(|result| result(&refused)) else {
            return Err(refused);
        };
        let is_listed = match self.seen(incoming, what, target).await {
            Some(seen) => seen.any(),
            None => self.is_listed(incoming, what, Some(target)).await,
        };
        if is_listed { Ok(output) } else { Err(refused) }
    }
}
