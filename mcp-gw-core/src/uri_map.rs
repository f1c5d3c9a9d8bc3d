//! URIs of servers that share one gateway: a form of the gateway's own that says whose they are and
//! leads back to what the server calls them, and the places in results where they stand.
//!
//! `file:///a` of the server `docs` is `docs+file:///a`: a valid URI (RFC 3986 §3.1 allows `+` in a
//! scheme), and as valid a template (RFC 6570) as it was. `ui://page` keeps its scheme, by which
//! hosts of MCP Apps know it, and is `ui://docs__page`.

use std::sync::Arc;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::json::{Members, RawJson};
use crate::splice::Splice;

const UI: &str = "ui://";

/// How the URIs of one server are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// True for what begins as the URIs of this server do, of whatever server it is.
    pub(crate) fn claims(&self, uri: &str) -> bool {
        uri.starts_with(&*self.scheme) || uri.starts_with(&*self.ui)
    }

    /// The definition of a resource, template or tool with its links to UI resources mapped:
    /// `_meta.ui.resourceUri` and `_meta["ui/resourceUri"]` (MCP Apps).
    pub(crate) fn map_definition(&self, definition: &RawJson) -> RawJson {
        if !has(definition, "esourceUri") {
            return definition.clone();
        }
        let mut edits = Edits::of(self, definition);
        let meta = definition
            .members()
            .ok()
            .and_then(|members| object(members.get("_meta")));
        if let Some(meta) = meta {
            edits.uri(meta.get("ui/resourceUri"));
            if let Some(ui) = object(meta.get("ui")) {
                edits.uri(ui.get("resourceUri"));
            }
        }
        edits.splice.finish()
    }

    /// A `ReadResourceResult` with the `uri` of its `contents` mapped.
    pub(crate) fn map_read(&self, result: &RawJson) -> RawJson {
        self.edit(result, |edits, members| {
            for content in array(members.get("contents")) {
                if let Some(content) = object(Some(content)) {
                    edits.uri(content.get("uri"));
                }
            }
        })
    }

    /// A `CallToolResult` with the links and embedded resources of its `content` mapped. Text and
    /// `structuredContent` are the tool's own words.
    pub(crate) fn map_tool(&self, result: &RawJson) -> RawJson {
        self.edit(result, |edits, members| {
            for block in array(members.get("content")) {
                edits.block(block);
            }
        })
    }

    /// An error object about a resource, whose `data` names its URI.
    pub(crate) fn map_error(&self, error: &RawJson) -> RawJson {
        self.edit(error, |edits, members| {
            if let Some(data) = object(members.get("data")) {
                edits.uri(data.get("uri"));
            }
        })
    }

    /// How a task stands, with its result as [`UriMap::map_tool`] has it.
    pub(crate) fn map_task(&self, answer: &RawJson) -> RawJson {
        self.edit(answer, |edits, members| {
            if let Some(result) = object(members.get("result")) {
                for block in array(result.get("content")) {
                    edits.block(block);
                }
            }
        })
    }

    /// A `GetPromptResult` with the links and embedded resources of its messages mapped.
    pub(crate) fn map_prompt(&self, result: &RawJson) -> RawJson {
        self.edit(result, |edits, members| {
            for message in array(members.get("messages")) {
                let content = object(Some(message)).and_then(|message| message.get("content"));
                let Some(content) = content else { continue };
                if content.get().starts_with('[') {
                    for block in array(Some(content)) {
                        edits.block(block);
                    }
                } else {
                    edits.block(content);
                }
            }
        })
    }

    /// Most results name no URI; a search is far cheaper than taking them apart.
    fn edit<'r>(
        &self,
        result: &'r RawJson,
        find: impl FnOnce(&mut Edits<'_, 'r>, &Members<'r>),
    ) -> RawJson {
        if !has(result, "\"uri") {
            return result.clone();
        }
        let Ok(members) = result.members() else {
            return result.clone();
        };
        let mut edits = Edits::of(self, result);
        find(&mut edits, &members);
        edits.splice.finish()
    }
}

/// A search for a name, which may be written with escapes.
fn has(json: &RawJson, name: &str) -> bool {
    memmem::find(json.as_bytes(), name.as_bytes()).is_some()
        || memmem::find(json.as_bytes(), b"\\u").is_some()
}

fn object(value: Option<&RawValue>) -> Option<Members<'_>> {
    serde_json::from_str(value?.get()).ok()
}

fn array(value: Option<&RawValue>) -> Vec<&RawValue> {
    value
        .and_then(|value| serde_json::from_str(value.get()).ok())
        .unwrap_or_default()
}

struct Edits<'m, 'r> {
    map: &'m UriMap,
    splice: Splice<'r>,
}

impl<'m, 'r> Edits<'m, 'r> {
    const fn of(map: &'m UriMap, source: &'r RawJson) -> Self {
        Self {
            map,
            splice: Splice::of(source),
        }
    }

    fn uri(&mut self, value: Option<&RawValue>) {
        let Some(value) = value else { return };
        if let Some(uri) = crate::jsonrpc::as_str(value) {
            let shown = self.map.map(&uri);
            self.splice.replace(value, RawJson::string(&shown));
        }
    }

    /// A content block: only links and embedded resources have a URI.
    fn block(&mut self, block: &RawValue) {
        let Some(members) = object(Some(block)) else {
            return;
        };
        let kind = members.get("type").and_then(crate::jsonrpc::as_str);
        match kind.as_deref() {
            Some("resource_link") => self.uri(members.get("uri")),
            Some("resource") => {
                if let Some(resource) = object(members.get("resource")) {
                    self.uri(resource.get("uri"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

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
    fn links_and_embedded_resources_are_mapped_and_words_are_not() {
        let map = docs();
        let result = raw(r#"{ "content": [
              {"type":"text","text":"\"uri\":\"file:///a\"","uri":"file:///a"},
              {"type":"resource_link","uri":"file:\/\/\/a","name":"n"},
              {"type":"resource","resource":{"uri":"ui://p","text":"uri"},"x":1.0},
              {"type":"resource","resource":{"uri":7}},
              {"type":"later","uri":"file:///a"}, 3 ],
              "structuredContent":{"uri":"file:///a"},"uri":"u"}"#);
        let mapped = map.map_tool(&result);
        let expected = result
            .as_str()
            .replace(r"file:\/\/\/a", "docs.1+file:///a")
            .replace("ui://p", "ui://docs.1__p");
        assert_eq!(mapped.as_str(), expected);
    }

    #[test]
    fn prompts_reads_and_definitions_are_mapped() {
        let map = docs();
        let prompt = raw(
            r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:b"}}},{"content":[{"type":"resource_link","\u0075ri":"a:b"}]},{"content":"a:b"}]}"#,
        );
        assert_eq!(
            map.map_prompt(&prompt).as_str(),
            prompt.as_str().replace(r#"ri":"a:b"#, r#"ri":"docs.1+a:b"#)
        );
        let read = raw(r#"{"contents":[{"uri":"a:b","text":"a:b"}],"_meta":{"uri":"a:b"}}"#);
        assert_eq!(
            map.map_read(&read).as_str(),
            r#"{"contents":[{"uri":"docs.1+a:b","text":"a:b"}],"_meta":{"uri":"a:b"}}"#
        );
        let task =
            raw(r#"{"uri":"a:b","result":{"content":[{"type":"resource_link","uri":"a:b"}]}}"#);
        assert_eq!(
            map.map_task(&task).as_str(),
            r#"{"uri":"a:b","result":{"content":[{"type":"resource_link","uri":"docs.1+a:b"}]}}"#
        );
        let tool = raw(
            r#"{"name":"t","_meta":{"ui":{"resourceUri":"ui://x","v":1},"ui/resourceUri":"ui://x"}}"#,
        );
        assert_eq!(
            map.map_definition(&tool).as_str(),
            tool.as_str().replace("ui://x", "ui://docs.1__x")
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let map = docs();
        for text in [
            r#"{"content":{"type":"resource_link","uri":"a:b"}}"#,
            r#"{"content":[{"type":"resource_link","uri":"a:b","uri":"c:d"}]}"#,
            r#"{"contents":7,"messages":"uri","\u0075":1}"#,
            r#"["uri"]"#,
        ] {
            let result = raw(text);
            for mapped in [
                map.map_tool(&result),
                map.map_read(&result),
                map.map_prompt(&result),
                map.map_definition(&result),
            ] {
                assert_eq!(mapped, result);
            }
        }
    }

    /// Blocks of all kinds; the second member tells where their URI is.
    fn blocks() -> impl Strategy<Value = (Value, Option<&'static str>)> {
        let uri = "[a-z]{1,4}:[a-z/\"\\\\\u{e9}]{0,8}";
        let word = "[a-z\"\\\\{}]{0,6}";
        prop_oneof![
            (uri, word).prop_map(|(uri, name)| (
                json!({"type": "resource_link", "uri": uri, "name": name}),
                Some("/uri")
            )),
            (uri, word).prop_map(|(uri, text)| (
                json!({"type": "resource", "resource": {"uri": uri, "text": text}}),
                Some("/resource/uri")
            )),
            (uri, word).prop_map(|(uri, text)| (
                json!({"type": "text", "text": text, "uri": uri, "resource": {"uri": "a:b"}}),
                None
            )),
        ]
    }

    proptest! {
        #[test]
        fn mapping_and_back_is_nothing(prefix in "[A-Za-z0-9_.-]{1,12}", uri in "(ui://|ui:/|\\PC{0,3}\\+)?\\PC{0,20}") {
            let map = UriMap::of(&prefix).unwrap();
            let shown = map.map(&uri);
            prop_assert!(map.claims(&shown));
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

        #[test]
        fn everything_else_in_a_result_stays(
            blocks in prop::collection::vec(blocks(), 0..5),
            structured in prop::option::of("[a-z\"]{0,5}"),
        ) {
            let map = docs();
            let content: Vec<_> = blocks.iter().map(|(block, _)| block.clone()).collect();
            let before = json!({"content": content, "structuredContent": {"uri": structured}, "n": 1});
            let mut expected = before.clone();
            for (index, (_, at)) in blocks.iter().enumerate() {
                if let Some(at) = at {
                    let uri = expected.pointer_mut(&format!("/content/{index}{at}")).unwrap();
                    *uri = map.map(uri.as_str().unwrap()).into();
                }
            }
            let source = RawJson::from_serialize(&before).unwrap();
            let expected = RawJson::from_serialize(&expected).unwrap();
            prop_assert_eq!(map.map_tool(&source), expected);
        }
    }
}
