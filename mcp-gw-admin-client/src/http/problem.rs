//! What an API says about an error, in the shapes that are seen.

mod faults;

use mcp_gw_core::{Members, RawJson};

use crate::http::error::one_line;

/// What is shorter is in too many texts by chance to be taken out of them.
const SHORTEST: usize = 6;

/// So much of what an API says is kept.
const LONGEST: usize = 1024;

/// An error is looked for in so many that are around it.
const LEVELS: usize = 2;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

impl Problem {
    /// Reads the body of an answer that is not a success. Never fails: what is not understood is quoted.
    pub(crate) fn read(body: &[u8], secret: Option<&str>) -> Self {
        let text = String::from_utf8_lossy(body);
        let found = RawJson::parse(body.to_vec())
            .ok()
            .and_then(|raw| Self::of_json(&raw, LEVELS))
            .unwrap_or_else(|| Self {
                code: None,
                message: plain(&text),
            });
        Self {
            code: found.code.map(|code| tidy(&code, secret)),
            message: tidy(&found.message, secret),
        }
    }

    /// What an answer with a status of success says of a failure all the same.
    pub(crate) fn within(body: &RawJson, secret: Option<&str>) -> Option<String> {
        let members = body.members().ok()?;
        let named = ["error_msg", "error"].iter();
        let said = named.filter_map(|name| Some(body.slice(members.get(name)?)));
        let mut said = said.filter_map(|said| match said.as_bytes().first()? {
            b'"' => said.decode_owned::<String>().ok(),
            b'{' => Some(Self::of_json(&said, LEVELS)?.message),
            _ => None,
        });
        let says = said.find(|says| !says.trim().is_empty());
        let is_refused = || {
            let success = members.get("success")?;
            (success.get() == "false").then(|| "success: false".to_owned())
        };
        says.or_else(is_refused).map(|says| tidy(&says, secret))
    }

    fn of_json(raw: &RawJson, levels: usize) -> Option<Self> {
        let members = raw.members().ok()?;
        let message = ["error_msg", "message", "error", "detail", "title"]
            .into_iter()
            .filter_map(|name| text_of(&members, name))
            .find(|message| !message.trim().is_empty());
        let code = ["error_code", "code", "err_code"]
            .into_iter()
            .find_map(|name| text_of(&members, name));
        let faults = faults::of(raw, &members);
        // A code alone is said by who has no words for it.
        if message.is_some() || !faults.is_empty() || (code.is_some() && members.len() <= 3) {
            let mut message = message.unwrap_or_default();
            if !faults.is_empty() {
                let gap = if message.is_empty() { "" } else { ": " };
                message.push_str(gap);
                message.push_str(&faults);
            }
            // What the provider finds its own records by.
            if let Some(trace) = text_of(&members, "instance") {
                message.push_str(" (");
                message.push_str(&trace);
                message.push(')');
            }
            return Some(Self { code, message });
        }
        let inner = members.get("error").filter(|_| levels > 0)?;
        Self::of_json(&raw.slice(inner), levels - 1)
    }
}

/// A string, or a number as text.
fn text_of(members: &Members<'_>, name: &str) -> Option<String> {
    let raw = members.get(name)?.get();
    if raw.starts_with('"') {
        serde_json::from_str(raw).ok()
    } else {
        let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        is_number.then(|| raw.to_owned())
    }
}

/// What stands for a page for people.
pub(crate) const HTML: &str = "an HTML page instead of JSON";

/// A page for people says nothing that a program could use.
fn plain(text: &str) -> String {
    let head = text.trim_start();
    if head.starts_with('<') {
        HTML.to_owned()
    } else {
        head.to_owned()
    }
}

fn tidy(text: &str, secret: Option<&str>) -> String {
    one_line(&scrub(text, secret), LONGEST)
}

/// The text without the credential that was sent.
pub(crate) fn scrub(text: &str, secret: Option<&str>) -> String {
    // The scheme before a token is no secret, and need not be repeated with it.
    let secret = secret.map(|secret| secret.strip_prefix("Bearer ").unwrap_or(secret));
    let Some(secret) = secret.filter(|secret| secret.len() >= SHORTEST) else {
        return text.to_owned();
    };
    let clean = text.replace(secret, "[redacted]");
    // Within JSON it may be written with escapes.
    let escaped = RawJson::string(secret);
    let escaped = escaped.as_str();
    let escaped = escaped
        .get(1..escaped.len().saturating_sub(1))
        .unwrap_or(secret);
    if escaped == secret {
        clean
    } else {
        clean.replace(escaped, "[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Problem {
        Problem::read(text.as_bytes(), Some("hidden"))
    }

    #[test]
    fn the_shapes_that_are_seen_are_understood() {
        for (text, code, message) in [
            (r#"{"error_msg":"no such role"}"#, None, "no such role"),
            (r#"{"message":"no"}"#, None, "no"),
            (
                r#"{"error":{"code":"E7","message":"no"}}"#,
                Some("E7"),
                "no",
            ),
            (r#"{"error_msg":"no","code":40401}"#, Some("40401"), "no"),
            (
                "<!doctype html><h1>hi",
                None,
                "an HTML page instead of JSON",
            ),
            ("upstream\r\nis gone", None, "upstream  is gone"),
            (r#"{"error_msg":"#, None, r#"{"error_msg":"#),
            ("", None, ""),
            (
                r#"{"status":403,"title":"Permission denied","instance":"konnect:trace:7","detail":"no hidden right"}"#,
                None,
                "no [redacted] right (konnect:trace:7)",
            ),
            (
                r#"{"status":400,"title":"Invalid Request","invalid_parameters":[{"field":"size","reason":"too large","rule":"max","choices":[1,2]},{"x":1},7]}"#,
                None,
                "Invalid Request: size: too large, max, one of 1, 2",
            ),
            (
                r#"{"code":3,"message":"validation error","details":[{"@type":"x","field":"host","messages":["required","bad"]}]}"#,
                Some("3"),
                "validation error: host: required, bad",
            ),
            (r#"{"code":5,"message":"","details":[]}"#, Some("5"), ""),
            (
                r#"{"code":2,"name":"schema violation","message":"schema violation","fields":{"host":"required"}}"#,
                Some("2"),
                "schema violation: host: required",
            ),
        ] {
            let problem = read(text);
            assert_eq!(problem.code.as_deref(), code, "{text}");
            assert_eq!(problem.message, message);
        }
    }

    #[test]
    fn a_failure_in_an_answer_of_success_is_seen() {
        let within = |text: &str| Problem::within(&RawJson::parse(text.to_owned()).unwrap(), None);
        for (text, says) in [
            (r#"{"error_msg":"permission denied"}"#, "permission denied"),
            (r#"{"value":{},"error":{"message":"no"}}"#, "no"),
            (r#"{"success":false}"#, "success: false"),
        ] {
            assert_eq!(within(text).as_deref(), Some(says), "{text}");
        }
        for text in [
            r#"{"error_msg":"","value":{}}"#,
            r#"{"error_msg":null,"error":false}"#,
            r#"{"message":"done"}"#,
            "[]",
        ] {
            assert_eq!(within(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_in_errors_is_quoted_after_a_while() {
        let deep = format!(
            "{}1{}",
            r#"{"error":{"x":"#.repeat(4_000),
            "}}".repeat(4_000)
        );
        assert!(read(&deep).message.starts_with(r#"{"error":{"x":"#));
        let two = r#"{"error":{"error":{"message":"no"}}}"#;
        assert_eq!(read(two).message, "no");
        let three = r#"{"error":{"error":{"error":{"message":"no"}}}}"#;
        assert_eq!(read(three).message, three);
    }

    #[test]
    fn neither_credentials_nor_books_are_repeated() {
        let problem = read(r#"{"error_msg":"token hidden is unknown"}"#);
        assert_eq!(problem.message, "token [redacted] is unknown");
        let long = read(&"x".repeat(100_000));
        assert_eq!(long.message.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_credential_is_found_with_and_without_escapes() {
        let secret = Some("a\\b\"c1234");
        assert_eq!(scrub("x a\\b\"c1234 y", secret), "x [redacted] y");
        assert_eq!(scrub(r#"["a\\b\"c1234"]"#, secret), r#"["[redacted]"]"#);
        assert_eq!(scrub("1 and 1", Some("1")), "1 and 1");
        assert_eq!(scrub("x", None), "x");
        assert_eq!(scrub("kpat_1234!", Some("Bearer kpat_1234")), "[redacted]!");
    }
}
