//! Which URIs of resources, and templates of them, can be shown.

use crate::tool::SpecError;

/// Checks a URI, or a template, that is going to be shown.
///
/// # Errors
/// When it is longer than 8 KiB, holds a control character, or has no scheme.
pub(crate) fn check_uri(uri: &str, is_template: bool) -> Result<(), SpecError> {
    let reason = if uri.len() > 8 * 1024 {
        "it is longer than 8 KiB"
    } else if uri.chars().any(char::is_control) {
        "it holds a control character"
    } else if !may_have_scheme(uri, is_template) {
        "it has no scheme, such as `file:`"
    } else {
        return Ok(());
    };
    Err(SpecError::Uri {
        uri: uri.chars().take(64).collect(),
        reason,
    })
}

/// True when a URI has a scheme (RFC 3986 §3.1), or the expansions of a template can have one. One
/// that ends in `+` is no scheme but what the gateway writes before the URIs of a server: without it
/// nothing would be left.
fn may_have_scheme(uri: &str, is_template: bool) -> bool {
    let head = match uri.split_once('{') {
        Some((head, _)) if is_template => head,
        _ => uri,
    };
    let is_cut = head.len() < uri.len();
    let (scheme, has_end) = match head.split_once(':') {
        Some((scheme, _)) => (scheme, true),
        None => (head, false),
    };
    let is_begun = scheme.bytes().enumerate().all(|(at, byte)| {
        byte.is_ascii_alphabetic() || at > 0 && (byte.is_ascii_digit() || b"+-.".contains(&byte))
    });
    // An expression may bring the rest of the scheme, or all of it.
    let is_whole = has_end && !scheme.is_empty() && !scheme.ends_with('+');
    is_begun && (is_whole || is_cut && !has_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ItemSpec;
    use crate::json::RawJson;
    use crate::policy::Feature;

    fn read(feature: Feature, definition: &str) -> Result<ItemSpec, String> {
        let definition = RawJson::parse(definition.to_owned()).unwrap();
        ItemSpec::from_definition(feature, definition).map_err(|error| error.to_string())
    }

    #[test]
    fn a_uri_has_a_scheme() {
        for uri in [
            "file:///a",
            "a:b",
            "A1.b-c+d:",
            "ui://x",
            "docs+file:///{x}",
        ] {
            assert!(check_uri(uri, false).is_ok(), "{uri}");
            assert!(check_uri(uri, true).is_ok(), "{uri}");
        }
        for uri in [
            "foo", "odd+", "odd+:x", ":x", "/a:b", "1a:b", "+a:b", "a b:c", "ä:b", "{x}",
            "fo{x}o:y",
        ] {
            assert!(check_uri(uri, false).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_template_may_leave_its_scheme_to_its_variables() {
        for template in ["{+uri}", "git+{+uri}", "{scheme}://x", "a{b}c:d"] {
            assert!(check_uri(template, true).is_ok(), "{template}");
        }
        for template in [
            "foo", "/d/{x}", "odd+:{x}", ":{x}", "foo/{+x}", "1{x}", "odd+",
        ] {
            assert!(check_uri(template, true).is_err(), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_its_reason() {
        for (feature, definition, says) in [
            (Feature::Resource, r#"{"name":"n"}"#, "`uri` is missing"),
            (Feature::Resource, r#"{"uri":""}"#, "`uri` is empty"),
            (Feature::Resource, r#"{"uri":7}"#, "`uri` is not a string"),
            (
                Feature::Resource,
                r#"{"uri":"\ud800"}"#,
                "`uri` holds half of a character",
            ),
            (
                Feature::Resource,
                r#"{"uri":"foo"}"#,
                r#"the URI "foo" cannot be used: it has no scheme, such as `file:`"#,
            ),
            (
                Feature::ResourceTemplate,
                r#"{"uriTemplate":null}"#,
                "`uriTemplate` is not a string",
            ),
            (Feature::Prompt, "{}", "`name` is missing"),
            (
                Feature::Prompt,
                r#"{"name":["a"]}"#,
                "`name` is not a string",
            ),
        ] {
            assert_eq!(read(feature, definition).unwrap_err(), says, "{definition}");
        }
    }
}
