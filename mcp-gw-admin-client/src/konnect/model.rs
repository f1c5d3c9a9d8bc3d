//! What Konnect answers with, as far as programs commonly look at it. Members without a name here are kept in `rest`, and
//! written back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kong::Rest;

models! {
    /// What gateways get their configuration from.
    ControlPlane {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// A description.
        description: String,
        /// Labels.
        labels: Map<String, Value>,
        /// What it is.
        config: PlaneConfig,
        /// RFC 3339.
        created_at: String,
        /// RFC 3339.
        updated_at: String,
    }
    /// What a control plane is.
    PlaneConfig {
        /// `CLUSTER_TYPE_CONTROL_PLANE`, `CLUSTER_TYPE_CONTROL_PLANE_GROUP`, `CLUSTER_TYPE_K8S_INGRESS_CONTROLLER` …
        cluster_type: String,
        /// Where gateways get their configuration.
        control_plane_endpoint: String,
        /// Where gateways tell what they do.
        telemetry_endpoint: String,
        /// How gateways show who they are.
        auth_type: String,
        /// Konnect runs the gateways.
        cloud_gateway: bool,
    }
    /// A request that was made to a gateway. Any member may be missing.
    RequestRow {
        /// RFC 3339.
        request_start: String,
        /// The id.
        request_id: String,
        /// The id of its trace.
        trace_id: String,
        /// The method.
        http_method: String,
        /// The path and query.
        request_uri: String,
        /// The status that the client got, as a text.
        response_http_status: String,
        /// The status that the service gave.
        upstream_status: String,
        /// Who sent it: `<control plane>:<consumer>`.
        consumer: String,
        /// Where it went: `<control plane>:<service>`.
        gateway_service: String,
        /// By which route: `<control plane>:<route>`.
        route: String,
        /// The gateway: `<control plane>:<node>`.
        data_plane_node: String,
        /// The control plane.
        control_plane: String,
        /// The control plane group.
        control_plane_group: String,
        /// In milliseconds, all together.
        latencies_response_ms: f64,
        /// In milliseconds, in the gateway and what its plugins waited for.
        latencies_kong_gateway_ms: f64,
        /// In milliseconds, in the gateway alone.
        latencies_kong_internal_ms: f64,
        /// In milliseconds, at the service.
        latencies_upstream_ms: f64,
        /// The address of the client.
        client_ip: String,
        /// How the client showed who it is.
        auth_type: String,
        /// The `User-Agent` of the client: anything.
        header_user_agent: String,
    }
    /// What an alert was about.
    AlertEvent {
        /// The id.
        id: String,
        /// The control plane.
        control_plane_id: String,
        /// What it is about.
        entity_id: String,
        /// What kind of thing that is.
        entity_type: String,
        /// RFC 3339.
        triggered_at: String,
        /// What a debug session should be created with: an object, in answers that can be used.
        debug_session_inputs: Value,
    }
    /// A debug session.
    DebugSession {
        /// The id.
        id: String,
        /// The control plane.
        control_plane_id: String,
        /// `pending`, `in_progress`, `completed`, `timed_out`, `cancelled`.
        status: String,
        /// Which requests are traced.
        sampling_rule: String,
        /// How long it lasts, in seconds.
        duration_seconds: u64,
        /// How many traces it collects at most.
        max_samples: u64,
        /// How many it has.
        traces_collected: u64,
        /// RFC 3339.
        created_at: String,
        /// RFC 3339.
        started_at: String,
        /// RFC 3339.
        ended_at: String,
    }
    /// Who a token belongs to.
    User {
        /// The id.
        id: String,
        /// The address.
        email: String,
        /// The whole name.
        full_name: String,
    }
    /// The organization of a token.
    Organization {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `active`, `inactive`, `deleting`, `deleted`.
        state: String,
    }
    /// Some people, and what they all may do.
    Team {
        /// The id.
        id: String,
        /// The name; of those that Konnect has itself `organization-admin`, `analytics-viewer` …
        name: String,
        /// Konnect has it itself.
        system_team: bool,
    }
    /// A right that somebody has on something.
    AssignedRole {
        /// The id.
        id: String,
        /// `Admin`, `Viewer`, `Debug Session Creator` …
        role_name: String,
        /// What it is for; `*` is all.
        entity_id: String,
        /// What kind of thing that is: `Control Planes`.
        entity_type_name: String,
        /// The region; `*` is all.
        entity_region: String,
    }
}
