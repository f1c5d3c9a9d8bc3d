//! One request.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::konnect::ids::ScopedId;
use crate::konnect::text::tame;

/// A request, with the ids as other tools take them. Whoever sent it wrote its address, host and user agent: they are
/// on one line and bounded, and data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Row {
    /// When it began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_start: Option<String>,
    /// The gateway's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_method: Option<String>,
    /// Path and query, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_uri: Option<String>,
    /// Status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Status that the upstream answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Control plane of the ids below, unless one is `<control_plane_id>:<id>` itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_id: Option<String>,
    /// Consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    /// Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    /// Milliseconds until the response was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<f64>,
    /// Of them, milliseconds in the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ms: Option<f64>,
    /// Of those, milliseconds in the gateway's own work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_ms: Option<f64>,
    /// Milliseconds that the upstream took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// Address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// How its sender was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
    /// Who made the response: the gateway or the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_source: Option<String>,
    /// Host that was asked for, at most 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_host: Option<String>,
    /// Program that asked, at most 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_user_agent: Option<String>,
}

impl Row {
    /// Reads a row of the API. What is missing, `null` or of another type is not there; a value that is no object is a
    /// row without anything.
    pub fn of(row: &Value) -> Self {
        let text = |name: &str, longest: usize| {
            let text = row.get(name)?.as_str()?;
            Some(tame(text, longest)).filter(|text| !text.is_empty())
        };
        let milliseconds = |name: &str| number(row.get(name)?).filter(|ms| *ms >= 0.0);
        let [consumer, service, route] = ["consumer", "gateway_service", "route"]
            .map(|name| Entity::of(row.get(name)?.as_str()?));
        let entities = [&service, &route, &consumer];
        let plane = entities
            .into_iter()
            .flatten()
            .find_map(|entity| entity.plane.clone());
        let plane = plane.or_else(|| text("control_plane", 64));
        let id = |entity: Option<Entity>| entity.map(|entity| entity.within(plane.as_deref()));
        Self {
            request_start: text("request_start", 40),
            request_id: text("request_id", 64),
            trace_id: text("trace_id", 64),
            http_method: text("http_method", 16),
            request_uri: text("request_uri", 256),
            status: row.get("response_http_status").and_then(status),
            upstream_status: row.get("upstream_status").and_then(status),
            consumer_id: id(consumer),
            service_id: id(service),
            route_id: id(route),
            control_plane_id: plane,
            response_ms: milliseconds("latencies_response_ms"),
            gateway_ms: milliseconds("latencies_kong_gateway_ms"),
            internal_ms: milliseconds("latencies_kong_internal_ms"),
            upstream_ms: milliseconds("latencies_upstream_ms"),
            client_ip: text("client_ip", 64),
            auth_type: text("auth_type", 32),
            response_source: text("response_source", 32),
            header_host: text("header_host", 128),
            header_user_agent: text("header_user_agent", 128),
        }
    }
}

/// A consumer, service or route of a row.
struct Entity {
    plane: Option<String>,
    id: String,
}

impl Entity {
    /// What is no id is shown as it is.
    fn of(id: &str) -> Option<Self> {
        let (plane, id) = match ScopedId::parse(id) {
            Ok(id) => (id.control_plane_id, id.id),
            Err(_) => (None, tame(id, 80)),
        };
        (!id.is_empty()).then_some(Self { plane, id })
    }

    /// Its id alone, or with its plane where that is not the one of the row.
    fn within(self, row: Option<&str>) -> String {
        match self.plane {
            Some(plane) if Some(plane.as_str()) != row => format!("{plane}:{}", self.id),
            _ => self.id,
        }
    }
}

/// A status comes as a number or as a string.
fn status(value: &Value) -> Option<u16> {
    let status = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|status| status.try_into().ok()),
    };
    status.filter(|status| (1..=999).contains(status))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    }
}
