//! Which revision a server speaks, and how the gateway finds out.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::{BackendError, CacheHint, JsonText, RawJson, code, jsonrpc};
use serde::Deserialize;

use crate::settings::Settings;

/// The revision without handshake.
pub(crate) const MODERN: &str = "2026-07-28";

/// The revision offered in a handshake.
pub(crate) const OFFERED: &str = "2025-11-25";

/// Revisions with a handshake that are spoken, newest first. The last is older than what clients
/// of the gateway may speak; its servers are served as far as they go.
const LEGACY: [&str; 4] = [OFFERED, "2025-06-18", "2025-03-26", "2024-11-05"];

/// How a server wants to be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: no handshake, every request stands for itself.
    Modern,
    /// Up to 2025-11-25: `initialize` first.
    Legacy,
}

/// What a server said of itself when it was met.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) era: Era,
    /// The revision that is spoken with it.
    pub(crate) version: &'static str,
    pub(crate) capabilities: Option<RawJson>,
    pub(crate) instructions: Option<String>,
    /// What it said about keeping this.
    pub(crate) hint: Option<CacheHint>,
    /// An offer was made of it; the next one looks again.
    pub(crate) is_used: AtomicBool,
}

impl Hello {
    /// True when the server has this capability.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.capabilities
            .as_ref()
            .and_then(|capabilities| capabilities.member(name).ok()?)
            .is_some_and(|capability| !capability.is_null())
    }

    pub(crate) fn log(&self, settings: &Settings) {
        tracing::debug!(
            target: "mcp_gw::upstream",
            server = &*settings.server,
            revision = self.version,
            "the server was met"
        );
    }
}

/// What a server said of itself when it was last met, kept while there is no connection to it.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<Arc<Hello>>>);

impl Known {
    pub(crate) fn learn(&self, hello: &Arc<Hello>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(hello));
    }

    pub(crate) fn get(&self) -> Option<Arc<Hello>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What the answer to the probe means.
#[derive(Debug)]
pub(crate) enum Probe {
    Modern(Hello),
    /// Say `initialize`.
    Legacy,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovered<'a> {
    supported_versions: Option<Vec<String>>,
    #[serde(borrow)]
    capabilities: Option<JsonText<'a>>,
    #[serde(borrow)]
    instructions: Option<JsonText<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialized<'a> {
    protocol_version: String,
    #[serde(borrow)]
    capabilities: Option<JsonText<'a>>,
    #[serde(borrow)]
    instructions: Option<JsonText<'a>>,
}

fn text(value: Option<JsonText<'_>>) -> Option<String> {
    value.and_then(|value| serde_json::from_str(value.get()).ok())
}

fn object(parent: &RawJson, value: Option<JsonText<'_>>) -> Option<RawJson> {
    value
        .map(|value| RawJson::within(&parent.to_bytes(), value).detached())
        .filter(RawJson::is_object)
}

/// Reads the result of `server/discover`.
pub(crate) fn read_discover(settings: &Settings, result: &RawJson) -> Result<Probe, BackendError> {
    // A server that answers anything to a method it does not know is an old one.
    let Ok(found) = result.decode::<Discovered<'_>>() else {
        return Ok(Probe::Legacy);
    };
    let Some(versions) = found.supported_versions else {
        return Ok(Probe::Legacy);
    };
    if versions.iter().any(|version| version == MODERN) {
        return Ok(Probe::Modern(Hello {
            era: Era::Modern,
            version: MODERN,
            capabilities: object(result, found.capabilities),
            instructions: text(found.instructions),
            hint: CacheHint::read(result),
            is_used: AtomicBool::new(false),
        }));
    }
    no_common(settings, &versions)
}

/// Reads the error that a server answered to `server/discover`.
pub(crate) fn read_probe_error(settings: &Settings, error: RawJson) -> Result<Probe, BackendError> {
    match rpc_code(&error) {
        Some(code::UNSUPPORTED_PROTOCOL_VERSION) => {
            no_common(settings, &supported(&error).unwrap_or_default())
        }
        Some(code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY) => {
            Err(BackendError::Rpc(error))
        }
        _ => Ok(Probe::Legacy),
    }
}

fn no_common(settings: &Settings, versions: &[String]) -> Result<Probe, BackendError> {
    if versions
        .iter()
        .any(|version| known_legacy(version).is_some())
    {
        return Ok(Probe::Legacy);
    }
    let shown: Vec<String> = versions
        .iter()
        .take(8)
        .map(|version| version.chars().take(16).collect())
        .collect();
    Err(settings.unavailable(format!(
        "it speaks none of the revisions that the gateway speaks; it offers {shown:?}"
    )))
}

/// Reads the result of `initialize`.
pub(crate) fn read_initialize(
    settings: &Settings,
    result: &RawJson,
) -> Result<Hello, BackendError> {
    let found: Initialized<'_> = result
        .decode()
        .map_err(|error| settings.protocol(format!("the result of `initialize`: {error}")))?;
    let Some(version) = known_legacy(&found.protocol_version) else {
        let shown: String = found.protocol_version.chars().take(16).collect();
        return Err(settings.protocol(format!(
            "it answers `initialize` with revision {shown:?}, which the gateway does not speak"
        )));
    };
    Ok(Hello {
        era: Era::Legacy,
        version,
        capabilities: object(result, found.capabilities),
        instructions: text(found.instructions),
        hint: None,
        is_used: AtomicBool::new(false),
    })
}

fn known_legacy(version: &str) -> Option<&'static str> {
    LEGACY.into_iter().find(|known| *known == version)
}

/// The code of an error object.
pub(crate) fn rpc_code(error: &RawJson) -> Option<i64> {
    error.member("code").ok()??.decode_owned().ok()
}

/// What is wrong with an error object (JSON-RPC 2.0 §5.1). One that is in order is handed to clients as
/// it is, so no other may pass.
pub(crate) fn error_fault(error: &RawJson) -> Option<&'static str> {
    // What every client can hold: integers up to 2^53 - 1.
    const GREATEST: u64 = (1 << 53) - 1;
    if !error.is_object() {
        return Some("its error is not an object");
    }
    let Ok(members) = error.members() else {
        return Some("its error has a member twice");
    };
    let code = members.get("code").map(|code| code.get().parse::<i64>());
    if !matches!(code, Some(Ok(code)) if code.unsigned_abs() <= GREATEST) {
        return Some("its error has no code, or one that is not a fit integer");
    }
    if members.get("message").and_then(jsonrpc::as_str).is_none() {
        return Some("its error has no message, or one that is not a string");
    }
    None
}

fn supported(error: &RawJson) -> Option<Vec<String>> {
    error
        .member("data")
        .ok()??
        .member("supported")
        .ok()??
        .decode_owned()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_three_codes_of_the_new_revision_keep_the_gateway_from_falling_back() {
        let settings = Settings::for_test();
        for text in [
            r#"{"code":-32601,"message":"m"}"#,
            r#"{"code":-32000}"#,
            "{}",
            r#"{"code":-32022,"data":{"supported":["2025-06-18"]}}"#,
        ] {
            assert!(
                matches!(read_probe_error(&settings, raw(text)), Ok(Probe::Legacy)),
                "{text}"
            );
        }
        assert!(matches!(
            read_probe_error(&settings, raw(r#"{"code":-32021}"#)),
            Err(BackendError::Rpc(_))
        ));
        assert!(matches!(
            read_probe_error(
                &settings,
                raw(r#"{"code":-32022,"data":{"supported":["2030-01-01"]}}"#)
            ),
            Err(BackendError::Unavailable { .. })
        ));
    }

    #[test]
    fn only_errors_as_json_rpc_means_them_are_in_order() {
        for text in [
            r#"{"code":-32000,"message":"m"}"#,
            r#"{"message":"\u00e9","x":[1],"code":9007199254740991,"data":{"n":1.0}}"#,
        ] {
            assert_eq!(error_fault(&raw(text)), None, "{text}");
        }
        for text in [
            "{}",
            "null",
            "[]",
            r#""no""#,
            r#"{"code":1}"#,
            r#"{"message":"m"}"#,
            r#"{"code":1.5,"message":"m"}"#,
            r#"{"code":1.0,"message":"m"}"#,
            r#"{"code":1e3,"message":"m"}"#,
            r#"{"code":"1","message":"m"}"#,
            r#"{"code":null,"message":"m"}"#,
            r#"{"code":9007199254740992,"message":"m"}"#,
            r#"{"code":99999999999999999999999,"message":"m"}"#,
            r#"{"code":1,"message":5}"#,
            r#"{"code":1,"message":null}"#,
            r#"{"code":1,"message":"\ud800"}"#,
            r#"{"code":1,"code":2,"message":"m"}"#,
            r#"{"code":1,"message":"m","x":1,"\u0078":2}"#,
        ] {
            assert!(error_fault(&raw(text)).is_some(), "{text}");
        }
    }

    #[test]
    fn a_discover_result_without_versions_is_not_one() {
        let settings = Settings::for_test();
        for (text, modern) in [
            (
                r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#,
                true,
            ),
            (r#"{"supportedVersions":["2025-11-25"]}"#, false),
            ("{}", false),
            ("null", false),
        ] {
            let probe = read_discover(&settings, &raw(text)).unwrap();
            assert_eq!(matches!(probe, Probe::Modern(_)), modern, "{text}");
        }
    }

    #[test]
    fn an_unknown_revision_in_the_handshake_is_refused() {
        let settings = Settings::for_test();
        let hello = read_initialize(&settings, &raw(r#"{"protocolVersion":"2025-03-26"}"#));
        assert_eq!(hello.unwrap().version, "2025-03-26");
        let odd = raw(r#"{"protocolVersion":"2026-07-28"}"#);
        assert!(matches!(
            read_initialize(&settings, &odd),
            Err(BackendError::Protocol { .. })
        ));
    }
}
