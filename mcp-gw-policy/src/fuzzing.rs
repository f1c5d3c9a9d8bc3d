//! What the fuzz targets of this repository call; for nobody else.
//!
//! A target is a function of any bytes. It fails by panicking: by an assertion that does not hold, or
//! by itself. `fuzz/` runs these functions for as long as you like; the tests here run them on the
//! seeds in `fuzz/seeds`, on changed seeds, and on noise.

use mcp_gw_core::{AccessRequest, Caller, Feature, Phase, RequestMeta, Transport};

use crate::config::{NamePattern, PolicyConfig, RuleConfig, RuleEffect};
use crate::engine::PolicyEngine;
use crate::uri;

/// A policy file: it is refused with faults that say where, or it decides, and reads back as it is
/// written.
///
/// # Panics
/// When that is not so.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let config = match PolicyConfig::from_yaml(&text) {
        Ok(config) => config,
        Err(faults) => {
            assert!(!faults.faults().is_empty(), "{text}");
            for fault in faults.faults() {
                assert!(!fault.to_string().contains('\n'), "{fault:?}");
            }
            return;
        }
    };
    let engine = PolicyEngine::compile(&config);
    let engine = engine.unwrap_or_else(|faults| unreachable!("{faults}"));
    let written = serde_json::to_value(&config).unwrap_or_default();
    let read = PolicyConfig::from_value(written);
    assert_eq!(read.as_ref(), Ok(&config));
    for name in [
        "get_time",
        "a",
        "",
        "file:///a/b",
        config.rules.first().map_or("x", |rule| &*rule.id),
    ] {
        decides(&engine, name);
    }
}

/// The index, the rules one by one, and a list must come to the same.
fn decides(engine: &PolicyEngine, name: &str) {
    let caller = Caller::local().with_roles(["reader"]);
    let meta = RequestMeta::new("1", Transport::InProcess);
    for (method, feature, phase) in [
        ("tools/call", Feature::Tool, Phase::Call),
        ("tools/list", Feature::Tool, Phase::List),
        ("resources/read", Feature::Resource, Phase::Call),
        (
            "resources/templates/list",
            Feature::ResourceTemplate,
            Phase::List,
        ),
        ("prompts/get", Feature::Prompt, Phase::Call),
    ] {
        let mut request = AccessRequest::new(&caller, &meta, method, feature, name);
        request.phase = phase;
        request.server = "github";
        let decision = engine.decide_now(&request);
        let told = engine.explain(&request);
        assert_eq!(decision.effect(), told.effect, "{told:?}");
        assert_eq!(decision.kind(), told.reason.as_str(), "{told:?}");
        let list = [request.clone(), request];
        assert!(
            engine
                .decide_all_now(&list)
                .iter()
                .all(|other| *other == decision)
        );
    }
}

/// A URI and a URI template: what is not refused has one spelling, in which nothing leads out of
/// where it seems to be, and no needless encoding gets past a rule.
///
/// # Panics
/// When that is not so.
pub fn uri(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for is_template in [false, true] {
        let Ok(checked) = uri::check(&text, is_template) else {
            continue;
        };
        let (normal, decoded) = checked.into_parts();
        let again = uri::check(&normal, is_template).map(uri::Checked::into_parts);
        let again = again.unwrap_or_else(|why| unreachable!("{normal}: {why}"));
        assert_eq!((&again.0, &again.1), (&normal, &decoded), "{text}");
        for reading in [Some(&*normal), decoded.as_deref()].into_iter().flatten() {
            assert!(!reading.chars().any(char::is_control), "{reading:?}");
            assert!(!reading.contains('\\') || is_template, "{reading:?}");
            let (_, rest) = reading.split_once(':').unwrap_or_default();
            assert!(
                is_template || !rest.split('/').any(|part| matches!(part, "." | "..")),
                "{reading:?}"
            );
        }
    }
    guarded(&text);
}

/// No spelling of a URI reads, decoded, as one that is denied, and is allowed.
fn guarded(text: &str) {
    let deny = RuleConfig::new("no", RuleEffect::Deny);
    let mut config = PolicyConfig::allow().with_rule(deny);
    for rule in &mut config.rules {
        rule.resources = Some(vec![
            NamePattern::from("file:///etc/*"),
            NamePattern::from("*:*secret*"),
            NamePattern::from("file:///srv/key"),
            NamePattern::from("https://intra.example.com/*"),
        ]);
    }
    let engine = PolicyEngine::compile(&config);
    let engine = engine.unwrap_or_else(|faults| unreachable!("{faults}"));
    let (caller, meta) = (Caller::local(), RequestMeta::new("1", Transport::InProcess));
    let request = AccessRequest::new(&caller, &meta, "resources/read", Feature::Resource, text);
    if !engine.decide_now(&request).is_allowed() {
        return;
    }
    let (mut bytes, mut from) = (Vec::new(), text.bytes());
    while let Some(byte) = from.next() {
        let mut digits = from.clone().take(2);
        let value = digits.try_fold(0, |value, digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        });
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(value) if byte == b'%' => {
                bytes.push(value);
                from.next();
                from.next();
            }
            _ => bytes.push(byte),
        }
    }
    let read = String::from_utf8_lossy(&bytes);
    let (scheme, rest) = read.split_once(':').unwrap_or_default();
    assert!(!rest.contains("secret"), "{text}");
    // As libraries read them: a file without its query and its slashes, a host behind any slashes.
    let path = rest.split('?').next().unwrap_or_default();
    let plain = path.trim_matches('/');
    assert!(
        !(scheme.eq_ignore_ascii_case("file") && plain == "srv/key"),
        "{text}"
    );
    let host = rest.trim_start_matches('/').split(['/', '?']).next();
    assert!(
        !(scheme.eq_ignore_ascii_case("https")
            && host.is_some_and(|host| host.eq_ignore_ascii_case("intra.example.com"))),
        "{text}"
    );
    assert!(
        !(scheme.eq_ignore_ascii_case("file") && rest.starts_with("///etc/")),
        "{text}"
    );
}

#[cfg(test)]
mod tests;
