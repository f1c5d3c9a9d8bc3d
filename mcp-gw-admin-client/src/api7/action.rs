//! Requests that are no reading or writing of a resource: publishing, health, keys, imports, approvals.

use bytes::Bytes;
use http::{Method, Request};
use mcp_gw_core::RawJson;

use crate::http::{RequestError, Target};

type Built = Result<Request<Bytes>, RequestError>;

fn group(id: &str) -> Result<Target, RequestError> {
    Target::at("/api/gateway_groups").segment("gateway_group_id", id)
}

fn registry(group_id: &str, id: &str) -> Result<Target, RequestError> {
    group(group_id)?
        .then("/service_registries")
        .segment("service_registry_id", id)
}

fn service(group_id: &str, template_id: &str) -> Result<Target, RequestError> {
    group(group_id)?
        .then("/services")
        .segment("service_template_id", template_id)
}

/// Asks how the upstreams of a service are, by the id of its template.
///
/// # Errors
/// When an id cannot be used.
pub fn service_health(group_id: &str, template_id: &str) -> Built {
    service(group_id, template_id)?.then("/healthcheck").get()
}

/// Asks for the versions of a service that a gateway group had.
///
/// # Errors
/// When an id cannot be used.
pub fn versions_in_group(group_id: &str, template_id: &str) -> Built {
    service(group_id, template_id)?.then("/versions").get()
}

/// Asks for the settings of a service that hold in one gateway group only.
///
/// # Errors
/// When an id cannot be used.
pub fn runtime_configuration(group_id: &str, template_id: &str) -> Built {
    service(group_id, template_id)?
        .then("/runtime_configuration")
        .get()
}

/// Publishes services in a gateway group: `services` are pairs of template id and version.
///
/// # Errors
/// When the body cannot be written.
pub fn publish(group_id: &str, services: &[(String, String)], is_new_version: bool) -> Built {
    let services: Vec<_> = services
        .iter()
        .map(|(id, version)| serde_json::json!({ "service_id": id, "version": version }))
        .collect();
    let body = serde_json::json!({
        "create_new_version": is_new_version,
        "gateway_group_id": group_id,
        "services": services,
    });
    let body = RawJson::from_serialize(&body).map_err(|_| RequestError::Malformed)?;
    Target::at("/api/services/publish").request(Method::POST, Some(&body))
}

/// Makes a service template of an `OpenAPI` document.
///
/// # Errors
/// Never for a body that is JSON.
pub fn import_service(body: &RawJson) -> Built {
    Target::at("/api/import/services/template").request(Method::POST, Some(body))
}

/// Makes a new admin key of a gateway group; the old one is void.
///
/// # Errors
/// When the id cannot be used.
pub fn renew_admin_key(group_id: &str) -> Built {
    group(group_id)?
        .then("/admin_key")
        .request(Method::PUT, None)
}

/// Makes a token that a gateway instance joins the group with.
///
/// # Errors
/// When the id cannot be used.
pub fn instance_token(group_id: &str) -> Built {
    group(group_id)?
        .then("/instance_token")
        .request(Method::POST, None)
}

/// Asks for the services that get their nodes from a service registry.
///
/// # Errors
/// When an id cannot be used.
pub fn connected_services(group_id: &str, registry_id: &str) -> Built {
    registry(group_id, registry_id)?
        .then("/connected_services")
        .get()
}

/// Asks how a service registry was.
///
/// # Errors
/// When an id cannot be used.
pub fn registry_health(group_id: &str, registry_id: &str) -> Built {
    registry(group_id, registry_id)?
        .then("/health_check_history")
        .get()
}

/// Accepts or rejects what waits in the developer portal.
///
/// # Errors
/// When the id cannot be used.
pub fn decide_approval(id: &str, is_accepted: bool) -> Built {
    let verdict = if is_accepted { "/accept" } else { "/reject" };
    Target::at("/api/approvals")
        .segment("id", id)?
        .then(verdict)
        .request(Method::POST, None)
}

/// Asks for the audit log as a file.
///
/// # Errors
/// Never.
pub fn export_audit_log() -> Built {
    Target::at("/api/audit_logs/export").get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_admin_api() {
        let body = RawJson::empty_object();
        for (built, line) in [
            (
                service_health("g", "t"),
                "GET /api/gateway_groups/g/services/t/healthcheck",
            ),
            (
                versions_in_group("g", "t"),
                "GET /api/gateway_groups/g/services/t/versions",
            ),
            (
                runtime_configuration("g", "t"),
                "GET /api/gateway_groups/g/services/t/runtime_configuration",
            ),
            (publish("g", &[], true), "POST /api/services/publish"),
            (import_service(&body), "POST /api/import/services/template"),
            (renew_admin_key("g"), "PUT /api/gateway_groups/g/admin_key"),
            (
                instance_token("g"),
                "POST /api/gateway_groups/g/instance_token",
            ),
            (
                connected_services("g", "r"),
                "GET /api/gateway_groups/g/service_registries/r/connected_services",
            ),
            (
                registry_health("g", "r"),
                "GET /api/gateway_groups/g/service_registries/r/health_check_history",
            ),
            (decide_approval("a", true), "POST /api/approvals/a/accept"),
            (decide_approval("a", false), "POST /api/approvals/a/reject"),
            (export_audit_log(), "GET /api/audit_logs/export"),
        ] {
            let request = built.unwrap();
            assert_eq!(format!("{} {}", request.method(), request.uri()), line);
        }
        for built in [
            service_health("..", "t"),
            service_health("g", "a/b"),
            decide_approval("", true),
        ] {
            assert!(built.is_err());
        }
    }
}
