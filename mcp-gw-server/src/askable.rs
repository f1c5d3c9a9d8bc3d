//! What a client can be asked for: its `ClientCapabilities`, as far as the revision that it speaks
//! knows them.

use mcp_gw_core::jsonrpc::as_str;
use mcp_gw_core::{JsonText, Members, ObjectWriter, RawJson};

use crate::revision::Revision;

/// The extension that tasks are (2026-07-28).
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a client declared, without what servers are not to be told of.
pub(crate) fn without(declared: RawJson, withheld: &[&str]) -> Option<RawJson> {
    if withheld.is_empty() {
        return Some(declared);
    }
    let members = declared.members().ok()?;
    let rest = ObjectWriter::with_capacity(declared.len());
    Some(rest.members(&members, withheld).finish())
}

/// What a client can be asked for by requests: sampling, elicitation, roots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a capability that a client has or not"
)]
pub(crate) struct Askable {
    sampling: bool,
    sampling_tools: bool,
    form: bool,
    url: bool,
    roots: bool,
}

impl Askable {
    /// Reads what a client of `revision` declared. What cannot be read was not declared.
    pub(crate) fn of(revision: Revision, declared: &RawJson) -> Self {
        let Ok(members) = declared.members() else {
            return Self::default();
        };
        let object = |name: &str| members.get(name).and_then(object);
        let new = revision >= Revision::V2025_11_25;
        let mut askable = Self {
            roots: object("roots").is_some(),
            ..Self::default()
        };
        if let Some(sampling) = object("sampling") {
            askable.sampling = true;
            askable.sampling_tools = new && has(&sampling, "tools");
        }
        if revision >= Revision::V2025_06_18
            && let Some(modes) = object("elicitation")
        {
            askable.url = new && has(&modes, "url");
            // Without any mode it is the form, which was the only one once.
            askable.form = !new || has(&modes, "form") || !has(&modes, "url");
        }
        askable
    }

    /// The same of what may not have been said; then nothing was.
    pub(crate) fn of_some(revision: Revision, declared: Option<&RawJson>) -> Self {
        declared.map_or_else(Self::default, |declared| Self::of(revision, declared))
    }

    /// True when there is something that the client can be asked for.
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }

    /// True when the client said that it opens URLs for the user.
    pub(crate) const fn opens_urls(self) -> bool {
        self.url
    }

    /// True when the client can be sent this request.
    pub(crate) fn allows(self, method: &str, params: &RawJson) -> bool {
        let Ok(params) = params.members() else {
            return false;
        };
        match method {
            "roots/list" => self.roots,
            "sampling/createMessage" => {
                let with_tools =
                    params.get("tools").is_some() || params.get("toolChoice").is_some();
                self.sampling && (self.sampling_tools || !with_tools)
            }
            "elicitation/create" => match params.get("mode").map(as_str) {
                None => self.form,
                Some(mode) => match mode.as_deref() {
                    Some("form") => self.form,
                    Some("url") => self.url,
                    _ => false,
                },
            },
            _ => false,
        }
    }

    /// The `ClientCapabilities` that are left of what was declared: nothing that cannot be asked
    /// for, the rest as it was written. `None` when nothing is.
    pub(crate) fn capabilities(self, declared: &RawJson) -> Option<RawJson> {
        if !self.any() {
            return None;
        }
        let members = declared.members().ok()?;
        let mut writer = ObjectWriter::with_capacity(declared.len());
        for (name, value) in members.iter() {
            let lacks: &[&str] = match name {
                "roots" if self.roots => &[],
                "sampling" if self.sampling && !self.sampling_tools => &["tools"],
                "elicitation" if self.form && !self.url => &["url"],
                "sampling" if self.sampling => &[],
                "elicitation" if self.form || self.url => &[],
                _ => continue,
            };
            writer = match object(value) {
                Some(object) if lacks.iter().any(|name| object.get(name).is_some()) => {
                    let rest = ObjectWriter::default().members(&object, lacks);
                    writer.raw(name, &rest.finish())
                }
                _ => writer.raw_value(name, value),
            };
        }
        Some(writer.finish())
    }
}

fn object(value: JsonText<'_>) -> Option<Members<'_>> {
    serde_json::from_str(value.get()).ok()
}

fn has(members: &Members<'_>, name: &str) -> bool {
    members
        .get(name)
        .is_some_and(|value| value.get().starts_with('{'))
}

/// True when a request declared the extension `name` (`clientCapabilities.extensions`, 2026-07-28).
pub(crate) fn declares_extension(declared: Option<&RawJson>, name: &str) -> bool {
    extensions(declared).is_some_and(|extensions| {
        extensions
            .members()
            .is_ok_and(|extensions| has(&extensions, name))
    })
}

/// True when a request declared another extension than `name`.
pub(crate) fn declares_others(declared: Option<&RawJson>, name: &str) -> bool {
    extensions(declared).is_some_and(|extensions| {
        extensions.members().is_ok_and(|extensions| {
            let mut names = extensions.iter().map(|(other, _)| other);
            names.any(|other| other != name && has(&extensions, other))
        })
    })
}

fn extensions(declared: Option<&RawJson>) -> Option<RawJson> {
    declared?.member("extensions").ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn left(revision: Revision, declared: &str) -> Option<String> {
        let declared = raw(declared);
        let left = Askable::of(revision, &declared).capabilities(&declared);
        left.map(|left| left.as_str().to_owned())
    }

    #[test]
    fn a_client_can_be_asked_for_what_it_declared_and_its_revision_knows() {
        let all = r#"{"sampling":{"tools":{},"context":{"x":1.0}},"roots":{"listChanged":true},"elicitation":{"form":{},"url":{}},"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/tasks":{}},"experimental":{}}"#;
        for (revision, expected) in [
            (
                Revision::V2025_03_26,
                r#"{"sampling":{"context":{"x":1.0}},"roots":{"listChanged":true}}"#,
            ),
            (
                Revision::V2025_06_18,
                r#"{"sampling":{"context":{"x":1.0}},"roots":{"listChanged":true},"elicitation":{"form":{}}}"#,
            ),
            (
                Revision::V2025_11_25,
                r#"{"sampling":{"tools":{},"context":{"x":1.0}},"roots":{"listChanged":true},"elicitation":{"form":{},"url":{}}}"#,
            ),
        ] {
            assert_eq!(left(revision, all).as_deref(), Some(expected));
        }
        for nothing in [
            "{}",
            "[]",
            r#"{"tasks":{}}"#,
            r#"{"roots":true}"#,
            r#"{"roots":{"a":1,"a":2}}"#,
            r#"{"roots":{},"roots":{}}"#,
        ] {
            assert_eq!(left(Revision::V2025_11_25, nothing), None, "{nothing}");
        }
        assert_eq!(left(Revision::V2025_03_26, r#"{"elicitation":{}}"#), None);
    }

    #[test]
    fn what_was_not_declared_is_not_asked() {
        let new = Revision::V2025_11_25;
        for (revision, declared, method, params, ok) in [
            (new, r#"{"roots":{}}"#, "roots/list", "{}", true),
            (
                new,
                r#"{"roots":{}}"#,
                "sampling/createMessage",
                "{}",
                false,
            ),
            (new, r#"{"roots":{}}"#, "ping", "{}", false),
            (
                new,
                r#"{"sampling":{}}"#,
                "sampling/createMessage",
                "{}",
                true,
            ),
            (
                new,
                r#"{"sampling":{}}"#,
                "sampling/createMessage",
                r#"{"tools":[]}"#,
                false,
            ),
            (
                new,
                r#"{"sampling":{"tools":{}}}"#,
                "sampling/createMessage",
                r#"{"tools":[]}"#,
                true,
            ),
            (
                new,
                r#"{"elicitation":{}}"#,
                "elicitation/create",
                "{}",
                true,
            ),
            (
                new,
                r#"{"elicitation":{}}"#,
                "elicitation/create",
                r#"{"mode":"url"}"#,
                false,
            ),
            (
                new,
                r#"{"elicitation":{"url":{}}}"#,
                "elicitation/create",
                r#"{"mode":"url"}"#,
                true,
            ),
            (
                new,
                r#"{"elicitation":{"url":{}}}"#,
                "elicitation/create",
                r#"{"mode":"form"}"#,
                false,
            ),
            (
                new,
                r#"{"elicitation":{}}"#,
                "elicitation/create",
                r#"{"mode":7}"#,
                false,
            ),
            (
                Revision::V2025_06_18,
                r#"{"elicitation":{"url":{}}}"#,
                "elicitation/create",
                r#"{"mode":"url"}"#,
                false,
            ),
        ] {
            let askable = Askable::of(revision, &raw(declared));
            assert_eq!(
                askable.allows(method, &raw(params)),
                ok,
                "{declared} {method} {params}"
            );
        }
    }

    #[test]
    fn an_extension_is_declared_by_an_object_of_its_name() {
        let declares = |text: &str| declares_extension(Some(&raw(text)), TASKS);
        assert!(declares(
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
        ));
        assert!(!declares(
            r#"{"extensions":{"io.modelcontextprotocol/tasks":true}}"#
        ));
        assert!(!declares(r#"{"tasks":{}}"#));
        assert!(!declares_extension(None, TASKS));
        let others = |text: &str| declares_others(Some(&raw(text)), TASKS);
        assert!(others(
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{}}}"#
        ));
        for text in [
            "{}",
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
            r#"{"extensions":{"x/y":null}}"#,
        ] {
            assert!(!others(text), "{text}");
        }
        assert!(!declares_others(None, TASKS));
    }
}
