//! The backend: all tools that are wanted.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, CallContext, Offer, ToolCall, ToolError, ToolOutput, ToolRegistry,
};

use crate::apisix::{ApisixError, Client};
use crate::http::{BaseUrl, Trust};
use crate::tools::api7::ToolsError;
use crate::tools::apisix::config::ApisixConfig;
use crate::tools::apisix::create::{
    CreateConsumerGroup, CreateRoute, CreateService, CreateSsl, CreateUpstream, SaveProto,
    SaveStreamRoute,
};
use crate::tools::apisix::parts::{
    CreateGlobalRule, CreatePluginConfig, CreateSecret, DeleteCredential, DeletePluginMetadata,
    DeleteSecret, SaveConsumer, SaveCredential, SavePluginMetadata, UpdateGlobalRule, UpdateSecret,
};
use crate::tools::apisix::read::{
    GetCredential, GetPluginMetadata, GetPluginNames, GetPluginSchema, GetResource, GetSecret,
};
use crate::tools::apisix::shared::{Apisix, WORDS};
use crate::tools::apisix::update::{
    DeleteResource, UpdateConsumerGroup, UpdatePluginConfig, UpdateRoute, UpdateService, UpdateSsl,
    UpdateUpstream,
};
use crate::tools::apisix::validate::ValidateResource;
use crate::tools::choice::{absent, registry, to_api, to_gateway, wanted};
use crate::tools::desk::Desk;
use crate::tools::operation::{Blueprint, Effect, Operation};
use crate::tools::traffic::{Args, Output, send_all};

/// All tools, those of apisix-mcp first.
static TOOLS: [Blueprint<Apisix>; 33] = [
    Blueprint::of::<GetResource>(),
    Blueprint::of::<DeleteResource>(),
    Blueprint::of::<SendRequest>(),
    Blueprint::of::<CreateRoute>(),
    Blueprint::of::<UpdateRoute>(),
    Blueprint::of::<CreateService>(),
    Blueprint::of::<UpdateService>(),
    Blueprint::of::<CreateUpstream>(),
    Blueprint::of::<UpdateUpstream>(),
    Blueprint::of::<SaveConsumer>(),
    Blueprint::of::<GetCredential>(),
    Blueprint::of::<SaveCredential>(),
    Blueprint::of::<DeleteCredential>(),
    Blueprint::of::<CreateSsl>(),
    Blueprint::of::<UpdateSsl>(),
    Blueprint::of::<CreateGlobalRule>(),
    Blueprint::of::<UpdateGlobalRule>(),
    Blueprint::of::<CreateConsumerGroup>(),
    Blueprint::of::<UpdateConsumerGroup>(),
    Blueprint::of::<GetPluginNames>(),
    Blueprint::of::<GetPluginSchema>(),
    Blueprint::of::<GetPluginMetadata>(),
    Blueprint::of::<CreatePluginConfig>(),
    Blueprint::of::<UpdatePluginConfig>(),
    Blueprint::of::<SavePluginMetadata>(),
    Blueprint::of::<DeletePluginMetadata>(),
    Blueprint::of::<SaveStreamRoute>(),
    Blueprint::of::<GetSecret>(),
    Blueprint::of::<CreateSecret>(),
    Blueprint::of::<UpdateSecret>(),
    Blueprint::of::<DeleteSecret>(),
    Blueprint::of::<SaveProto>(),
    Blueprint::of::<ValidateResource>(),
];

/// The tools of one APISIX, as a backend for a `Gateway`. Nothing is connected to yet.
///
/// ```no_run
/// use mcp_gw_admin_client::tools::apisix::{Access, ApisixConfig, backend};
/// use mcp_gw_core::{AllowAll, Gateway, Secret};
///
/// # fn run(key: String) -> Result<(), Box<dyn std::error::Error>> {
/// let config = ApisixConfig::new("http://127.0.0.1:9180/apisix/admin", Secret::new(key))
///     .with_access(Access::ReadOnly);
/// let gateway = Gateway::builder()
///     .backend(backend(&config)?)
///     .policy(AllowAll::new())
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When something in `config` cannot be used.
pub fn backend(config: &ApisixConfig) -> Result<Arc<dyn Backend>, ToolsError> {
    let wanted = wanted(
        &TOOLS,
        config.tools.as_deref(),
        &config.exclude_tools,
        config.access,
    )?;
    let mut instructions = INSTRUCTIONS.to_owned();
    if config.has_sample_key() {
        instructions.push_str(SAMPLE);
    }
    Ok(Arc::new(ApisixBackend {
        absent: absent(&TOOLS, &wanted),
        registry: registry(&config.name, wanted, shared(config)?)?,
        instructions,
    }))
}

fn shared(config: &ApisixConfig) -> Result<Apisix, ToolsError> {
    let trust = config.ca_pem.clone().map_or(Trust::System, Trust::Pem);
    let base: BaseUrl = config.admin_url.parse().map_err(ApisixError::Url)?;
    let to_api = to_api(
        base,
        trust.clone(),
        config.proxy.clone(),
        config.timeout_seconds,
    );
    let client = Client::with_config(to_api, config.admin_key.clone())?;
    let gateway = match &config.gateway_url {
        Some(url) => Some(to_gateway(url, trust, config.proxy.clone())?),
        None => None,
    };
    Ok(Apisix(Desk {
        transport: client.transport().clone(),
        gateway,
        access: config.access,
        secrets: config.secrets,
        answer_bytes: config.answer_bytes,
        max_gateway_requests: config.max_gateway_requests,
        gateway_concurrency: config.gateway_concurrency,
        words: &WORDS,
        unset: config.unset.clone(),
    }))
}

struct SendRequest;

impl Operation<Apisix> for SendRequest {
    const NAME: &'static str = "send_request_to_gateway";
    const TITLE: &'static str = "Send test requests";
    const DESCRIPTION: &'static str = "Sends test requests through APISIX itself (APISIX_SERVER_HOST and APISIX_SERVER_PORT), \
        several at once and each as often as repeatCount says, and answers with status, headers, body and duration of each. \
        Redirects are not followed. What was changed takes a moment until it works. Only GET, HEAD and OPTIONS while this \
        server changes nothing.";
    const EFFECT: Effect = Effect::Changes;
    const READ_ONLY_EFFECT: Effect = Effect::Reads;
    const IS_OPEN: bool = true;
    type Args = Args;
    type Output = Output;

    async fn run(shared: &Apisix, args: Args) -> Result<Output, ToolError> {
        send_all(shared, args).await
    }
}

#[derive(Debug)]
struct ApisixBackend {
    registry: ToolRegistry,
    instructions: String,
    /// The tools that are left out.
    absent: Vec<Arc<str>>,
}

#[async_trait]
impl Backend for ApisixBackend {
    fn name(&self) -> &str {
        self.registry.name()
    }

    fn offer_now(&self) -> Option<Offer> {
        let mut offer = self.registry.offer_now()?;
        offer.instructions = Some(self.instructions.clone());
        offer.texts_follow_names = true;
        offer.absent.clone_from(&self.absent);
        Some(offer)
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap_or_default())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        self.registry.call_tool(ctx, call).await
    }
}

const INSTRUCTIONS: &str = "Tools for Apache APISIX. get_resource lists what there is. Before a write, read what is there, \
    show the user the request (dry_run: true), and ask. Changes take a moment until they work.";

const SAMPLE: &str = " This APISIX is managed with the key that APISIX is published with, which everybody knows: tell the user \
    to change deployment.admin.admin_key in its configuration, and APISIX_ADMIN_KEY here.";
