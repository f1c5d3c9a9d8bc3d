//! Secrets in what an API answers are not shown to a model that did not ask for them.

use std::borrow::Cow;

use mcp_gw_core::{JsonError, ObjectWriter, RawJson};
use serde_json::value::RawValue;

/// What stands in the place of a secret. A body that holds it is not sent: it would overwrite the secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// The value without secrets, and how many were taken out. What holds none stays as it is, byte for byte.
///
/// # Errors
/// When an object says something twice: what was looked at would not be what is shown.
pub(crate) fn redact(raw: &RawJson) -> Result<(RawJson, usize), JsonError> {
    let mut count = 0;
    let shown = walk(raw, &Around::default(), &mut count)?;
    Ok((shown.unwrap_or_else(|| raw.clone()), count))
}

/// Whether a body holds the mark of a secret that was taken out.
pub(crate) fn holds_mark(raw: &RawJson) -> bool {
    raw.as_str().contains(REDACTED)
}

/// What is around a value, as far as it decides whether that is a secret.
#[derive(Default, Clone, Copy)]
struct Around<'a> {
    /// The name of the member that the object is in.
    owner: &'a str,
    /// The name of the member that the value is.
    name: &'a str,
    /// A certificate is beside it.
    has_certificate: bool,
    /// Everything in it is secret.
    is_secret: bool,
}

/// The changed value, or `None` when nothing had to be changed.
fn walk(
    raw: &RawJson,
    around: &Around<'_>,
    count: &mut usize,
) -> Result<Option<RawJson>, JsonError> {
    match raw.as_bytes().first() {
        Some(b'{') => object(raw, around, count),
        Some(b'[') => array(raw, around, count),
        Some(b'"') => {
            let text: String = raw.decode_owned()?;
            if !is_secret(&text, around) {
                return Ok(None);
            }
            *count += 1;
            Ok(Some(RawJson::string(REDACTED)))
        }
        _ => Ok(None),
    }
}

fn object(
    raw: &RawJson,
    around: &Around<'_>,
    count: &mut usize,
) -> Result<Option<RawJson>, JsonError> {
    let members = raw.members()?;
    let has_certificate = ["cert", "certs", "certificate", "snis"]
        .iter()
        .any(|name| members.get(name).is_some());
    let before = *count;
    let mut writer = ObjectWriter::with_capacity(raw.len());
    for (name, value) in members.iter() {
        let inner = raw.slice(value);
        let plain = plain(name);
        let below = Around {
            owner: around.name,
            name,
            has_certificate,
            is_secret: around.is_secret || is_secret_object(&plain),
        };
        writer = match walk(&inner, &below, count)? {
            Some(changed) => writer.raw(name, &changed),
            None => writer.raw_value(name, value),
        };
    }
    Ok((*count > before).then(|| writer.finish()))
}

fn array(
    raw: &RawJson,
    around: &Around<'_>,
    count: &mut usize,
) -> Result<Option<RawJson>, JsonError> {
    let items: Vec<&RawValue> = raw.decode()?;
    let before = *count;
    let mut shown = Vec::with_capacity(items.len());
    for item in items {
        let inner = raw.slice(item);
        let changed = walk(&inner, around, count)?;
        shown.push(changed.unwrap_or(inner));
    }
    if *count == before {
        return Ok(None);
    }
    RawJson::from_serialize(&shown).map(Some)
}

/// A name in small letters without `_` and `-`.
fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect::<String>()
        .into()
}

/// Objects in which every text is secret: the key of a gateway group, what a request proves itself with.
fn is_secret_object(name: &str) -> bool {
    matches!(name, "adminkey" | "basicauthcredentials")
}

fn is_secret(text: &str, around: &Around<'_>) -> bool {
    if text.is_empty() || text == REDACTED {
        return false;
    }
    if text.contains("PRIVATE KEY-----") {
        return true;
    }
    // A reference says where the secret is, not what it is.
    if text.starts_with("$secret://") || text.to_ascii_lowercase().starts_with("$env://") {
        return false;
    }
    around.is_secret || is_secret_name(around) || has_credentials(text)
}

fn is_secret_name(around: &Around<'_>) -> bool {
    const ENDS: [&str; 16] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "privatekey",
        "secretkey",
        "accesskey",
        "apikey",
        "clientkey",
        "sharedkey",
        "signingkey",
        "encryptionkey",
        "adminkey",
        "licensekey",
        "credentials",
    ];
    const WHOLE: [&str; 9] = [
        "authorization",
        "proxyauthorization",
        "cookie",
        "setcookie",
        "pass",
        "pwd",
        "accesskeyid",
        "secretaccesskey",
        "keys",
    ];
    let name = plain(around.name);
    if WHOLE.contains(&&*name) {
        return name != "keys" || around.has_certificate;
    }
    if ENDS.iter().any(|end| name.ends_with(end)) {
        return true;
    }
    // `key` is the name of a variable to most plugins.
    name == "key" && (around.has_certificate || plain(around.owner) == "keyauth")
}

/// A URL with a password in it.
fn has_credentials(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn shown(text: &str) -> (String, usize) {
        let (raw, count) = redact(&RawJson::parse(text.to_owned()).unwrap()).unwrap();
        (raw.to_string(), count)
    }

    #[test]
    fn secrets_are_taken_out_where_apis_have_them() {
        for text in [
            r#"{"value":{"cert":"-----BEGIN CERTIFICATE-----","key":"SECRET"}}"#,
            r#"{"snis":["a"],"key":"SECRET"}"#,
            r#"{"cert":"c","keys":["SECRET","SECRET"]}"#,
            r#"{"plugins":{"key-auth":{"key":"SECRET"}}}"#,
            r#"{"plugins":{"jwt-auth":{"key":"user","secret":"SECRET"}}}"#,
            r#"{"plugins":{"basic-auth":{"username":"u","password":"SECRET"}}}"#,
            r#"{"plugins":{"hmac-auth":{"secret_key":"SECRET"}}}"#,
            r#"{"plugins":{"openid-connect":{"client_secret":"SECRET"}}}"#,
            r#"{"plugins":{"limit-count":{"key":"remote_addr","redis_password":"SECRET"}}}"#,
            r#"{"plugins":{"ai-proxy":{"auth":{"header":{"Authorization":"SECRET"}}}}}"#,
            r#"{"plugins":{"x":{"uri":"redis://u:SECRET@host/0"}}}"#,
            r#"{"list":[{"token":"SECRET"},{"access_token":"SECRET"}]}"#,
            r#"{"value":{"admin_key":{"id":"SECRET","key":"SECRET"}}}"#,
            r#"{"anything":"x -----BEGIN RSA PRIVATE KEY-----SECRET"}"#,
            r#"{"aws":{"access_key_id":"SECRET","secret_access_key":"SECRET"}}"#,
        ] {
            let (shown, count) = shown(text);
            assert!(!shown.contains("SECRET"), "{shown}");
            assert!(count > 0 && shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_byte_for_byte() {
        for text in [
            r#"{ "plugins" : {"limit-count":{"key":"remote_addr","count":1.50}} }"#,
            r#"{"conditions":{"x":{"type":"MatchLabel","options":{"key":"env","operator":"present"}}}}"#,
            r#"{"upstream":{"type":"chash","key":"$host"}}"#,
            r#"{"plugins":{"key-auth":{"header":"apikey","key":"$secret://vault/1/k"}}}"#,
            r#"{"plugins":{"jwt-auth":{"key":"user"}},"token_ttl":5,"url":"https://a/b@c:d"}"#,
            r#"{"secret":null,"password":"","token":7}"#,
            "[]",
            "7",
        ] {
            assert_eq!(shown(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn only_the_secret_is_changed() {
        let (shown, count) =
            shown(r#"{"n":1.50,"plugins":{"key-auth":{"key":"k"}},"z":[1,{"a":2}]}"#);
        assert_eq!(
            shown,
            r#"{"n":1.50,"plugins":{"key-auth":{"key":"[redacted]"}},"z":[1,{"a":2}]}"#
        );
        assert_eq!(count, 1);
        assert!(redact(&RawJson::parse(r#"{"a":1,"a":2}"#).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_twice_is_once(value in tree()) {
            let raw = RawJson::from_serialize(&value).unwrap();
            let (once, _) = redact(&raw).unwrap();
            let (twice, more) = redact(&once).unwrap();
            prop_assert_eq!(&once, &twice);
            prop_assert_eq!(more, 0);
            let after: Value = once.to_value().unwrap();
            prop_assert!(same_shape(&value, &after));
        }
    }

    fn same_shape(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| same_shape(a, b))
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
            }
            (Value::String(_), Value::String(_)) => true,
            (a, b) => a == b,
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z:/@$]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let name = "[a-c]|key|cert|password|admin_key|key-auth";
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
