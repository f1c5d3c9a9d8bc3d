//! URIs of servers that share one gateway: a form of the gateway's own that says whose they are and
//! leads back to what the server calls them. Where they stand in messages is told in `shown.rs`.
//!
//! `file:///a` of the server `docs` is `docs+file:///a`: a valid URI (RFC 3986 §3.1 allows `+` in a
//! scheme), and as valid a template (RFC 6570) as it was. `ui://page` keeps its scheme, by which
//! hosts of MCP Apps know it, and is `ui://docs__page`.

use std::sync::Arc;

use memchr::memmem;

use crate::json::{JsonText, Members, RawJson};
use crate::jsonrpc::as_str;
use crate::splice::Splice;

const UI: &str = "ui://";

/// How the URIs of one server are shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UriMap {
    /// `docs+`.
    scheme: Arc<str>,
    /// `ui://docs__`.
    ui: Arc<str>,
}

impl UriMap {
    /// The form for the prefix of a server; `None` when nothing of it can stand in a scheme.
    ///
    /// A scheme knows no case and no underscore, and begins with a letter (RFC 3986 §3.1), so two
    /// prefixes may come to one form; whoever puts servers together must look.
    pub(crate) fn of(prefix: &str) -> Option<Self> {
        let scheme_char = |c: char| match c {
            '_' => Some('.'),
            'A'..='Z' => Some(c.to_ascii_lowercase()),
            'a'..='z' | '0'..='9' | '-' | '.' => Some(c),
            _ => None,
        };
        let mut form: String = prefix.chars().map(scheme_char).collect::<Option<_>>()?;
        if form.is_empty() {
            return None;
        }
        if !form.starts_with(|c: char| c.is_ascii_lowercase()) {
            form.insert_str(0, "x-");
        }
        Some(Self {
            scheme: format!("{form}+").into(),
            ui: format!("{UI}{form}__").into(),
        })
    }

    /// The URI or template as clients see it.
    pub(crate) fn map(&self, uri: &str) -> String {
        match uri.strip_prefix(UI) {
            Some(rest) => format!("{}{rest}", self.ui),
            None => format!("{}{uri}", self.scheme),
        }
    }

    /// What the server calls a URI that clients see; `None` when it is not one of the server's. Each
    /// URI has one form only, so that nothing has two names of which a rule knows one.
    pub(crate) fn unmap(&self, uri: &str) -> Option<String> {
        if let Some(rest) = uri.strip_prefix(&*self.ui) {
            return Some(format!("{UI}{rest}"));
        }
        let rest = uri.strip_prefix(&*self.scheme)?;
        (!rest.starts_with(UI)).then(|| rest.to_owned())
    }

    /// What the URIs of this server begin with, and of no other: none of these begins another one.
    pub(crate) fn marks(&self) -> [&str; 2] {
        [&self.scheme, &self.ui]
    }

    /// The definition of a resource, template or tool with its links to UI resources mapped:
    /// `_meta.ui.resourceUri` and `_meta["ui/resourceUri"]` (MCP Apps).
    pub(crate) fn map_definition(&self, definition: &RawJson) -> RawJson {
        if !has(definition, "esourceUri") {
            return definition.clone();
        }
        let mut splice = Splice::of(definition);
        let mut change = |value: Option<JsonText<'_>>| {
            if let Some((value, uri)) = value.and_then(|value| Some((value, as_str(value)?))) {
                splice.replace(value, RawJson::string(&self.map(&uri)));
            }
        };
        let meta = definition
            .members()
            .ok()
            .and_then(|members| object(members.get("_meta")));
        if let Some(meta) = meta {
            change(meta.get("ui/resourceUri"));
            if let Some(ui) = object(meta.get("ui")) {
                change(ui.get("resourceUri"));
            }
        }
        splice.finish()
    }
}

/// A search for a name, which may be written with escapes.
fn has(json: &RawJson, name: &str) -> bool {
    memmem::find(json.as_bytes(), name.as_bytes()).is_some()
        || memmem::find(json.as_bytes(), b"\\u").is_some()
}

fn object(value: Option<JsonText<'_>>) -> Option<Members<'_>> {
    serde_json::from_str(value?.get()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::uri_template::UriTemplate;

    fn docs() -> UriMap {
        UriMap::of("Docs_1").unwrap()
    }

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_uri_says_whose_it_is_and_leads_back() {
        let map = docs();
        for (uri, shown) in [
            ("file:///a", "docs.1+file:///a"),
            ("ui://page/x", "ui://docs.1__page/x"),
            ("git+https://h/x", "docs.1+git+https://h/x"),
            ("", "docs.1+"),
        ] {
            assert_eq!(map.map(uri), shown);
            assert_eq!(map.unmap(shown).as_deref(), Some(uri));
        }
    }

    #[test]
    fn nothing_has_a_second_name() {
        let map = docs();
        for other in [
            "docs.1+ui://page",
            "Docs.1+file:///a",
            "docs+file:///a",
            "file:///a",
            "ui://docs__page",
            "ui://page",
        ] {
            assert_eq!(map.unmap(other), None, "{other}");
        }
    }

    #[test]
    fn prefixes_become_schemes() {
        for (prefix, scheme) in [
            ("a", "a+"),
            ("A-b.C_d", "a-b.c.d+"),
            ("7z", "x-7z+"),
            ("_", "x-.+"),
        ] {
            assert_eq!(&*UriMap::of(prefix).unwrap().scheme, scheme);
        }
        for prefix in ["", "a b", "ä", "a+b", "a/b"] {
            assert_eq!(UriMap::of(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn definitions_are_mapped_unless_they_cannot_be_read() {
        let map = docs();
        let tool = raw(
            r#"{"name":"t","_meta":{"ui":{"resourceUri":"ui://x","v":1},"ui/resourceUri":"ui://x"}}"#,
        );
        assert_eq!(
            map.map_definition(&tool).as_str(),
            tool.as_str().replace("ui://x", "ui://docs.1__x")
        );
        let odd = raw(r#"{"_meta":{"ui/resourceUri":"ui://x","ui/resourceUri":"ui://y"}}"#);
        assert_eq!(map.map_definition(&odd), odd);
    }

    proptest! {
        #[test]
        fn mapping_and_back_is_nothing(prefix in "[A-Za-z0-9_.-]{1,12}", uri in "(ui://|ui:/|\\PC{0,3}\\+)?\\PC{0,20}") {
            let map = UriMap::of(&prefix).unwrap();
            let shown = map.map(&uri);
            prop_assert!(map.marks().iter().any(|mark| shown.starts_with(mark)));
            prop_assert_eq!(map.unmap(&shown), Some(uri));
        }

        #[test]
        fn what_is_unmapped_was_mapped(uri in "(ui://)?a[+_]{0,2}(ui://)?[a-z:/+_]{0,8}") {
            let map = UriMap::of("a").unwrap();
            if let Some(own) = map.unmap(&uri) {
                prop_assert_eq!(map.map(&own), uri);
            }
        }

        #[test]
        fn servers_do_not_share_a_uri(a in "[a-z0-9.-]{1,4}", b in "[a-z0-9.-]{1,4}", uri in "(ui://)?[a-z+_.]{0,8}") {
            let (one, other) = (UriMap::of(&a).unwrap(), UriMap::of(&b).unwrap());
            if one != other {
                prop_assert_eq!(other.unmap(&one.map(&uri)), None);
            }
        }

        #[test]
        fn a_template_stays_one(template in "[a-z]{1,3}:(/[a-z]|\\{[+?/]?x\\}){0,4}", uri in "[a-z/:]{0,8}") {
            let map = UriMap::of("srv").unwrap();
            let own = UriTemplate::parse(&template).unwrap();
            let shown = UriTemplate::parse(&map.map(&template)).unwrap();
            prop_assert_eq!(own.matches(&uri), shown.matches(&map.map(&uri)));
        }
    }
}
