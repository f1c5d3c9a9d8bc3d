//! What a request is answered with when there is no result: the one place where meanings become
//! JSON-RPC objects and HTTP status codes.

use std::time::Duration;

use mcp_gw_core::jsonrpc::error_object;
use mcp_gw_core::{BackendError, ErrorClass, Feature, GatewayError, ObjectWriter, RawJson, code};

use crate::bridge::{self, About, Told};
use crate::revision::Revision;

/// A JSON-RPC error, and what HTTP says beside it.
#[derive(Debug, Clone)]
pub(crate) struct RpcError {
    /// `code`, `message`, `data` as text.
    pub(crate) object: RawJson,
    /// Status of the HTTP answer.
    pub(crate) status: u16,
    /// `Retry-After` of the HTTP answer.
    pub(crate) retry_after: Option<Duration>,
    /// `WWW-Authenticate` of the HTTP answer.
    pub(crate) challenge: Option<String>,
    /// What it means; `None` for what the engine says of the request itself.
    pub(crate) class: Option<ErrorClass>,
}

impl RpcError {
    /// An error with this code; 200 over HTTP.
    pub(crate) fn new(code: i64, message: &str) -> Self {
        Self {
            object: error_object(code, message, None),
            status: 200,
            retry_after: None,
            challenge: None,
            class: None,
        }
    }

    /// An error with this code, and this status over HTTP.
    pub(crate) fn with_status(status: u16, code: i64, message: &str) -> Self {
        Self {
            status,
            ..Self::new(code, message)
        }
    }

    pub(crate) fn with_data(status: u16, code: i64, message: &str, data: &RawJson) -> Self {
        Self {
            object: error_object(code, message, Some(data)),
            status,
            retry_after: None,
            challenge: None,
            class: None,
        }
    }

    pub(crate) fn invalid_params(message: &str) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// Nobody serves this method: 404 from 2026-07-28 on.
    pub(crate) fn method_not_found(method: &str, revision: Revision) -> Self {
        let status = if revision.is_modern() { 404 } else { 200 };
        let shown: String = method.chars().take(128).collect();
        Self::with_status(
            status,
            code::METHOD_NOT_FOUND,
            &format!("Method not found: {shown}"),
        )
    }

    /// A header is missing, malformed or says something else than the body.
    pub(crate) fn header_mismatch(message: &str) -> Self {
        Self::with_status(400, code::HEADER_MISMATCH, message)
    }

    /// The request needs an extension that it did not declare.
    pub(crate) fn missing_extension(name: &str) -> Self {
        let extensions = ObjectWriter::default().raw(name, &RawJson::empty_object());
        let required = ObjectWriter::default().raw("extensions", &extensions.finish());
        let data = ObjectWriter::default().raw("requiredCapabilities", &required.finish());
        Self::with_data(
            400,
            code::MISSING_CLIENT_CAPABILITY,
            &format!("This needs a client that declares the extension `{name}`"),
            &data.finish(),
        )
    }

    /// The revision is not spoken here; the answer lists those that are.
    pub(crate) fn unsupported_version(
        requested: &str,
        supported: impl IntoIterator<Item = Revision>,
    ) -> Self {
        let supported: Vec<RawJson> = supported
            .into_iter()
            .map(|revision| RawJson::string(revision.as_str()))
            .collect();
        let requested: String = requested.chars().take(64).collect();
        let data = ObjectWriter::default()
            .array("supported", &supported)
            .string("requested", &requested)
            .finish();
        Self::with_data(
            400,
            code::UNSUPPORTED_PROTOCOL_VERSION,
            &format!("Unsupported protocol version: {requested}"),
            &data,
        )
    }

    /// What a client of this revision is told instead of a result: an error, or the result of a
    /// tool that failed.
    pub(crate) fn told(
        error: &GatewayError,
        about: About,
        revision: Revision,
    ) -> Result<RawJson, Self> {
        match error.relayed() {
            None => Err(Self {
                class: Some(error.class()),
                ..Self::own(error, revision)
            }),
            Some(object) => match bridge::error(object, about, revision) {
                Told::Error(object) => Err(Self::relayed(&object, about, revision)),
                Told::ToolError(result) => Ok(result),
            },
        }
    }

    fn own(error: &GatewayError, revision: Revision) -> Self {
        let message = error.public_message();
        match error {
            GatewayError::Limited {
                limit_name, quota, ..
            } => {
                let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                let mut data = ObjectWriter::default()
                    .string("limit", limit_name)
                    .integer("quota", integer(quota.limit))
                    .integer("remaining", integer(quota.remaining));
                let retry_after = error.retry_after();
                if let Some(after) = retry_after {
                    // Rounded up: a client that waits so long is not too early.
                    let millis = after.as_nanos().div_ceil(1_000_000);
                    data = data.integer("retryAfterMs", i64::try_from(millis).unwrap_or(i64::MAX));
                }
                let data = data.finish();
                let mut answer = Self::with_data(429, error.class().code(), &message, &data);
                answer.retry_after = retry_after;
                answer
            }
            GatewayError::Denied { decision, .. }
                if can_be_asked_for(decision.missing_scopes()) =>
            {
                Self::insufficient_scope(decision.missing_scopes())
            }
            GatewayError::Unknown { feature, name }
            | GatewayError::Denied { feature, name, .. }
            | GatewayError::Backend(BackendError::NotFound { feature, name }) => {
                Self::unknown(*feature, name, &message, revision)
            }
            GatewayError::Backend(BackendError::Busy {
                retry_after: Some(after),
                ..
            }) => {
                let millis = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
                let data = ObjectWriter::default().integer("retryAfterMs", millis);
                let mut answer =
                    Self::with_data(200, error.class().code(), &message, &data.finish());
                answer.retry_after = Some(*after);
                answer
            }
            _ if error.class() == ErrorClass::Unsupported && revision.is_modern() => {
                Self::with_status(404, error.class().code(), &message)
            }
            _ => Self::new(error.class().code(), &message),
        }
    }

    /// Which scopes are missing (RFC 6750 §3.1; MCP basic/authorization, scope challenge). Only where
    /// the policy lets callers know what there is.
    fn insufficient_scope(scopes: &[String]) -> Self {
        let scope = scopes.join(" ");
        let data = ObjectWriter::default()
            .string("error", "insufficient_scope")
            .string("scope", &scope)
            .finish();
        let noun = if scopes.len() == 1 { "scope" } else { "scopes" };
        let message = format!("Insufficient scope: this needs the {noun} {scope}");
        let mut answer = Self::with_data(403, code::INSUFFICIENT_SCOPE, &message, &data);
        answer.challenge = Some(format!(
            "Bearer error=\"insufficient_scope\", scope=\"{scope}\""
        ));
        answer
    }

    fn unknown(feature: Feature, name: &str, message: &str, revision: Revision) -> Self {
        match feature {
            // Nobody needs back what is longer than any URI should be.
            Feature::Resource if name.len() <= 8 * 1024 => {
                let code = if revision.is_modern() {
                    code::INVALID_PARAMS
                } else {
                    code::RESOURCE_NOT_FOUND_LEGACY
                };
                Self::with_data(
                    200,
                    code,
                    message,
                    &ObjectWriter::default().string("uri", name).finish(),
                )
            }
            _ => Self::invalid_params(message),
        }
    }

    /// What it means, for the audit log.
    pub(crate) fn class(&self) -> ErrorClass {
        self.class.unwrap_or(match self.code() {
            Some(code::INVALID_PARAMS | code::INVALID_REQUEST) => ErrorClass::InvalidParams,
            _ => ErrorClass::Internal,
        })
    }

    /// Its code.
    pub(crate) fn code(&self) -> Option<i64> {
        code_of(&self.object)
    }

    /// An error of the server behind, as it came; only its HTTP status is ours. What a tool, prompt or
    /// resource says is no word on the method.
    fn relayed(object: &RawJson, about: About, revision: Revision) -> Self {
        let code = code_of(object);
        let status = match code {
            Some(code::MISSING_CLIENT_CAPABILITY) if revision.is_modern() => 400,
            Some(code::METHOD_NOT_FOUND) if revision.is_modern() && about == About::Other => 404,
            _ => 200,
        };
        Self {
            object: object.clone(),
            status,
            retry_after: None,
            challenge: None,
            class: Some(ErrorClass::UpstreamError),
        }
    }
}

fn code_of(object: &RawJson) -> Option<i64> {
    let code = object.member("code").ok().flatten()?;
    code.decode_owned().ok()
}

/// The revisions that `server/discover` lists.
pub(crate) fn modern_revisions() -> impl Iterator<Item = Revision> {
    Revision::ALL
        .into_iter()
        .filter(|revision| revision.is_modern())
}

/// True when a client can ask for these scopes: each is made of the characters that a scope may have,
/// so without blanks, quotes, backslashes and control characters (RFC 6749 §3.3). A refusal for others
/// is one like any other.
fn can_be_asked_for(scopes: &[String]) -> bool {
    let may_have = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let is_scope = |scope: &String| !scope.is_empty() && scope.bytes().all(may_have);
    !scopes.is_empty() && scopes.iter().all(is_scope)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::sync::Arc;

    use mcp_gw_core::{Decision, Quota};

    use super::*;

    fn from_gateway(error: &GatewayError, revision: Revision) -> RpcError {
        RpcError::told(error, About::Other, revision).unwrap_err()
    }

    fn all_errors() -> Vec<GatewayError> {
        let server: Arc<str> = "files".into();
        let backend = |error| GatewayError::Backend(error);
        vec![
            GatewayError::Unknown {
                feature: Feature::Tool,
                name: "x".into(),
            },
            GatewayError::Denied {
                feature: Feature::Tool,
                name: "x".into(),
                decision: Decision::deny().because("secret-rule"),
            },
            GatewayError::Denied {
                feature: Feature::Tool,
                name: "x".into(),
                decision: Decision::deny()
                    .because("secret-rule")
                    .with_missing_scopes(["files:read", "files:write"]),
            },
            GatewayError::Unknown {
                feature: Feature::Prompt,
                name: "x".into(),
            },
            GatewayError::Unknown {
                feature: Feature::Resource,
                name: "file:///x".into(),
            },
            GatewayError::Limited {
                limit_name: "calls_per_minute".into(),
                quota: Quota::new(60, 0, Duration::from_secs(30)),
                retry_after: Duration::from_millis(1_500),
            },
            GatewayError::Limited {
                limit_name: "costly".into(),
                quota: Quota::new(5, 5, Duration::ZERO),
                retry_after: Duration::MAX,
            },
            GatewayError::LimiterUnavailable(mcp_gw_core::LimiterError::new("secret")),
            GatewayError::InvalidParams {
                message: "`name` is missing".into(),
            },
            GatewayError::Panicked {
                message: "secret".into(),
            },
            backend(BackendError::Unavailable {
                server: Arc::clone(&server),
                reason: "secret".into(),
            }),
            backend(BackendError::Busy {
                server: Arc::clone(&server),
                reason: "secret".into(),
                retry_after: None,
            }),
            backend(BackendError::Busy {
                server: Arc::clone(&server),
                reason: "secret".into(),
                retry_after: Some(Duration::from_millis(1_500)),
            }),
            backend(BackendError::Refused {
                server: Arc::clone(&server),
                status: 401,
            }),
            backend(BackendError::Forgetful {
                server: Arc::clone(&server),
            }),
            backend(BackendError::Lost {
                server: Arc::clone(&server),
                reason: "secret".into(),
            }),
            backend(BackendError::Timeout {
                server: Arc::clone(&server),
                after: Duration::from_secs(60),
            }),
            backend(BackendError::Protocol {
                server: Arc::clone(&server),
                reason: "secret".into(),
            }),
            backend(BackendError::TooLarge {
                server: Arc::clone(&server),
                limit: 1024,
            }),
            backend(BackendError::Unsupported {
                server: Arc::clone(&server),
                method: "prompts/get",
            }),
            backend(BackendError::Internal {
                server,
                source: "secret".into(),
            }),
            backend(BackendError::Rpc(
                RawJson::parse(r#"{"code":-32021,"message":"m","data":{"n":1.0},"x":1}"#).unwrap(),
            )),
        ]
    }

    #[test]
    fn a_scope_that_cannot_be_asked_for_is_in_no_challenge() {
        let challenge = |scopes: &[&str]| {
            let error = GatewayError::Denied {
                feature: Feature::Tool,
                name: "t".to_owned(),
                decision: Decision::deny().with_missing_scopes(scopes.iter().copied()),
            };
            let told = from_gateway(&error, Revision::V2026_07_28);
            (told.status, told.challenge)
        };
        let (status, told) = challenge(&["files:read", "a!#[]~"]);
        assert_eq!(status, 403);
        let header = told.unwrap();
        assert!(header.ends_with(r#"scope="files:read a!#[]~""#), "{header}");
        assert!(header.parse::<http::HeaderValue>().is_ok());
        for odd in ["a\"", "a\\", "a b", "a\r\nx: y", "\u{7f}", "\u{e4}", ""] {
            // Another one that can be asked for would not help.
            assert_eq!(challenge(&["files:read", odd]), (200, None), "{odd:?}");
        }
    }

    #[test]
    fn every_meaning_has_its_answer() {
        let mut table = String::new();
        for error in all_errors() {
            for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
                let answer = from_gateway(&error, revision);
                let line = format!(
                    "{} {} {}\n",
                    revision.as_str(),
                    answer.status,
                    answer.object
                );
                table.push_str(&line);
            }
        }
        assert!(!table.contains("secret"), "internals stay inside");
        insta::assert_snapshot!(table);
    }

    /// One row per class and pair of answers: how the class is named, what clients get.
    fn rows() -> BTreeSet<String> {
        let answer = |error: &GatewayError, revision| {
            let answer = from_gateway(error, revision);
            let code = answer.object.member("code").unwrap().unwrap();
            format!("{code}, HTTP {}", answer.status)
        };
        let errors = all_errors();
        let of_us = errors.iter().filter(|error| error.relayed().is_none());
        of_us
            .map(|error| {
                let class = error.class().as_str();
                let legacy = answer(error, Revision::V2025_11_25);
                let modern = answer(error, Revision::V2026_07_28);
                format!("| `{class}` | {legacy} | {modern} |")
            })
            .collect()
    }

    /// Rows of what no client gets, or not from the gateway.
    const NOT_OURS: [&str; 2] = ["| `upstream_error`", "| `client_error`"];

    #[test]
    fn the_table_of_errors_in_the_documents_is_true() {
        let path = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "operations.md"];
        let text = std::fs::read_to_string(path.iter().collect::<PathBuf>()).unwrap();
        let section = text.split("## Errors").nth(1).unwrap();
        let section = section.split("\n#").next().unwrap();
        let found: BTreeSet<String> = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .filter(|line| !NOT_OURS.iter().any(|class| line.starts_with(class)))
            .map(|line| line.splitn(5, '|').take(4).collect::<Vec<_>>().join("|") + "|")
            .collect();
        assert_eq!(found, rows());
        for class in ErrorClass::ALL {
            let row = format!("| `{}` |", class.as_str());
            assert!(section.contains(&row), "{row} is missing");
        }
    }

    #[test]
    fn refused_and_unknown_read_the_same() {
        let errors = all_errors();
        for revision in Revision::ALL {
            let [unknown, denied, ..] = errors.as_slice() else {
                panic!()
            };
            let (unknown, denied) = (
                from_gateway(unknown, revision),
                from_gateway(denied, revision),
            );
            assert_eq!(unknown.object, denied.object);
            assert_eq!(unknown.status, denied.status);
        }
    }
}
