//! The backend of Konnect, and of a Kong Gateway: what is listed now, who is let in, who is asked first.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, BackendListener, CacheHint, CallContext, ItemSpec, ListHints,
    ObjectWriter, Offer, PromptGet, RawJson, ToolCall, ToolOutput, ToolRegistry, ToolSpec,
};

use crate::tools::api7::ToolsError;
use crate::tools::konnect::confirm::{self, Shown, Step};
use crate::tools::konnect::prompts;
use crate::tools::konnect::sight::{Sight, why};

/// The code of an error of a server's own making (JSON-RPC 2.0 §5.1).
const DENIED: i64 = -32000;

#[derive(Debug)]
pub(crate) struct KonnectBackend {
    registry: ToolRegistry,
    /// Those that are listed when all tools are.
    prompts: Vec<ItemSpec>,
    /// The tools that are left out.
    absent: Vec<Arc<str>>,
    instructions: &'static str,
    /// What is known of the token; `None` where nothing can be.
    sight: Option<Arc<Sight>>,
    /// What callers saw before they say that the user agreed.
    shown: Shown,
}

impl KonnectBackend {
    /// # Errors
    /// When a prompt has no usable definition: a fault of this crate.
    pub(crate) fn build(
        registry: ToolRegistry,
        absent: Vec<Arc<str>>,
        instructions: &'static str,
        sight: Option<Arc<Sight>>,
    ) -> Result<Arc<dyn Backend>, ToolsError> {
        let offer = registry.offer_now().unwrap_or_default();
        let prompts = prompts::specs(|name| offer.tools.iter().any(|tool| tool.name() == name))?;
        Ok(Arc::new(Self {
            registry,
            prompts,
            absent,
            instructions,
            sight,
            shown: Shown::default(),
        }))
    }

    /// Leaves out what the rights exclude, and says so to people.
    fn as_seen(sight: &Sight, offer: &mut Offer) {
        let tools = std::mem::take(&mut offer.tools);
        let (shown, hidden): (Vec<_>, Vec<_>) =
            tools.into_iter().partition(|tool| sight.shows(tool.name()));
        offer.tools = shown;
        let is_shown = |name: &str| offer.tools.iter().any(|tool| tool.name() == name);
        offer
            .prompts
            .retain(|prompt| prompts::is_listed(prompt.key(), is_shown));
        offer
            .absent
            .extend(hidden.iter().map(ToolSpec::shared_name));
        offer.remarks.extend(hidden.iter().map(|tool| {
            let name = tool.name();
            let why = why(name).unwrap_or("another right");
            format!("`{name}` is not listed, as the token may not use it: it takes {why}")
        }));
        offer.remarks.extend(sight.denies());
        // It is asked again when this is over; what clients may keep is no longer good either.
        let hint = sight.good_for().map(|good| CacheHint::new(good, false));
        offer.hints = ListHints::all(hint);
    }

    fn denies(&self) -> Option<String> {
        self.sight.as_ref()?.denies()
    }
}

#[async_trait]
impl Backend for KonnectBackend {
    fn name(&self) -> &str {
        self.registry.name()
    }

    fn offer_now(&self) -> Option<Offer> {
        let mut offer = self.registry.offer_now()?;
        offer.prompts.clone_from(&self.prompts);
        offer.instructions = Some(self.instructions.to_owned());
        offer.texts_follow_names = true;
        offer.absent.clone_from(&self.absent);
        if let Some(sight) = &self.sight {
            Self::as_seen(sight, &mut offer);
        }
        Some(offer)
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        if let Some(sight) = &self.sight {
            sight.look().await;
        }
        Ok(self.offer_now().unwrap_or_default())
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        if let Some(sight) = &self.sight {
            sight.watch(listener);
        }
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        if let Some(says) = self.denies() {
            let error = ObjectWriter::default()
                .integer("code", DENIED)
                .string("message", &says);
            return Err(BackendError::Rpc(error.finish()));
        }
        let prompt = prompts::get(&self.prompts, &get)?;
        // No name needs an escape, so the text stays JSON.
        let worded = ctx.in_names_of_client(prompt.as_str()).into_owned();
        Ok(RawJson::parse(worded).unwrap_or(prompt))
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        if let Some(says) = self.denies() {
            return Ok(ToolOutput::error(says));
        }
        if *call.name != *confirm::TOOL {
            return self.registry.call_tool(ctx, call).await;
        }
        match confirm::step(ctx, &call) {
            Step::Unasked => {
                let shown = self.registry.call_tool(ctx, call).await?;
                self.shown.remember(ctx.caller(), &shown);
                Ok(shown)
            }
            Step::Claimed(plain) => {
                let shown = self.registry.call_tool(ctx, plain).await?;
                if self.shown.take(ctx.caller(), &shown) {
                    return self.registry.call_tool(ctx, call).await;
                }
                self.shown.remember(ctx.caller(), &shown);
                Ok(shown)
            }
            Step::Agreed(call) => self.registry.call_tool(ctx, call).await,
            Step::Refused => Ok(confirm::refused()),
            Step::Ask(call) => {
                let shown = self.registry.call_tool(ctx, call.clone()).await?;
                Ok(confirm::question(&call, &shown).unwrap_or(shown))
            }
        }
    }
}
