//! What a caller of an operation has to show.

use serde_json::{Map, Value};

use super::document::Document;
use super::strings;
use crate::rest::operation::{Scheme, SchemeKind, Security};
use crate::rest::text::trimmed;

/// The ways to be allowed to call an operation: its own, or those of the whole description.
pub(super) fn of(document: &Document, operation: &Map<String, Value>) -> Vec<Security> {
    let said = operation
        .get("security")
        .or_else(|| document.member("security"));
    let ways = said.and_then(Value::as_array).into_iter().flatten();
    ways.filter_map(Value::as_object)
        .take(MAX)
        .map(|way| Security {
            schemes: way
                .iter()
                .take(MAX)
                .map(|(name, scopes)| Scheme {
                    name: trimmed(name, 100),
                    kind: kind(document, name),
                    scopes: strings(Some(scopes))
                        .take(50)
                        .map(|it| trimmed(it, 200))
                        .collect(),
                })
                .collect(),
        })
        .collect()
}

/// True when the operation itself says that nobody has to show anything. That a description says nothing
/// at all means little.
pub(super) fn is_open(operation: &Map<String, Value>) -> bool {
    let said = operation.get("security").and_then(Value::as_array);
    said.is_some_and(Vec::is_empty)
}

fn kind(document: &Document, name: &str) -> SchemeKind {
    let schemes = document
        .member("components")
        .and_then(|it| it.get("securitySchemes"));
    let scheme = schemes.and_then(|it| it.get(name));
    let Some(Ok(scheme)) = scheme.map(|it| document.object(it)) else {
        return SchemeKind::Unknown;
    };
    let text = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "apiKey" => {
            let name = trimmed(text("name"), 200);
            match text("in") {
                _ if name.is_empty() => SchemeKind::Unknown,
                "header" => SchemeKind::HeaderKey { name },
                "query" => SchemeKind::QueryKey { name },
                "cookie" => SchemeKind::CookieKey { name },
                _ => SchemeKind::Unknown,
            }
        }
        "http" => match text("scheme").to_ascii_lowercase().as_str() {
            "bearer" => SchemeKind::Bearer,
            "basic" => SchemeKind::Basic,
            "" => SchemeKind::Unknown,
            scheme => SchemeKind::Http {
                scheme: trimmed(scheme, 100),
            },
        },
        "oauth2" => {
            let flow = scheme
                .get("flows")
                .and_then(|it| it.get("clientCredentials"));
            let token_url = flow
                .and_then(|it| it.get("tokenUrl"))
                .and_then(Value::as_str);
            SchemeKind::OAuth2 {
                token_url: token_url.map(|url| trimmed(url, 500)),
            }
        }
        "openIdConnect" => SchemeKind::OpenIdConnect {
            url: trimmed(text("openIdConnectUrl"), 500),
        },
        "mutualTLS" => SchemeKind::MutualTls,
        _ => SchemeKind::Unknown,
    }
}

/// The most ways, and schemes in one.
const MAX: usize = 20;
