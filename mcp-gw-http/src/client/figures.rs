//! What is answered of how the gateway does, and of what was done.

use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use serde::{Deserialize, Serialize};

use super::told::told;

told! {
    /// How many servers there are.
    Counted {
        /// All.
        total: u64,
        /// Those that answer.
        healthy: u64,
        /// Those that do not.
        unhealthy: u64,
    }

    /// How the gateway does.
    Health {
        /// `healthy` or `unhealthy`.
        status: String,
        /// The version of the API.
        #[serde(default)]
        version: String,
        /// `connected` or `unavailable`.
        #[serde(default)]
        database: String,
        /// Seconds since it started.
        #[serde(default)]
        uptime: u64,
        /// The servers.
        mcp_servers: Option<Counted>,
    }

    /// The same, with templates.
    GatewayHealth {
        /// `healthy` or `unhealthy`.
        status: String,
        /// The same of the database.
        #[serde(default)]
        database: String,
        /// How many templates there are.
        #[serde(default)]
        templates: u64,
        /// The servers.
        instances: Option<Counted>,
        /// Seconds since it started.
        #[serde(default)]
        uptime: f64,
    }

    /// How the servers of a template do.
    TemplateHealth {
        /// `healthy` when one of them is.
        status: String,
        /// Those that answer.
        healthy_instances: u64,
        /// All.
        total_instances: u64,
        /// Each.
        #[serde(default)]
        instances: Vec<InstanceHealth>,
    }

    /// How one does.
    InstanceHealth {
        /// Its id.
        id: String,
        /// `healthy`, `unhealthy` or `unknown`.
        status: String,
        /// When it was asked last.
        last_health_check: Option<String>,
    }

    /// How much is used.
    Stats {
        /// Seconds since the gateway started.
        uptime: u64,
        /// Tool calls since then.
        total_requests: u64,
        /// Servers that get calls.
        active_servers: u64,
        /// Those of them that answer.
        healthy_servers: u64,
        /// How calls were spread.
        load_balancer: Spread,
    }

    /// How calls were spread.
    Spread {
        /// How they are, unless a template says so.
        strategy: String,
        /// All of them.
        total_requests: u64,
        /// By the id of the server.
        #[serde(default)]
        requests_per_server: BTreeMap<String, u64>,
    }

    /// How much is used, by template and server.
    GatewayStats {
        /// Tool calls since the gateway started.
        total_requests: u64,
        /// Requests under way.
        active_connections: u64,
        /// By template.
        #[serde(default)]
        templates: BTreeMap<String, TemplateCounts>,
        /// By server.
        load_balancer: InstanceCounts,
    }

    /// How many servers a template has.
    TemplateCounts {
        /// All.
        total_instances: u64,
        /// Those that answer.
        healthy_instances: u64,
        /// How its calls are spread.
        #[serde(default)]
        load_balancer_strategy: String,
    }

    /// Figures by the id of the server.
    InstanceCounts {
        /// Tool calls.
        #[serde(default)]
        requests_per_instance: BTreeMap<String, u64>,
        /// Requests under way.
        #[serde(default)]
        active_connections: BTreeMap<String, u64>,
    }

    /// How many there are.
    RegistryCounts {
        /// Templates.
        total_templates: u64,
        /// Servers.
        total_instances: u64,
        /// Those that answer.
        healthy_instances: u64,
        /// Those that do not.
        unhealthy_instances: u64,
        /// By template.
        #[serde(default)]
        templates: BTreeMap<String, TemplateCounts>,
    }

    /// Something that was done, or refused.
    AuditEvent {
        /// Rises with the order in which events were written.
        seq: i64,
        /// When it began.
        time: String,
        /// How long it took, in microseconds.
        #[serde(default)]
        duration_us: u64,
        /// The id of the request.
        #[serde(default)]
        request_id: String,
        /// Where it came from.
        client_addr: Option<String>,
        /// Who asked; empty when credentials were refused.
        #[serde(default)]
        caller_id: String,
        /// The method of MCP, or the operation of this API.
        method: String,
        /// The tool, resource or prompt, or what was changed.
        name: Option<String>,
        /// The server.
        server: Option<String>,
        /// What the policy said: `allow` or `deny`.
        effect: Option<String>,
        /// Why.
        reason: Option<String>,
        /// `ok`, `tool_error`, `denied` and others.
        outcome: String,
        /// What went wrong.
        error: Option<String>,
        /// True when the request may have reached the server.
        #[serde(default)]
        backend_asked: bool,
        /// Whatever else there is to say.
        details: Option<RawJson>,
    }
}
