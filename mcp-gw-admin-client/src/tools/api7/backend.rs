//! The backend: all tools that are wanted, and the resource about permission policies.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, CallContext, Clock, Feature, Offer, RawJson, RegistryError,
    ResourceRead, SpecError, SystemClock, ToolCall, ToolOutput, ToolRegistry,
};

use crate::api7::{Api7Error, Client};
use crate::apisix::ApisixError;
use crate::http::{BaseUrl, BaseUrlError, TransportError, Trust};
use crate::kong::KongError;
use crate::konnect::KonnectError;
use crate::tools::advice;
use crate::tools::api7::actions;
use crate::tools::api7::config::Api7Config;
use crate::tools::api7::get_resource::GetResource;
use crate::tools::api7::metrics::GetMetrics;
use crate::tools::api7::policies::{
    AttachPolicies, CreatePolicy, DeletePolicy, DetachPolicies, GetPolicy, GetPolicyByRole,
    UpdatePolicy,
};
use crate::tools::api7::read::{GetRaw, ReadResource};
use crate::tools::api7::risk::{CheckRisk, RiskFault, unknown_rules};
use crate::tools::api7::roles::{AssignRoles, CreateRole, DeleteRole, GetRole};
use crate::tools::api7::shared::{Api7, Time};
use crate::tools::api7::traffic::SendRequest;
use crate::tools::api7::users::{GetRoleByUserId, GetServiceHealth, GetUserId};
use crate::tools::api7::write::{
    CreateResource, DeleteResource, PatchResource, PublishService, ReplaceResource, WriteRaw,
};
use crate::tools::choice::{absent, registry, to_api, to_gateway, wanted};
use crate::tools::desk::Desk;
use crate::tools::operation::Blueprint;

/// All tools, those of API7-MCP first.
static TOOLS: [Blueprint<Api7>; 26] = [
    Blueprint::of::<GetResource>(),
    Blueprint::of::<SendRequest>(),
    Blueprint::of::<GetServiceHealth>(),
    Blueprint::of::<GetMetrics>(),
    Blueprint::of::<CheckRisk>(),
    Blueprint::of::<GetRole>(),
    Blueprint::of::<CreateRole>(),
    Blueprint::of::<DeleteRole>(),
    Blueprint::of::<AssignRoles>(),
    Blueprint::of::<GetRoleByUserId>(),
    Blueprint::of::<GetUserId>(),
    Blueprint::of::<GetPolicy>(),
    Blueprint::of::<GetPolicyByRole>(),
    Blueprint::of::<CreatePolicy>(),
    Blueprint::of::<UpdatePolicy>(),
    Blueprint::of::<DeletePolicy>(),
    Blueprint::of::<AttachPolicies>(),
    Blueprint::of::<DetachPolicies>(),
    Blueprint::of::<ReadResource>(),
    Blueprint::of::<GetRaw>(),
    Blueprint::of::<CreateResource>(),
    Blueprint::of::<ReplaceResource>(),
    Blueprint::of::<PatchResource>(),
    Blueprint::of::<DeleteResource>(),
    Blueprint::of::<PublishService>(),
    Blueprint::of::<WriteRaw>(),
];

/// Why there are no tools.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsError {
    /// The client of the dashboard cannot be made.
    #[error(transparent)]
    Client(#[from] Api7Error),
    /// The client of an APISIX cannot be made.
    #[error(transparent)]
    Apisix(#[from] ApisixError),
    /// The client of Kong Konnect cannot be made.
    #[error(transparent)]
    Konnect(#[from] KonnectError),
    /// The client of a Kong Gateway cannot be made.
    #[error(transparent)]
    Kong(#[from] KongError),
    /// Konnect has no region of this name, and no other address is given.
    #[error("Konnect has no such region; there are: us, eu, au, me, in, sg")]
    UnknownRegion,
    /// `control_plane_id` is no UUID.
    #[error("control_plane_id is no UUID; leave it out to have one made of the address")]
    PlaneId,
    /// `admin_header` is no name of a header.
    #[error("admin_header is no name of a header")]
    TokenHeader,
    /// The address of the gateway cannot be used.
    #[error("the address of the gateway cannot be used: {0}")]
    GatewayUrl(BaseUrlError),
    /// Nothing can be sent to the gateway.
    #[error("the gateway cannot be reached like this: {0}")]
    Gateway(TransportError),
    /// A tool is named that does not exist.
    #[error("there is no tool {}; there are: {known}", names.join(", "))]
    UnknownTools {
        /// The names that are unknown.
        names: Vec<String>,
        /// All that there are.
        known: String,
    },
    /// `risk.rules_off` names a rule that does not exist.
    #[error("there is no rule {}; there are: {known}", names.join(", "))]
    UnknownRules {
        /// The ids that are unknown.
        names: Vec<String>,
        /// All that there are.
        known: String,
    },
    /// Something in `risk` would never do what it says; the first of [`RiskConfig::faults`](super::RiskConfig::faults).
    #[error(transparent)]
    Risk(#[from] RiskFault),
    /// Nothing is left of the tools.
    #[error("no tool is left; look at `tools`, `exclude_tools` and `access`")]
    NoTools,
    /// A tool has no usable definition: a fault of this crate.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The tools cannot be registered: a fault of this crate.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The tools of a dashboard, as a backend for a `Gateway`. Nothing is connected to yet.
///
/// ```no_run
/// use mcp_gw_admin_client::tools::api7::{Access, Api7Config, backend};
/// use mcp_gw_core::{AllowAll, Gateway, Secret};
///
/// # fn run(token: String) -> Result<(), Box<dyn std::error::Error>> {
/// let config = Api7Config::new("https://dashboard.example.com:7443", Secret::new(token))
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
pub fn backend(config: &Api7Config) -> Result<Arc<dyn Backend>, ToolsError> {
    backend_with_clock(config, Arc::new(SystemClock::new()))
}

/// The same with another clock, which says what "now" is to metrics and to certificates that end.
///
/// # Errors
/// As [`backend`].
pub fn backend_with_clock(
    config: &Api7Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Backend>, ToolsError> {
    if let Some((names, known)) = unknown_rules(&config.risk) {
        return Err(ToolsError::UnknownRules { names, known });
    }
    if let Some(fault) = config.risk.faults().into_iter().next() {
        return Err(fault.into());
    }
    let wanted = wanted(
        &TOOLS,
        config.tools.as_deref(),
        &config.exclude_tools,
        config.access,
    )?;
    Ok(Arc::new(Api7Backend {
        absent: absent(&TOOLS, &wanted),
        registry: registry(&config.name, wanted, shared(config, clock)?)?,
        resource: actions::spec()?,
    }))
}

fn shared(config: &Api7Config, clock: Arc<dyn Clock>) -> Result<Api7, ToolsError> {
    let trust = config.ca_pem.clone().map_or(Trust::System, Trust::Pem);
    let base: BaseUrl = config.dashboard_url.parse().map_err(Api7Error::Url)?;
    let to_api = to_api(
        base,
        trust.clone(),
        config.proxy.clone(),
        config.timeout_seconds,
    );
    let gateway = match &config.gateway_url {
        Some(url) => Some(to_gateway(url, trust, config.proxy.clone())?),
        None => None,
    };
    let client = Client::with_config(to_api, config.token.clone())?;
    let desk = Desk {
        transport: client.transport().clone(),
        gateway,
        access: config.access,
        secrets: config.secrets,
        answer_bytes: config.answer_bytes,
        max_gateway_requests: config.max_gateway_requests,
        gateway_concurrency: config.gateway_concurrency,
        words: &advice::API7,
        unset: config.unset.clone(),
    };
    Ok(Api7 {
        client,
        desk,
        risk: config.risk.clone(),
        clock: Time(clock),
    })
}

#[derive(Debug)]
struct Api7Backend {
    registry: ToolRegistry,
    resource: mcp_gw_core::ItemSpec,
    /// The tools that are left out.
    absent: Vec<Arc<str>>,
}

#[async_trait]
impl Backend for Api7Backend {
    fn name(&self) -> &str {
        self.registry.name()
    }

    fn offer_now(&self) -> Option<Offer> {
        let mut offer = self.registry.offer_now()?;
        offer.resources.push(self.resource.clone());
        offer.instructions = Some(INSTRUCTIONS.to_owned());
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

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        if *read.uri == *actions::URI {
            return Ok(actions::contents());
        }
        Err(BackendError::NotFound {
            feature: Feature::Resource,
            name: read.uri.to_string(),
        })
    }
}

const INSTRUCTIONS: &str = "Tools for API7 Enterprise. Most resources belong to a gateway group: get_resource with \
    {\"gatewayGroup\": {}} lists the groups and their ids. Before a write, read what is there, show the user the request \
    (dry_run: true), and ask.";
