//! Requests about roles, users and permission policies beyond those that every kind has.

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

/// Invites somebody to the dashboard.
///
/// # Errors
/// Never for a body that is JSON.
pub fn invite(body: &RawJson) -> Result<Request<Bytes>, RequestError> {
    Target::at("/api/invites").request(Method::POST, Some(body))
}

/// Gives a user a new password to log in with.
///
/// # Errors
/// When `user_id` cannot be used.
pub fn reset_password(user_id: &str) -> Result<Request<Bytes>, RequestError> {
    Target::at("/api/users")
        .segment("user_id", user_id)?
        .then("/password_reset")
        .request(Method::PUT, None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_admin_api() {
        let ids = ["p".to_owned(), "q".to_owned()];
        for (built, line, body) in [
            (
                assign_roles("u", &ids),
                "PUT /api/users/u/assigned_roles",
                r#"{"roles":["p","q"]}"#,
            ),
            (
                policies_of_role("r"),
                "GET /api/roles/r/permission_policies",
                "",
            ),
            (
                attach_policies("r", &ids),
                "POST /api/roles/r/attach_permission_policies",
                r#"["p","q"]"#,
            ),
            (
                detach_policies("r", &ids),
                "POST /api/roles/r/detach_permission_policies",
                r#"["p","q"]"#,
            ),
            (invite(&RawJson::empty_object()), "POST /api/invites", "{}"),
            (reset_password("u"), "PUT /api/users/u/password_reset", ""),
        ] {
            let request = built.unwrap();
            assert_eq!(format!("{} {}", request.method(), request.uri()), line);
            assert_eq!(request.body(), body);
        }
        assert!(assign_roles("../x", &ids).is_err());
    }
}
