//! What can go wrong with a request, by meaning, and the one table to MCP's error codes.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::BackendError;
use crate::json::RawJson;
use crate::limit::{LimiterError, Quota};
use crate::policy::{Decision, Feature};

/// JSON-RPC 2.0 and MCP error codes that this gateway uses.
///
/// Codes of its own are outside -32768 to -32000, which JSON-RPC and MCP reserve.
pub mod code {
    /// The body is not JSON (JSON-RPC 2.0 §5.1).
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is not a request (JSON-RPC 2.0 §5.1).
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method (JSON-RPC 2.0 §5.1).
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The params are wrong; also: no such tool, prompt or resource (MCP server/tools).
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something broke here (JSON-RPC 2.0 §5.1).
    pub const INTERNAL_ERROR: i64 = -32603;
    /// No such resource, in revisions up to 2025-11-25.
    pub const RESOURCE_NOT_FOUND_LEGACY: i64 = -32002;
    /// A header and the body differ (MCP 2026-07-28).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client lacks a capability (MCP 2026-07-28).
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// The revision is not spoken here (MCP 2026-07-28).
    pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
    /// A rate limit was reached; `data.retryAfterMs` says when to try again.
    pub const RATE_LIMITED: i64 = -31001;
    /// The server behind the gateway cannot be reached, or turns the gateway away; nothing was done.
    pub const UPSTREAM_UNAVAILABLE: i64 = -31002;
    /// The server behind the gateway went away or did not answer; what it did is not known.
    pub const UPSTREAM_LOST: i64 = -31003;
    /// The server behind the gateway answered with something that is not MCP.
    pub const UPSTREAM_INVALID: i64 = -31004;
    /// The gateway cannot check limits or credentials at the moment.
    pub const GATEWAY_UNAVAILABLE: i64 = -31005;
    /// The caller lacks scopes, which `data.scope` names. Only where the policy lets callers know.
    pub const INSUFFICIENT_SCOPE: i64 = -31006;
}

/// The meaning of a failure: what audit, metrics and the wire agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// There is no such item.
    Unknown,
    /// The policy refused; the client cannot tell it from [`ErrorClass::Unknown`].
    Denied,
    /// A limit was reached.
    Limited,
    /// Limits could not be checked.
    LimiterUnavailable,
    /// The params are wrong.
    InvalidParams,
    /// Nobody serves the method.
    Unsupported,
    /// The backend could not be reached.
    UpstreamUnavailable,
    /// The backend takes no more requests now.
    UpstreamBusy,
    /// The backend refused the gateway's credentials.
    UpstreamRefused,
    /// The backend went away mid-call.
    UpstreamLost,
    /// The backend did not answer in time.
    UpstreamTimeout,
    /// The backend answered nonsense.
    UpstreamInvalid,
    /// The backend answered with a JSON-RPC error.
    UpstreamError,
    /// The client did not answer what a server asked it, or with an error. In the audit log only.
    ClientError,
    /// The gateway or a local tool is broken.
    Internal,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Unknown,
        Self::Denied,
        Self::Limited,
        Self::LimiterUnavailable,
        Self::InvalidParams,
        Self::Unsupported,
        Self::UpstreamUnavailable,
        Self::UpstreamBusy,
        Self::UpstreamRefused,
        Self::UpstreamLost,
        Self::UpstreamTimeout,
        Self::UpstreamInvalid,
        Self::UpstreamError,
        Self::ClientError,
        Self::Internal,
    ];

    /// The name used in audit events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::LimiterUnavailable => "limiter_unavailable",
            Self::InvalidParams => "invalid_params",
            Self::Unsupported => "unsupported",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamBusy => "upstream_busy",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamLost => "upstream_lost",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::UpstreamError => "upstream_error",
            Self::ClientError => "client_error",
            Self::Internal => "internal",
        }
    }

    /// The JSON-RPC code: the one table. An error of the backend keeps its own.
    pub const fn code(self) -> i64 {
        match self {
            Self::Unknown | Self::Denied | Self::InvalidParams => code::INVALID_PARAMS,
            Self::Limited => code::RATE_LIMITED,
            Self::LimiterUnavailable => code::GATEWAY_UNAVAILABLE,
            Self::Unsupported => code::METHOD_NOT_FOUND,
            Self::UpstreamUnavailable | Self::UpstreamBusy | Self::UpstreamRefused => {
                code::UPSTREAM_UNAVAILABLE
            }
            Self::UpstreamLost | Self::UpstreamTimeout => code::UPSTREAM_LOST,
            Self::UpstreamInvalid => code::UPSTREAM_INVALID,
            Self::UpstreamError | Self::ClientError | Self::Internal => code::INTERNAL_ERROR,
        }
    }
}

/// Why the gateway has no result for a request.
///
/// `Display` is for logs; what a client may read is [`GatewayError::public_message`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// There is no such item.
    #[error("unknown {}: {name}", feature.as_str())]
    Unknown {
        /// What kind of item.
        feature: Feature,
        /// Its name or URI, as the client wrote it.
        name: String,
    },
    /// The policy refused.
    #[error("policy denies {} {name} ({})", feature.as_str(), decision.reasons().join(", "))]
    Denied {
        /// What kind of item.
        feature: Feature,
        /// Its name or URI, as the client wrote it.
        name: String,
        /// For audit.
        decision: Decision,
    },
    /// A limit was reached.
    #[error("limit `{limit_name}` of {} reached{}", quota.limit, when(*retry_after))]
    Limited {
        /// The limit.
        limit_name: Arc<str>,
        /// Where the caller stands with it.
        quota: Quota,
        /// When the same request is admitted again.
        retry_after: Duration,
    },
    /// Limits could not be checked.
    #[error("limits cannot be checked")]
    LimiterUnavailable(#[source] LimiterError),
    /// The params are wrong.
    #[error("invalid params: {message}")]
    InvalidParams {
        /// For the client.
        message: String,
    },
    /// The backend has no answer.
    #[error("the backend has no answer")]
    Backend(#[source] BackendError),
    /// The backend has an answer that the client cannot be told.
    #[error("the answer of server `{server}` cannot be told to this client: {reason}")]
    Untellable {
        /// The backend.
        server: Arc<str>,
        /// Why: a clause whose subject is the answer, for the client.
        reason: String,
    },
    /// A local tool panicked.
    #[error("a tool panicked: {message}")]
    Panicked {
        /// For the log.
        message: String,
    },
}

impl GatewayError {
    /// The meaning.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unknown { .. } => ErrorClass::Unknown,
            Self::Denied { .. } => ErrorClass::Denied,
            Self::Limited { .. } => ErrorClass::Limited,
            Self::LimiterUnavailable(_) => ErrorClass::LimiterUnavailable,
            Self::InvalidParams { .. } => ErrorClass::InvalidParams,
            Self::Panicked { .. } => ErrorClass::Internal,
            Self::Untellable { .. } => ErrorClass::UpstreamInvalid,
            Self::Backend(error) => match error {
                BackendError::Unavailable { .. } | BackendError::Forgetful { .. } => {
                    ErrorClass::UpstreamUnavailable
                }
                BackendError::Busy { .. } => ErrorClass::UpstreamBusy,
                BackendError::Refused { .. } => ErrorClass::UpstreamRefused,
                BackendError::Lost { .. } => ErrorClass::UpstreamLost,
                BackendError::Timeout { .. } => ErrorClass::UpstreamTimeout,
                BackendError::Protocol { .. } | BackendError::TooLarge { .. } => {
                    ErrorClass::UpstreamInvalid
                }
                BackendError::Rpc(_) => ErrorClass::UpstreamError,
                BackendError::NotFound { .. } => ErrorClass::Unknown,
                BackendError::Unsupported { .. } => ErrorClass::Unsupported,
                BackendError::Internal { .. } => ErrorClass::Internal,
            },
        }
    }

    /// The JSON-RPC error object of the backend, which is handed on as it is.
    pub const fn relayed(&self) -> Option<&RawJson> {
        match self {
            Self::Backend(BackendError::Rpc(error)) => Some(error),
            _ => None,
        }
    }

    /// When to try again, if that helps: a request that costs more than a limit ever admits does not
    /// get in later.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } if !is_never(*retry_after) => Some(*retry_after),
            Self::Backend(BackendError::Busy { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }

    /// What the client may read: a sentence without internals. A refused item reads like one that
    /// does not exist.
    pub fn public_message(&self) -> String {
        match self {
            Self::Unknown { feature, name } | Self::Denied { feature, name, .. } => {
                unknown(*feature, name)
            }
            Self::Limited {
                limit_name,
                retry_after,
                ..
            } if is_never(*retry_after) => format!(
                "This costs more than rate limit `{limit_name}` ever admits at once. Trying again does \
                 not help."
            ),
            Self::Limited {
                limit_name,
                quota,
                retry_after,
            } => format!(
                "Rate limit `{limit_name}` ({}) reached. Try again in {} s.",
                quota.limit,
                retry_after.as_secs_f64().ceil()
            ),
            Self::LimiterUnavailable(_) => {
                "Limits cannot be checked at the moment. Try again later.".to_owned()
            }
            Self::InvalidParams { message } => format!("Invalid params: {message}"),
            Self::Untellable { server, reason } => {
                format!("The answer of server `{server}` cannot be told to this client: {reason}.")
            }
            Self::Panicked { .. } => "The tool failed internally.".to_owned(),
            Self::Backend(error) => backend_message(error),
        }
    }
}

/// True for the mark of a limit that never admits such a request, however long one waits.
const fn is_never(retry_after: Duration) -> bool {
    retry_after.as_secs() == Duration::MAX.as_secs()
}

/// The end of a line about a limit, for the log.
fn when(retry_after: Duration) -> String {
    if is_never(retry_after) {
        ", and the request costs more than it ever admits".to_owned()
    } else {
        format!(", retry after {retry_after:?}")
    }
}

fn unknown(feature: Feature, name: &str) -> String {
    let shown: String = name.chars().take(128).collect();
    match feature {
        Feature::Tool => format!("Unknown tool: {shown}"),
        Feature::Prompt => format!("Unknown prompt: {shown}"),
        Feature::Resource | Feature::ResourceTemplate => format!("Resource not found: {shown}"),
    }
}

fn backend_message(error: &BackendError) -> String {
    match error {
        BackendError::Unavailable { server, .. } => {
            format!("Server `{server}` is not available. Nothing was done; try again later.")
        }
        BackendError::Busy {
            server,
            retry_after,
            ..
        } => {
            let when = retry_after.map_or_else(
                || "later".to_owned(),
                |after| format!("in {} s", after.as_secs_f64().ceil()),
            );
            format!(
                "Server `{server}` takes no more requests now. Nothing was done; try again {when}."
            )
        }
        BackendError::Refused { server, status } => format!(
            "Server `{server}` refused the credentials that the gateway has for it (it answers \
             {status}). Nothing was done; whoever runs the gateway has to look at `headers` of this \
             server in its configuration."
        ),
        BackendError::Forgetful { server } => format!(
            "Server `{server}` does not know the session that it has just given. Nothing was done; whoever \
             runs the gateway has to see whether several instances of this server are behind one \
             address without session affinity."
        ),
        BackendError::Lost { server, .. } => format!(
            "Server `{server}` went away before it answered. It may have done the work or not."
        ),
        BackendError::Timeout { server, after } => format!(
            "Server `{server}` did not answer within {} s. It may have done the work or not.",
            after.as_secs_f64()
        ),
        BackendError::Protocol { server, .. } => {
            format!("Server `{server}` answered with something that is not MCP.")
        }
        BackendError::TooLarge { server, limit } => {
            format!("The answer of server `{server}` is longer than {limit} bytes.")
        }
        BackendError::NotFound { feature, name } => unknown(*feature, name),
        BackendError::Unsupported { server, method } => {
            format!("Server `{server}` does not serve {method}.")
        }
        BackendError::Rpc(_) => "The server answered with an error.".to_owned(),
        BackendError::Internal { server, .. } => format!("Server `{server}` failed internally."),
    }
}

impl From<BackendError> for GatewayError {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_are_listed_in_their_order() {
        for (at, class) in ErrorClass::ALL.iter().enumerate() {
            assert_eq!(*class as usize, at);
        }
        assert_eq!(ErrorClass::ALL.last(), Some(&ErrorClass::Internal));
    }
}
