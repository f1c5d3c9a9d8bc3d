//! What is said when something is wrong: one shape for all of it.

mod registry;

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use mcp_gw_core::{AuthnError, ErrorClass, GatewayError};
use mcp_gw_server::identity::{IdentityError, LoginError, Scope};
use mcp_gw_server::store::{Conflict, StoreError};
use schemars::JsonSchema;
use serde::Serialize;

/// When to come again while the store or the limiter cannot be asked.
const AGAIN: Duration = Duration::from_secs(5);

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    detail: Detail,
    required: Vec<Scope>,
    retry_after: Option<Duration>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ValidationItem")]
pub(super) struct Item {
    /// Where: `body`, `path` or `query`, and the way from there.
    pub(super) loc: Vec<String>,
    /// What is wrong.
    pub(super) msg: String,
    /// The kind of fault: `missing`, `json_invalid`, `value_error` and others.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

impl Item {
    pub(super) fn new(loc: &[&str], msg: impl Into<String>, kind: &str) -> Self {
        Self {
            loc: loc.iter().map(|part| (*part).to_owned()).collect(),
            msg: msg.into(),
            kind: kind.to_owned(),
        }
    }
}

/// A sentence, or what is wrong with each member.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ErrorDetail")]
pub(super) enum Detail {
    /// A sentence.
    Text(String),
    /// With `VALIDATION_ERROR`.
    Items(Vec<Item>),
}

/// The body of each answer that is no success.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Said<'a> {
    /// What is wrong: a sentence, or with `VALIDATION_ERROR` a list.
    detail: &'a Detail,
    /// A word for programs.
    error_code: &'a str,
    /// The id of this request, as in `X-Request-Id`.
    request_id: &'a str,
    /// With `INSUFFICIENT_PERMISSIONS`: the scopes that are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_permissions: Option<Vec<&'static str>>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: Detail::Text(detail.into()),
            required: Vec::new(),
            retry_after: None,
        }
    }

    /// 422, with what is wrong.
    pub(super) fn invalid(items: Vec<Item>) -> Self {
        Self {
            detail: Detail::Items(items),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", "")
        }
    }

    /// 422 for one member.
    pub(super) fn at(loc: &[&str], msg: impl Into<String>, kind: &str) -> Self {
        Self::invalid(vec![Item::new(loc, msg, kind)])
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    }

    /// 403 for a caller who lacks a scope.
    pub(super) fn lacks(scope: Scope) -> Self {
        Self {
            required: vec![scope],
            ..Self::new(
                StatusCode::FORBIDDEN,
                "INSUFFICIENT_PERMISSIONS",
                "Insufficient permissions for this operation",
            )
        }
    }

    pub(super) fn unavailable() -> Self {
        let detail = "Service unavailable: try again later";
        let fault = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            detail,
        );
        fault.after(AGAIN)
    }

    /// 503 for what was done, but whose audit event is not known to be written.
    pub(super) fn unwritten(operation: &str) -> Self {
        if operation == "login" {
            return Self::unavailable();
        }
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "OUTCOME_UNKNOWN",
            "The change was made, but the audit log could not be written in time: look at what there is \
             before you try again",
        )
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "Internal server error",
        )
    }

    /// Says when to come again.
    pub(super) const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same for what is a member of the body: what is wrong is within it.
    pub(super) fn within(mut self, member: &str) -> Self {
        if let Detail::Items(items) = &mut self.detail {
            for item in items {
                item.loc.insert(1.min(item.loc.len()), member.to_owned());
            }
        }
        self
    }

    /// The same for who has sent a member under its other name.
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Detail::Items(items) = &mut self.detail {
            for name in items.iter_mut().filter_map(|item| item.loc.get_mut(1)) {
                if name == from {
                    to.clone_into(name);
                }
            }
        }
        self
    }

    /// The answer.
    pub(super) fn response(&self, request_id: &str) -> Response<Body> {
        let required = self.required.iter().map(|scope| scope.as_str());
        let said = Said {
            detail: &self.detail,
            error_code: self.code,
            request_id,
            required_permissions: (!self.required.is_empty()).then(|| required.collect()),
        };
        let body = serde_json::to_vec(&said).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = match self.code {
                "INVALID_TOKEN" => "Bearer error=\"invalid_token\"",
                _ => "Bearer",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait
                .as_secs()
                .saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}

impl From<AuthnError> for Fault {
    fn from(error: AuthnError) -> Self {
        match error {
            AuthnError::Missing => Self::new(
                StatusCode::UNAUTHORIZED,
                "NOT_AUTHENTICATED",
                "Authentication required",
            ),
            AuthnError::Malformed => Self::new(
                StatusCode::UNAUTHORIZED,
                "NOT_AUTHENTICATED",
                "The credentials cannot be read: send one `Authorization: Bearer <token or key>`, or \
                 one `X-API-Key`",
            ),
            AuthnError::Address { .. } => {
                Self::new(StatusCode::FORBIDDEN, "ADDRESS_REFUSED", "Forbidden")
            }
            AuthnError::Unavailable { .. } => Self::unavailable(),
            _ => Self::new(
                StatusCode::UNAUTHORIZED,
                "INVALID_TOKEN",
                "Could not validate credentials",
            ),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what, .. } => {
                return Self::not_found(format!("There is no such {what}"));
            }
            StoreError::Conflict { what } => return Self::from(*what),
            StoreError::Invalid { what, reason } => {
                return Self::at(&["body", member(what)], reason.as_str(), "value_error");
            }
            _ => {}
        }
        tracing::warn!(%error, "the store failed");
        if error.is_uncertain() {
            // Not to be tried again without a look: it may have been made.
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "OUTCOME_UNKNOWN",
                "The database did not answer in time: look whether the change was made before you try \
                 again",
            );
        }
        Self::unavailable()
    }
}

/// What the store calls a member of a body.
fn member(what: &'static str) -> &'static str {
    match what {
        "the email address" => "email",
        "the full name" => "full_name",
        "the id of the instance" => "id",
        "the list of groups" => "groups",
        "the list of roles" => "roles",
        "the list of scopes" => "scopes",
        "the list of variables" => "env_vars",
        "the name of the key" | "the name of the template" => "name",
        what => what.strip_prefix("the ").unwrap_or(what),
    }
}

impl From<Conflict> for Fault {
    fn from(conflict: Conflict) -> Self {
        let (status, code, detail) = match conflict {
            Conflict::Username => (
                StatusCode::CONFLICT,
                "USERNAME_TAKEN",
                "The username is taken",
            ),
            Conflict::Instance => (
                StatusCode::CONFLICT,
                "SERVER_EXISTS",
                "There is a server of this id",
            ),
            Conflict::Template => (
                StatusCode::CONFLICT,
                "TEMPLATE_EXISTS",
                "There is a template of this name",
            ),
            Conflict::InUse => (
                StatusCode::CONFLICT,
                "IN_USE",
                "The template has servers: delete them first",
            ),
            Conflict::LastSuperuser => (
                StatusCode::CONFLICT,
                "LAST_ADMIN",
                "This is the last active superuser: make another one first",
            ),
            Conflict::Revision => (
                StatusCode::PRECONDITION_FAILED,
                "CHANGED_MEANWHILE",
                "It was changed meanwhile: read it again",
            ),
            _ => (
                StatusCode::CONFLICT,
                "CONFLICT",
                "It is at odds with what there is: try again",
            ),
        };
        Self::new(status, code, detail)
    }
}

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Invalid { field, reason } => {
                Self::at(&["body", member(field)], reason, "value_error")
            }
            IdentityError::NotFound => Self::not_found("There is no such user or key"),
            IdentityError::Duplicate => Conflict::Username.into(),
            IdentityError::Changed => Conflict::Revision.into(),
            IdentityError::Forbidden { reason } => Self::new(
                StatusCode::FORBIDDEN,
                "FORBIDDEN",
                format!("Not allowed: {reason}"),
            ),
            IdentityError::LastAdmin => Conflict::LastSuperuser.into(),
            IdentityError::WrongPassword => Self::new(
                StatusCode::FORBIDDEN,
                "WRONG_PASSWORD",
                "The password is wrong",
            ),
            IdentityError::Throttled { retry_after } => throttled(retry_after),
            IdentityError::Store(error) => error.into(),
            _ => Self::unavailable(),
        }
    }
}

fn throttled(retry_after: Duration) -> Fault {
    Fault::new(
        StatusCode::TOO_MANY_REQUESTS,
        "TOO_MANY_ATTEMPTS",
        "Too many attempts: try again later",
    )
    .after(retry_after)
}

impl From<LoginError> for Fault {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Invalid => Self::new(
                StatusCode::UNAUTHORIZED,
                "INVALID_CREDENTIALS",
                "Invalid credentials",
            ),
            LoginError::Throttled { retry_after } => throttled(retry_after),
            // A login changes nothing that somebody would have to look for.
            LoginError::Store(error) => {
                tracing::warn!(%error, "the store failed");
                Self::unavailable()
            }
            _ => Self::unavailable(),
        }
    }
}

impl From<GatewayError> for Fault {
    fn from(error: GatewayError) -> Self {
        let (status, code) = match error.class() {
            ErrorClass::Unknown | ErrorClass::Denied | ErrorClass::Unsupported => {
                (StatusCode::NOT_FOUND, "NOT_FOUND")
            }
            ErrorClass::Limited => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            ErrorClass::LimiterUnavailable
            | ErrorClass::UpstreamUnavailable
            | ErrorClass::UpstreamBusy => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
            ErrorClass::InvalidParams => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENTS"),
            ErrorClass::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "SERVER_TIMEOUT"),
            ErrorClass::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
            _ => (StatusCode::BAD_GATEWAY, "SERVER_FAILED"),
        };
        let mut fault = Self::new(status, code, error.public_message());
        fault.retry_after = error.retry_after();
        if status == StatusCode::SERVICE_UNAVAILABLE && fault.retry_after.is_none() {
            fault.retry_after = Some(AGAIN);
        }
        fault
    }
}
