//! Which web sites `cors` lets call with the cookies of their visitors.

use serde_json::Value;

/// What the settings of `cors` say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origins {
    /// Only those that are named, or none with cookies.
    Named,
    Unsure(&'static str),
    Any {
        member: &'static str,
        says: &'static str,
    },
}

pub(super) fn judged(cors: &Value) -> Origins {
    if !cors.is_object() && *cors != Value::Array(Vec::new()) {
        return Origins::Unsure("the settings of cors cannot be read");
    }
    match cors.get("allow_credential") {
        None | Some(Value::Null | Value::Bool(false)) => return Origins::Named,
        Some(Value::Bool(true)) => {}
        Some(_) => return Origins::Unsure("allow_credential of cors cannot be read"),
    }
    let named = match cors.get("allow_origins") {
        None | Some(Value::Null) => "*",
        Some(Value::String(named)) => named,
        Some(_) => return Origins::Unsure("allow_origins of cors cannot be read"),
    };
    for origin in named.split(',').map(str::trim) {
        // `**` is how all origins are written when cookies go along; a page within a sandbox is from `null`.
        if matches!(origin, "*" | "**") {
            return Origins::Any {
                member: "allow_origins",
                says: "all origins are allowed, with credentials",
            };
        }
        if origin.eq_ignore_ascii_case("null") {
            return Origins::Any {
                member: "allow_origins",
                says: "the origin null is allowed, with credentials: any page can have it",
            };
        }
    }
    by_pattern(cors)
}

fn by_pattern(cors: &Value) -> Origins {
    let mut all = Origins::Named;
    match cors.get("allow_origins_by_regex") {
        None | Some(Value::Null) => {}
        Some(Value::Array(patterns)) => {
            for pattern in patterns {
                let Some(pattern) = pattern.as_str() else {
                    all = Origins::Unsure("allow_origins_by_regex of cors cannot be read");
                    continue;
                };
                if is_any(pattern) {
                    return Origins::Any {
                        member: "allow_origins_by_regex",
                        says: "a pattern that fits all origins, with credentials",
                    };
                }
                if !is_of_one_domain(pattern) {
                    all = Origins::Unsure("it cannot be told which origins a pattern fits");
                }
            }
        }
        Some(_) => return Origins::Unsure("allow_origins_by_regex of cors cannot be read"),
    }
    let by_metadata = cors.get("allow_origins_by_metadata");
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if !by_metadata.is_none_or(is_empty) {
        return Origins::Unsure("some origins are kept elsewhere (allow_origins_by_metadata)");
    }
    all
}

/// Fits whatever an origin can be.
fn is_any(pattern: &str) -> bool {
    let plain: String = pattern
        .chars()
        .filter(|c| !matches!(c, '^' | '$' | '(' | ')'))
        .collect();
    let plain = plain.replace("\\/", "/");
    let plain = plain.strip_prefix("?:").unwrap_or(&plain);
    let rest = [
        "https?://",
        "http?s://",
        "https://",
        "http://",
        "https?:",
        "https?",
        "https",
        "http",
    ]
    .iter()
    .find_map(|scheme| plain.strip_prefix(scheme))
    .unwrap_or(plain);
    let rest = rest.strip_prefix("?:").unwrap_or(rest);
    // Without an end a scheme alone, or nothing, is where any origin begins.
    let is_open = rest.is_empty() && !pattern.ends_with('$');
    is_open
        || matches!(
            rest,
            "." | ".*"
                | ".+"
                | ".*?"
                | ".+?"
                | ".{0,}"
                | ".{1,}"
                | "[\\s\\S]*"
                | "\\S*"
                | "\\S+"
                | "[/]+"
                | "[/]*"
        )
}

/// Ends with the name of a domain of two labels at least, which no other name can end with.
fn is_of_one_domain(pattern: &str) -> bool {
    let whole = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix('$'));
    let Some(whole) = whole.filter(|whole| !whole.contains('|')) else {
        return false;
    };
    let is_literal = |c: char| c.is_ascii_alphanumeric() || "-:/\u{1}".contains(c);
    // Escaped dots are points; all other escapes are not looked into.
    let marked = whole.replace("\\.", "\u{1}").replace("\\/", "/");
    let tail_at = marked
        .char_indices()
        .rev()
        .find(|(_, c)| !is_literal(*c))
        .map_or(0, |(at, c)| at + c.len_utf8());
    let tail = marked.get(tail_at..).unwrap_or_default();
    let name = match tail.rfind("//") {
        Some(at) => tail.get(at + 2..),
        None => tail.strip_prefix('\u{1}'),
    };
    let host = name.and_then(|name| name.split(':').next());
    host.is_some_and(|host| {
        let labels: Vec<&str> = host.split('\u{1}').collect();
        labels.len() >= 2 && labels.iter().all(|label| !label.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_judged_only_where_that_is_sure() {
        for pattern in [
            ".*",
            "^.*$",
            "",
            "^",
            "^https?://.*$",
            "^https?://",
            "http",
            "(.*)",
            "^https:\\/\\/.+$",
            "[^/]+",
        ] {
            assert!(is_any(pattern), "{pattern}");
        }
        for pattern in [
            "^https://a\\.example$",
            "^https?://.*\\.example\\.com$",
            "^https://[a-z0-9-]+\\.example\\.com:8443$",
            "^https:\\/\\/app\\.example\\.com$",
        ] {
            assert!(!is_any(pattern) && is_of_one_domain(pattern), "{pattern}");
        }
        for pattern in [
            "^https://.*example\\.com$",
            "https://a\\.example\\.com$",
            "^https://a\\.example\\.com",
            "^https://a\\.example\\.com|.*$",
            "^https://.*\\.com$",
            "^https://a.example.com$",
            "^https://\\S+$",
            "^[\\w:/.-]+$",
            "example",
        ] {
            assert!(!is_of_one_domain(pattern), "{pattern}");
        }
    }
}
