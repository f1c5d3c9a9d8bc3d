//! Where a description says that its API is: a hint, for the configuration decides.

use serde_json::Value;
use url::Url;

use crate::rest::text::trimmed;

/// The addresses of a list of servers, with the usual values of their variables.
pub(super) fn of(servers: Option<&Value>) -> Vec<String> {
    let servers = servers.and_then(Value::as_array).into_iter().flatten();
    servers.filter_map(address).take(MAX_SERVERS).collect()
}

fn address(server: &Value) -> Option<String> {
    let mut url = trimmed(server.get("url")?.as_str()?, MAX_LENGTH);
    if let Some(Value::Object(variables)) = server.get("variables") {
        for (name, variable) in variables.iter().take(20) {
            if let Some(usual) = variable.get("default").and_then(Value::as_str) {
                url = url.replace(&format!("{{{name}}}"), &trimmed(usual, 100));
            }
        }
    }
    Some(trimmed(&url, MAX_LENGTH)).filter(|url| !url.is_empty())
}

/// What is to be said when none of `servers` is `base`.
pub(super) fn differ(servers: &[String], base: Option<&str>) -> Option<String> {
    let base = base?;
    let is_same = |server: &String| place(server, Some(base)) == place(base, None);
    if servers.is_empty() || servers.iter().any(is_same) {
        return None;
    }
    let there: Vec<&str> = servers.iter().take(3).map(String::as_str).collect();
    Some(format!(
        "the description says {}; requests go to {base}, as the configuration says",
        there.join(", ")
    ))
}

/// True when an operation with servers of its own is where the others are.
pub(super) fn are_among(own: &[String], all: &[String]) -> bool {
    let is_same = |one: &String| all.iter().any(|it| place(it, None) == place(one, Some(it)));
    own.is_empty() || all.is_empty() || own.iter().any(is_same)
}

/// An address in one form, against `base` when it is relative.
fn place(address: &str, base: Option<&str>) -> Option<String> {
    let parsed = match (Url::parse(address), base) {
        (Ok(url), _) => url,
        (Err(_), Some(base)) => Url::parse(base).ok()?.join(address).ok()?,
        (Err(_), None) => return Some(address.trim_end_matches('/').to_owned()),
    };
    let text = parsed.as_str();
    Some(text.trim_end_matches('/').to_owned())
}

/// The most servers that are looked at.
const MAX_SERVERS: usize = 20;

/// The longest address.
const MAX_LENGTH: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_of_the_configuration_wins_and_a_difference_is_told() {
        let servers = of(Some(&json!([
            { "url": "https://{region}.example.com/{v}", "variables": { "region": { "default": "eu" }, "v": { "default": "v1" } } },
            { "url": "/v2/" },
            { "url": 7 },
        ])));
        assert_eq!(servers, ["https://eu.example.com/v1", "/v2/"]);
        assert_eq!(differ(&servers, None), None);
        assert_eq!(differ(&[], Some("https://a.example")), None);
        assert_eq!(
            differ(&servers, Some("https://EU.example.com:443/v1/")),
            None
        );
        assert_eq!(differ(&servers, Some("https://other.example/v2")), None);
        let said = differ(&servers, Some("https://eu.example.com")).unwrap();
        assert!(said.contains("https://eu.example.com/v1, /v2/"), "{said}");
    }
}
