//! What the names of spans say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way of a request through the gateway: in to the upstream, or back out to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Phase {
    /// Reading the request, certificate, rewrite, access, finding an upstream, sending to it.
    Ingress,
    /// Reading from the upstream, response, header and body filters, writing to the client, log.
    Egress,
}

/// The phase that a name belongs to; `None` where that is said by the spans around it, as for I/O.
pub(super) fn of(name: &str) -> Option<Phase> {
    let name = name.strip_prefix("kong.")?;
    let of_phase = |phase: &str| match phase {
        "certificate" | "rewrite" | "access" => Some(Phase::Ingress),
        "response" | "header_filter" | "body_filter" | "log" => Some(Phase::Egress),
        _ => None,
    };
    if let Some(phase) = name.strip_prefix("phase.") {
        return of_phase(phase);
    }
    if let Some((phase, _)) = name.split_once(".plugin.") {
        return of_phase(phase);
    }
    match name {
        "router"
        | "dns"
        | "tls_handshake"
        | "upstream.selection"
        | "find_upstream"
        | "send_request_to_upstream"
        | "read_client_http_headers"
        | "read_client_http_body" => Some(Phase::Ingress),
        "read_headers_from_upstream"
        | "read_body_from_upstream"
        | "wait_for_client_read"
        | "analytics.log_request" => Some(Phase::Egress),
        _ => None,
    }
}

/// The plugin of `kong.<phase>.plugin.<plugin>`.
pub(super) fn plugin(name: &str) -> Option<&str> {
    let (phase, plugin) = name.strip_prefix("kong.")?.split_once(".plugin.")?;
    (!phase.is_empty() && !phase.contains('.') && !plugin.is_empty()).then_some(plugin)
}

/// Who the time of a span belongs to, in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Gateway,
    Upstream,
    ThirdParty,
    Client,
}

/// I/O of the gateway's own work and plugins is with third parties; names it does not know are the gateway's.
pub(super) fn place(name: &str) -> Place {
    match name.strip_prefix("kong.").unwrap_or_default() {
        "send_request_to_upstream" | "read_headers_from_upstream" | "read_body_from_upstream" => {
            Place::Upstream
        }
        "read_client_http_headers"
        | "read_client_http_body"
        | "wait_for_client_read"
        | "tls_handshake" => Place::Client,
        "dns" => Place::ThirdParty,
        name if name.starts_with("io.") => Place::ThirdParty,
        _ => Place::Gateway,
    }
}
