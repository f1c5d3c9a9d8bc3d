//! Secrets in texts: JSON in them, addresses, headers, and what is secret as a whole.

mod scan;

use std::borrow::Cow;

use mcp_gw_core::RawJson;

use super::names::Place;
use super::words::{is_count, is_secret_field, is_secret_parameter, plain};
use super::{LEVELS, REDACTED, clean_within};
use scan::Scan;

/// A reference says where a secret is, not what it is.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("$secret://")
        || (text.starts_with("{vault://") && text.ends_with('}'))
        || text
            .get(..7)
            .is_some_and(|head| head.eq_ignore_ascii_case("$env://"))
}

/// The text without secrets.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    hidden(text, false, LEVELS, Place::default)
        .map_or(Cow::Borrowed(text), |(shown, _)| Cow::Owned(shown))
}

/// Whether a header is secret.
pub(crate) fn is_secret_header(name: &str, value: &str) -> bool {
    let name = plain(name);
    let is_challenge = matches!(&*name, "wwwauthenticate" | "proxyauthenticate");
    is_secret_field(&name, value)
        || (!is_challenge && hidden(value, true, LEVELS, Place::default).is_some())
}

/// The text without secrets, and how many there were; `None` when there are none.
pub(super) fn hidden(
    text: &str,
    is_header: bool,
    levels: usize,
    place: impl FnOnce() -> Place,
) -> Option<(String, usize)> {
    if levels > 0
        && text.trim_start().starts_with(['{', '[', '"'])
        && let Ok(raw) = RawJson::parse(text.to_owned())
    {
        let (shown, count) = clean_within(&raw, &place(), levels - 1)?;
        return Some((shown.to_string(), count));
    }
    if text.contains("PRIVATE KEY-----") || is_secret_value(text, is_header) {
        return Some((REDACTED.to_owned(), 1));
    }
    let found = Scan::new(text, levels).run();
    // What is percent-encoded is a whole to who reads it.
    found.or_else(|| {
        let plain = percent_decoded(text)?;
        let is_secret = Scan::new(&plain, levels).run().is_some();
        is_secret.then(|| (REDACTED.to_owned(), 1))
    })
}

/// The text without percent-encoding, where quotes or what separates names from values may be encoded.
fn percent_decoded(text: &str) -> Option<String> {
    if !["%22", "%3a", "%3A", "%3d", "%3D"]
        .iter()
        .any(|escape| text.contains(escape))
    {
        return None;
    }
    let query = format!("x={}", text.replace('&', "%26").replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned())
}

/// What is secret as a whole, whatever its name is.
fn is_secret_value(text: &str, is_header: bool) -> bool {
    if text.contains(char::is_whitespace) {
        return is_header && is_proof(text);
    }
    has_password(text) || has_secret_parameter(text) || is_webhook(text)
}

/// The value of a header that proves who sends it.
fn is_proof(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(' ') else {
        return false;
    };
    is_scheme(scheme) && !rest.contains([' ', '"', '$'])
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "apikey", "token"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

/// An address with a password in it.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return is_user_at_host(text);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| is_open(word)))
}

/// `user:password@host`.
fn is_user_at_host(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else {
        return false;
    };
    let Some((name, password)) = user.split_once(':') else {
        return false;
    };
    let host = host.split(['/', '?', ':']).next().unwrap_or_default();
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let is_other = ["mailto", "sip", "sips", "acct", "xmpp", "arn", "urn"].contains(&name);
    is_name(name) && is_name(host) && !is_other && !password.contains('/') && is_open(password)
}

/// A secret that is there, and not taken out already or filled in later.
fn is_open(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$') && !value.starts_with("[redacted")
}

/// A URL that whoever has it may use.
fn has_secret_parameter(text: &str) -> bool {
    let Some((_, query)) = text.split_once('?') else {
        return false;
    };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        is_open(value) && is_secret_parameter(&plain(name)) && !is_count(&plain(name), value)
    })
}

fn is_webhook(text: &str) -> bool {
    text.contains("://hooks.slack.com/")
        || text.contains("/api/webhooks/")
        || text.contains("webhook.office.com/")
}

#[cfg(test)]
mod tests;
