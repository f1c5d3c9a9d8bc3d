//! What is secret in the `config` of Kong's plugins and vaults, by what members are called there.

use std::borrow::Cow;

use super::super::words::{is_secret_field, plain};

/// Keys that open nothing: they are public, or find something.
const HARMLESS_KEYS: [&str; 12] = [
    "publickey",
    "cachekey",
    "partitionkey",
    "primarykey",
    "foreignkey",
    "sortkey",
    "lookupkey",
    "hashkey",
    "mapkey",
    "messagekey",
    "limitkey",
    "counterkey",
];

/// What is said of one thing in parts: `header_value`, `introspection_headers_values`, `token_post_args_values`.
const PARTS: [&str; 8] = [
    "header",
    "headers",
    "param",
    "params",
    "arg",
    "args",
    "querystring",
    "authorization",
];

/// Whether a text is secret: `names` lead from the entity to it.
pub(super) fn is_secret(names: &[Cow<'_, str>], text: &str) -> bool {
    let Some((first, below)) = names.split_first() else {
        return false;
    };
    let Some((last, owners)) = below.split_last() else {
        return false;
    };
    if first != "config" {
        return false;
    }
    let name = plain(last);
    is_named(&name)
        || owners.iter().any(|owner| is_sent(&plain(owner)))
        || (is_in_jwk(owners) && is_private(last))
        || is_pair(&name, text)
}

fn is_named(name: &str) -> bool {
    let of_part = ["values", "value"].iter().find_map(|end| {
        let part = name.strip_suffix(end)?;
        Some(PARTS.iter().any(|known| part.ends_with(known)))
    });
    of_part == Some(true)
        || (name.ends_with("key") && !HARMLESS_KEYS.iter().any(|end| name.ends_with(end)))
        || ["secretid", "proxyauthorization", "serviceaccountjson"]
            .iter()
            .any(|end| name.ends_with(end))
        || name == "approleroleid"
}

/// Values by names that a plugin sends to somebody: which of them prove who sends them, nobody can know.
fn is_sent(owner: &str) -> bool {
    ["headers", "postargs", "queryargs", "bodyargs"]
        .iter()
        .any(|end| owner.ends_with(end))
}

/// `Name:value`, as transformers add it.
fn is_pair(name: &str, text: &str) -> bool {
    let is_list = matches!(name, "headers" | "querystring" | "body");
    let pair = text.split_once(':').filter(|_| is_list);
    pair.is_some_and(|(name, value)| {
        let name = plain(name);
        !value.trim().is_empty() && (is_secret_field(&name, value) || name.ends_with("key"))
    })
}

fn is_in_jwk(owners: &[Cow<'_, str>]) -> bool {
    owners.iter().any(|owner| {
        let owner = plain(owner);
        owner.ends_with("jwk") || owner.ends_with("jwks")
    })
}

/// The members of a JSON Web Key that are its private part, or the whole of a symmetric one (RFC 7518 §6).
pub(super) fn is_private(member: &str) -> bool {
    matches!(
        member,
        "d" | "k" | "p" | "q" | "dp" | "dq" | "qi" | "r" | "t"
    )
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::RawJson;

    use crate::tools::redact::{Place, clean};

    fn shown(text: &str) -> String {
        let raw = RawJson::parse(text.to_owned()).unwrap();
        clean(&raw, &Place::of_kong("plugins"), false)
            .raw
            .to_string()
    }

    #[test]
    fn secrets_of_plugins_and_vaults_are_hidden() {
        for config in [
            r#"{"approle_secret_id":"SECRET"}"#,
            r#"{"approle_role_id":"SECRET"}"#,
            r#"{"client_jwk":[{"kty":"RSA","d":"SECRET","p":"SECRET","q":"SECRET","dp":"SECRET","dq":"SECRET","qi":"SECRET"}]}"#,
            r#"{"client_jwk":[{"d":"SECRET","k":"SECRET","oth":[{"r":"SECRET"}]}]}"#,
            r#"{"keys":[{"kty":"oct","k":"SECRET"}],"x":{"kty":"RSA","oth":[{"r":"SECRET","t":"SECRET"}]}}"#,
            r#"{"introspection_headers_values":["SECRET"],"token_post_args_values":["SECRET"],"token_headers_values":["SECRET"]}"#,
            r#"{"auth":{"param_name":"k","param_value":"SECRET","header_value":"SECRET"}}"#,
            r#"{"targets":[{"auth":{"param_value":"SECRET"}}]}"#,
            r#"{"headers":{"X-Honeycomb-Team":"SECRET"}}"#,
            r#"{"headers":{"Splunk":"Splunk SECRET","X-More":["SECRET"]}}"#,
            r#"{"oauth":{"token_headers":{"a":"SECRET"},"token_post_args":{"b":"SECRET"}}}"#,
            r#"{"callouts":[{"request":{"headers":{"custom":{"X-Mine":"SECRET"}}}}]}"#,
            r#"{"content_safety_key":"SECRET","aws_key":"SECRET","aws_secret":"SECRET","key":"SECRET"}"#,
            r#"{"provision_key":"SECRET","eab_hmac_key":"SECRET","authorization_value":"SECRET"}"#,
            r#"{"http_proxy_authorization":"SECRET","gcp_service_account_json":"SECRET"}"#,
            r#"{"add":{"headers":["X-Api-Key:SECRET","apikey:SECRET"],"querystring":["api_key:SECRET"]}}"#,
        ] {
            let shown = shown(&format!(r#"{{"id":"1","name":"x","config":{config}}}"#));
            assert!(!shown.contains("SECRET"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            r#"{"id":"1","name":"key-auth","config":{"key_names":["apikey"],"key_in_header":true,"key_in_body":false}}"#,
            r#"{"id":"1","name":"cors","config":{"headers":["X-Auth-Token"],"exposed_headers":["X-Api-Key"],"origins":["*"]}}"#,
            r#"{"config":{"introspection_headers_names":["X-A"],"token_post_args_names":["b"],"upstream_headers_claims":["sub"]}}"#,
            r#"{"config":{"auth":{"param_name":"key","header_name":"Authorization","param_location":"query"}}}"#,
            r#"{"config":{"client_jwk":[{"kty":"RSA","n":"0vx7","e":"AQAB","kid":"1","alg":"RS256","use":"sig"}]}}"#,
            r#"{"config":{"client_id":["kong"],"header_names":["X-Y"],"public_key":"abc","cache_key":"x","key_prefix":"p"}}"#,
            r#"{"config":{"add":{"headers":["X-Env:prod"]},"remove":{"headers":["Authorization"]},"limit_by":"header"}}"#,
            r#"{"config":{"headers":{"X-Team":"{vault://env/team}"},"aws_key":"{vault://aws/key}"}}"#,
            r#"{"config":{"role_arn":"arn:aws:iam::1:role/x","p":"50","d":"7","address":"vault.example","auth_method":"approle"}}"#,
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
