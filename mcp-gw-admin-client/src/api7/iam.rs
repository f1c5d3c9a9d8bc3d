//! Requests about roles, users and permission policies beyond those that every kind has, and two more
//! that belong to no kind.

use bytes::Bytes;
use http::{Method, Request};
use mcp_gw_core::RawJson;

use crate::http::{RequestError, Target};

/// Sets all roles of a user: those that are not named are taken away.
///
/// # Errors
/// When `user_id` cannot be used.
pub fn assign_roles(user_id: &str, roles: &[String]) -> Result<Request<Bytes>, RequestError> {
    let body = object("roles", roles);
    Target::at("/api/users")
        .segment("user_id", user_id)?
        .then("/assigned_roles")
        .request(Method::PUT, Some(&body))
}

/// Asks for the permission policies of a role.
///
/// # Errors
/// When `role_id` cannot be used.
pub fn policies_of_role(role_id: &str) -> Result<Request<Bytes>, RequestError> {
    role(role_id)?.then("/permission_policies").get()
}

/// Gives permission policies to a role.
///
/// # Errors
/// When `role_id` cannot be used.
pub fn attach_policies(role_id: &str, policies: &[String]) -> Result<Request<Bytes>, RequestError> {
    role(role_id)?
        .then("/attach_permission_policies")
        .request(Method::POST, Some(&array(policies)))
}

/// Takes permission policies from a role.
///
/// # Errors
/// When `role_id` cannot be used.
pub fn detach_policies(role_id: &str, policies: &[String]) -> Result<Request<Bytes>, RequestError> {
    role(role_id)?
        .then("/detach_permission_policies")
        .request(Method::POST, Some(&array(policies)))
}

/// Asks how the upstreams of a service are, by the id of its template.
///
/// # Errors
/// When an id cannot be used.
pub fn service_health(group: &str, template: &str) -> Result<Request<Bytes>, RequestError> {
    Target::at("/api/gateway_groups")
        .segment("gateway_group_id", group)?
        .then("/services")
        .segment("service_template_id", template)?
        .then("/healthcheck")
        .get()
}

/// Publishes services in a gateway group: `services` are pairs of template id and version.
///
/// # Errors
/// When the request is too long.
pub fn publish(
    group: &str,
    services: &[(String, String)],
    is_new_version: bool,
) -> Result<Request<Bytes>, RequestError> {
    let services: Vec<_> = services
        .iter()
        .map(|(id, version)| serde_json::json!({ "service_id": id, "version": version }))
        .collect();
    let body = serde_json::json!({
        "create_new_version": is_new_version,
        "gateway_group_id": group,
        "services": services,
    });
    let body = RawJson::from_serialize(&body).map_err(|_| RequestError::Malformed)?;
    Target::at("/api/services/publish").request(Method::POST, Some(&body))
}

fn role(id: &str) -> Result<Target, RequestError> {
    Target::at("/api/roles").segment("id", id)
}

fn array(ids: &[String]) -> RawJson {
    RawJson::from_serialize(ids).unwrap_or_else(|_| RawJson::null())
}

fn object(name: &str, ids: &[String]) -> RawJson {
    mcp_gw_core::ObjectWriter::default()
        .raw(name, &array(ids))
        .finish()
}
