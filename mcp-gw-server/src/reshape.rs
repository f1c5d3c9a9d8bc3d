//! Tools as the configuration wants them seen: a wrapper around a backend that edits definitions on
//! the way out and arguments on the way in, as text.

mod shape;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use mcp_gw_core::{
    Arguments, Backend, BackendError, CallContext, Feature, LeftOut, Offer, ToolCall, ToolOutput,
    ToolSpec,
};

use crate::config::ToolShape;
use shape::Shape;

/// A backend whose tools are reshaped.
pub(crate) struct Reshape<B> {
    backend: B,
    shapes: BTreeMap<String, Shape>,
    /// What clients call the tools of the last offer.
    names: RwLock<Arc<HashMap<Arc<str>, Arc<str>>>>,
}

impl<B: Backend> Reshape<B> {
    pub(crate) fn new(backend: B, tools: &BTreeMap<String, ToolShape>) -> Self {
        let shapes = tools
            .iter()
            .map(|(name, shape)| (name.clone(), Shape::of(shape)))
            .collect();
        Self {
            backend,
            shapes,
            names: RwLock::default(),
        }
    }

    /// The offer as clients shall see it. A tool that cannot be reshaped is left out: shown as it is
    /// it would take arguments that it shall not.
    fn reshaped(&self, mut offer: Offer) -> Offer {
        let mut names: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        let mut tools = Vec::with_capacity(offer.tools.len());
        for (name, shape) in &self.shapes {
            match offer.tools.iter().find(|tool| tool.name() == name) {
                Some(tool) => offer.remarks.extend(shape.remarks(tool)),
                None => offer.remarks.push(format!(
                    "the server has no tool `{name}`, which `tools` is about"
                )),
            }
        }
        let shaped = offer
            .tools
            .iter()
            .map(|tool| match self.shapes.get(tool.name()) {
                None => (tool, Ok(Some(tool.clone()))),
                Some(shape) => (tool, shape.tool(tool)),
            });
        let shaped: Vec<_> = shaped.collect();
        // Whoever knows a tool by the name that its server gave it must not get another one.
        let original = |(tool, shown): &(&ToolSpec, Result<Option<ToolSpec>, String>)| {
            let is_same = |shown: &ToolSpec| shown.name() == tool.name();
            let stays = matches!(shown, Ok(Some(shown)) if is_same(shown));
            stays.then(|| tool.shared_name())
        };
        let originals: HashSet<Arc<str>> = shaped.iter().filter_map(original).collect();
        for (tool, shaped) in shaped {
            let shown = match shaped {
                Ok(None) => {
                    offer.absent.push(Arc::clone(tool.own_name()));
                    continue;
                }
                Ok(Some(shown))
                    if shown.name() != tool.name() && originals.contains(shown.name()) =>
                {
                    let reason = format!("the server has a tool `{}` already", shown.name());
                    offer.left_out.push(left_out(tool, &reason));
                    continue;
                }
                Ok(Some(shown)) if !names.contains_key(shown.name()) => shown,
                Ok(Some(_)) => {
                    let reason =
                        "the server has a tool of this name already, or one was renamed to it";
                    offer.left_out.push(left_out(tool, reason));
                    continue;
                }
                Err(reason) => {
                    offer.left_out.push(left_out(tool, &reason));
                    continue;
                }
            };
            names.insert(shown.shared_name(), tool.shared_name());
            tools.push(shown.with_own_name(Arc::clone(tool.own_name())));
        }
        offer.tools = tools;
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        offer
    }

    /// The call as the server takes it; otherwise what the client did wrong.
    fn inward(&self, call: ToolCall) -> Result<Result<ToolCall, String>, BackendError> {
        let names = Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner));
        let Some(name) = names.get(&call.name) else {
            return Err(BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            });
        };
        let arguments = match self.shapes.get(&**name) {
            None => Ok(call.arguments),
            Some(shape) => shape.arguments(&call.arguments),
        };
        Ok(arguments.map(|arguments: Arguments| {
            ToolCall::new(Arc::clone(name), arguments).with_extras(call.extras)
        }))
    }
}

fn left_out(tool: &ToolSpec, reason: &str) -> LeftOut {
    LeftOut::new(Feature::Tool, tool.name(), reason)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Reshape<B> {
    mcp_gw_core::forward_backend!(|this| this.backend =>
        name, read_resource, get_prompt, complete, task, watch_task, unwatch_task, subscribe,
        resubscribe, unsubscribe, watch, check, renew, greet, end_session, roots_changed, close,
        unsupported);

    fn offer_now(&self) -> Option<Offer> {
        self.backend.offer_now().map(|offer| self.reshaped(offer))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let offer = self.backend.offer().await?;
        Ok(self.reshaped(offer))
    }

    fn arguments_in_effect(&self, tool: &str, arguments: &Arguments) -> Option<Arguments> {
        let names = Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner));
        self.shapes.get(&**names.get(tool)?)?.in_effect(arguments)
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        match self.inward(call)? {
            Ok(call) => self.backend.call_tool(ctx, call).await,
            Err(says) => Ok(ToolOutput::error(says)),
        }
    }
}

#[cfg(test)]
mod tests;
