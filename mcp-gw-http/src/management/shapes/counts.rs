//! The bodies of answers that tell how it goes, and of those that are passed on.

use std::collections::BTreeMap;

use mcp_gw_core::{Clock as _, SystemClock};
use mcp_gw_server::registry::{RegistryStats, TemplateStats, TemplateView};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::told::iso;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Counted {
    pub(crate) total: usize,
    pub(crate) healthy: usize,
    pub(crate) unhealthy: usize,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Health {
    pub(crate) status: &'static str,
    pub(crate) timestamp: String,
    /// Seconds.
    pub(crate) uptime: u64,
    pub(crate) version: &'static str,
    pub(crate) database: &'static str,
    pub(crate) mcp_servers: Counted,
}

impl Health {
    pub(crate) fn now() -> String {
        iso(SystemClock::new().wall())
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct GatewayHealth {
    pub(crate) status: &'static str,
    pub(crate) database: &'static str,
    pub(crate) templates: usize,
    pub(crate) instances: Counted,
    /// Seconds.
    pub(crate) uptime: f64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct InstanceHealth {
    id: String,
    status: &'static str,
    endpoint: Option<String>,
    transport: &'static str,
    last_health_check: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TemplateHealth {
    pub(crate) status: &'static str,
    pub(crate) healthy_instances: usize,
    pub(crate) total_instances: usize,
    pub(crate) instances: Vec<InstanceHealth>,
}

impl From<TemplateView> for TemplateHealth {
    fn from(view: TemplateView) -> Self {
        let healthy = view.healthy();
        let instances: Vec<InstanceHealth> = view
            .instances
            .into_iter()
            .map(|one| InstanceHealth {
                id: one.instance.id,
                status: one.instance.health.status.as_str(),
                // Everybody may ask: where it is, is for those who may read servers.
                endpoint: None,
                transport: one.instance.spec.transport.as_str(),
                last_health_check: one.instance.health.last_health_check.map(iso),
            })
            .collect();
        Self {
            status: if healthy > 0 { "healthy" } else { "unhealthy" },
            healthy_instances: healthy,
            total_instances: instances.len(),
            instances,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TemplateCounts {
    total_instances: usize,
    healthy_instances: usize,
    load_balancer_strategy: &'static str,
}

impl From<TemplateStats> for TemplateCounts {
    fn from(stats: TemplateStats) -> Self {
        Self {
            total_instances: stats.total,
            healthy_instances: stats.healthy,
            load_balancer_strategy: stats.strategy.as_str(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct RegistryShown {
    total_templates: usize,
    total_instances: usize,
    healthy_instances: usize,
    unhealthy_instances: usize,
    templates: BTreeMap<String, TemplateCounts>,
}

impl From<RegistryStats> for RegistryShown {
    fn from(stats: RegistryStats) -> Self {
        let templates = stats.templates.into_iter();
        Self {
            total_templates: stats.summary.templates,
            total_instances: stats.summary.total,
            healthy_instances: stats.summary.healthy,
            unhealthy_instances: stats.summary.unhealthy,
            templates: templates.map(|(name, one)| (name, one.into())).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct GatewayStats {
    total_requests: u64,
    active_connections: usize,
    templates: BTreeMap<String, TemplateCounts>,
    load_balancer: GatewaySpread,
    health_checker: Checker,
}

#[derive(Serialize, JsonSchema)]
struct GatewaySpread {
    requests_per_instance: BTreeMap<String, u64>,
    active_connections: BTreeMap<String, usize>,
}

#[derive(Serialize, JsonSchema)]
struct Checker {
    running: bool,
    /// Seconds.
    check_interval: u64,
    last_check: Option<String>,
}

impl From<RegistryStats> for GatewayStats {
    fn from(stats: RegistryStats) -> Self {
        let templates = stats.templates.into_iter();
        Self {
            total_requests: stats.total_requests,
            active_connections: stats.active_connections,
            templates: templates.map(|(name, one)| (name, one.into())).collect(),
            load_balancer: GatewaySpread {
                requests_per_instance: stats.requests_per_instance,
                active_connections: stats.active_per_instance,
            },
            health_checker: Checker {
                running: stats.health_checker.is_running,
                check_interval: stats.health_checker.interval.as_secs(),
                last_check: stats.health_checker.last_check.map(iso),
            },
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Stats {
    /// Seconds.
    pub(crate) uptime: u64,
    pub(crate) total_requests: u64,
    pub(crate) active_servers: usize,
    pub(crate) healthy_servers: usize,
    pub(crate) load_balancer: Spread,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Spread {
    pub(crate) strategy: &'static str,
    pub(crate) total_requests: u64,
    pub(crate) requests_per_server: BTreeMap<String, u64>,
}

/// What a tool answered.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is passed on as it came")]
pub(crate) struct CallResult {
    content: Vec<Map<String, Value>>,
    #[serde(rename = "isError")]
    is_error: bool,
}

/// Definitions as the server wrote them.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is passed on as it came")]
pub(crate) struct ToolList {
    tools: Vec<Map<String, Value>>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is passed on as it came")]
pub(crate) struct ResourceList {
    resources: Vec<Map<String, Value>>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is passed on as it came")]
#[schemars(rename_all = "camelCase")]
pub(crate) struct ResourceTemplateList {
    resource_templates: Vec<Map<String, Value>>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is passed on as it came")]
pub(crate) struct PromptList {
    prompts: Vec<Map<String, Value>>,
}

/// A result as the server wrote it.
pub(crate) type Passed = Map<String, Value>;
