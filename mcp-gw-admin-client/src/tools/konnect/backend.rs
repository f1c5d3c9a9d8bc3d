//! The backends: all tools that are wanted.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use mcp_gw_core::Backend;

use crate::http::{BaseUrl, Trust};
use crate::kong::{self, KongError};
use crate::konnect::{Client, ClientConfig, DebugSessions, KonnectError, Region, Uuid};
use crate::tools::api7::{Access, ToolsError};
use crate::tools::choice::{absent, registry, to_api, wanted};
use crate::tools::konnect::alerts::FetchAlertingEventDetails;
use crate::tools::konnect::analytics::GetAnalytics;
use crate::tools::konnect::config::{KongConfig, KonnectConfig, Visibility};
use crate::tools::konnect::debug::CreateDebugSession;
use crate::tools::konnect::entities::{
    GetConsumer, GetConsumerGroup, GetPlugin, GetRoute, GetService, GetVault,
};
use crate::tools::konnect::knowledge::{Knowledge, KnowledgeBaseSearch};
use crate::tools::konnect::planes::{GetControlPlane, GetControlPlaneGroup};
use crate::tools::konnect::served::KonnectBackend;
use crate::tools::konnect::shared::{GATEWAY, KONNECT, Konnect};
use crate::tools::konnect::sight::Sight;
use crate::tools::konnect::source::{Gateway, Source};
use crate::tools::konnect::tracing::ActiveTracingSession;
use crate::tools::operation::{Blueprint, Operation as _};

/// All tools, in the order of Kong's pages.
pub(crate) static TOOLS: [Blueprint<Konnect>; 13] = [
    Blueprint::of::<GetControlPlane>(),
    Blueprint::of::<GetControlPlaneGroup>(),
    Blueprint::of::<GetConsumer>(),
    Blueprint::of::<GetConsumerGroup>(),
    Blueprint::of::<GetService>(),
    Blueprint::of::<GetRoute>(),
    Blueprint::of::<GetPlugin>(),
    Blueprint::of::<GetVault>(),
    Blueprint::of::<GetAnalytics>(),
    Blueprint::of::<CreateDebugSession>(),
    Blueprint::of::<ActiveTracingSession>(),
    Blueprint::of::<FetchAlertingEventDetails>(),
    Blueprint::of::<KnowledgeBaseSearch>(),
];

/// Those that a gateway of one's own can answer.
static OF_GATEWAYS: [Blueprint<Konnect>; 8] = [
    Blueprint::of::<GetControlPlane>(),
    Blueprint::of::<GetConsumer>(),
    Blueprint::of::<GetConsumerGroup>(),
    Blueprint::of::<GetService>(),
    Blueprint::of::<GetRoute>(),
    Blueprint::of::<GetPlugin>(),
    Blueprint::of::<GetVault>(),
    Blueprint::of::<KnowledgeBaseSearch>(),
];

/// What the tools can be given besides their configuration.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Parts {
    /// Makes debug sessions instead of the [stand-in](crate::konnect::StandIn).
    pub sessions: Option<Arc<dyn DebugSessions>>,
    /// What `KnowledgeBaseSearch` searches; the tool is not listed without it.
    pub knowledge: Option<Arc<dyn Knowledge>>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("sessions", &self.sessions.is_some())
            .field("knowledge", &self.knowledge.is_some())
            .finish()
    }
}

impl Parts {
    /// Sets what makes debug sessions.
    #[must_use]
    pub fn with_sessions(mut self, sessions: Arc<dyn DebugSessions>) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Sets what is searched.
    #[must_use]
    pub fn with_knowledge(mut self, knowledge: Arc<dyn Knowledge>) -> Self {
        self.knowledge = Some(knowledge);
        self
    }

    /// The tools that are not listed: those of a configuration, and those that something is missing for.
    fn excluded(&self, exclude: &[String]) -> Vec<String> {
        let mut all = exclude.to_vec();
        if self.knowledge.is_none() {
            all.push(KnowledgeBaseSearch::NAME.to_owned());
        }
        all
    }
}

/// The tools of one region of Konnect, as a backend for a `Gateway`. Nothing is connected to yet.
///
/// ```no_run
/// use mcp_gw_admin_client::konnect::Region;
/// use mcp_gw_admin_client::tools::konnect::{KonnectConfig, Parts, konnect_backend};
/// use mcp_gw_core::{AllowAll, Gateway, Secret};
///
/// # fn run(token: String) -> Result<(), Box<dyn std::error::Error>> {
/// let config = KonnectConfig::new(Region::Eu, Secret::new(token));
/// let gateway = Gateway::builder()
///     .backend(konnect_backend(&config, Parts::default())?)
///     .policy(AllowAll::new())
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When something in `config` cannot be used.
pub fn konnect_backend(
    config: &KonnectConfig,
    parts: Parts,
) -> Result<Arc<dyn Backend>, ToolsError> {
    let wanted = wanted(
        &TOOLS,
        config.tools.as_deref(),
        &parts.excluded(&config.exclude_tools),
        config.access,
    )?;
    let client = konnect(config)?;
    let memory = Arc::default();
    // What an address of one's own is called says nothing of where roles count.
    let region = config.region.parse();
    let region = region.ok().filter(|_| config.base_url.is_none());
    let is_by_rights = config.visibility == Visibility::Rights && config.unset.is_none();
    let sight =
        Sight::new(client.clone(), region, Arc::clone(&memory)).with(is_by_rights, config.enabled);
    let sight = Arc::new(sight);
    let shared = Konnect {
        source: Source::Konnect(client),
        sessions: parts.sessions,
        knowledge: parts.knowledge,
        memory,
        sight: Some(Arc::clone(&sight)),
        access: config.access,
        answer_bytes: config.answer_bytes,
        max_items: config.max_items,
        words: &KONNECT,
        unset: config.unset.clone(),
    };
    let absent = absent(&TOOLS, &wanted);
    let registry = registry(&config.name, wanted, shared)?;
    KonnectBackend::build(registry, absent, INSTRUCTIONS, Some(sight))
}

/// The tools of one Kong Gateway, as a backend for a `Gateway`: those that its Admin API can answer. Nothing is connected
/// to yet. It has no debug sessions: of `parts` only the documentation is looked at.
///
/// # Errors
/// When something in `config` cannot be used.
pub fn gateway_backend(config: &KongConfig, parts: Parts) -> Result<Arc<dyn Backend>, ToolsError> {
    let mut exclude = parts.excluded(&config.exclude_tools);
    let is_named = |name: &str| config.tools.iter().flatten().any(|tool| tool == name);
    if !config.has_consumer_groups() && !is_named("GetConsumerGroup") {
        exclude.push("GetConsumerGroup".to_owned());
    }
    let wanted = wanted(
        &OF_GATEWAYS,
        config.tools.as_deref(),
        &exclude,
        Access::ReadOnly,
    )?;
    let shared = Konnect {
        source: Source::Gateway(gateway(config)?),
        sessions: None,
        knowledge: parts.knowledge,
        memory: Arc::default(),
        sight: None,
        access: Access::ReadOnly,
        answer_bytes: config.answer_bytes,
        max_items: config.max_items,
        words: &GATEWAY,
        unset: None,
    };
    let absent = absent(&OF_GATEWAYS, &wanted);
    let registry = registry(&config.name, wanted, shared)?;
    KonnectBackend::build(registry, absent, OF_A_GATEWAY, None)
}

fn konnect(config: &KonnectConfig) -> Result<Client, ToolsError> {
    let region: Option<Region> = config.region.parse().ok();
    let mut to_api_config = match (region, &config.base_url) {
        (Some(region), None) => ClientConfig::new(region).map_err(KonnectError::Url)?,
        (None, None) => return Err(ToolsError::UnknownRegion),
        (_, Some(url)) => {
            let regional: BaseUrl = url.parse().map_err(KonnectError::Url)?;
            // The token goes to Konnect's own address only if nobody said that it is elsewhere.
            let global = match &config.global_url {
                Some(url) => url.parse().map_err(KonnectError::Url)?,
                None => regional.clone(),
            };
            ClientConfig::at(regional, global, config.region.clone())
        }
    };
    if let Some(url) = &config.global_url {
        to_api_config.global.base = url.parse().map_err(KonnectError::Url)?;
    }
    let trust = config.ca_pem.clone().map_or(Trust::System, Trust::Pem);
    for transport in [&mut to_api_config.regional, &mut to_api_config.global] {
        let retries = transport.retries;
        *transport = to_api(
            transport.base.clone(),
            trust.clone(),
            config.proxy.clone(),
            config.timeout_seconds,
        );
        transport.retries = retries;
    }
    Ok(Client::with_config(to_api_config, config.token.clone())?)
}

fn gateway(config: &KongConfig) -> Result<Gateway, ToolsError> {
    let base: BaseUrl = config.admin_url.parse().map_err(KongError::Url)?;
    let trust = config.ca_pem.clone().map_or(Trust::System, Trust::Pem);
    let name = config
        .control_plane_name
        .clone()
        .unwrap_or_else(|| name_of(&base, config.workspace.as_deref()));
    let id = match &config.control_plane_id {
        Some(id) => id.trim().parse().map_err(|_| ToolsError::PlaneId)?,
        None => Uuid::made_of(&format!(
            "{base} {}",
            config.workspace.as_deref().unwrap_or_default()
        )),
    };
    let transport = to_api(base, trust, config.proxy.clone(), config.timeout_seconds);
    let mut to_gateway = kong::ClientConfig::new(transport.base.clone());
    to_gateway.transport = transport;
    to_gateway.token.clone_from(&config.admin_token);
    to_gateway.workspace.clone_from(&config.workspace);
    to_gateway.header =
        HeaderName::try_from(config.admin_header.trim()).map_err(|_| ToolsError::TokenHeader)?;
    Ok(Gateway {
        client: kong::Client::with_config(to_gateway)?,
        id,
        name,
    })
}

/// What a gateway is called as long as nobody says.
fn name_of(base: &BaseUrl, workspace: Option<&str>) -> String {
    let (_, host) = base.as_str().split_once("://").unwrap_or_default();
    match workspace {
        Some(workspace) => format!("{host} ({workspace})"),
        None => host.to_owned(),
    }
}

const INSTRUCTIONS: &str = "Tools for Kong Konnect, of one region. Begin with GetControlPlane, and hand the ids in results on \
    to other tools: control_plane_id, service_id, route_id, consumer_id, debug_session_id. Before CreateDebugSession show the \
    user what it would trace, and ask; then poll ActiveTracingSession (fetch_status) until it is completed.";

const OF_A_GATEWAY: &str = "Tools for one Kong Gateway, which is one control plane here. Begin with GetControlPlane, and hand \
    the ids in results on to other tools: control_plane_id, service_id, route_id, consumer_id.";
