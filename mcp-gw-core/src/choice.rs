//! A tool that leads to one of several servers: which one, an argument says.

use std::sync::Arc;

use crate::json::RawJson;
use crate::jsonrpc::as_str;
use crate::splice::Splice;
use crate::tool::{Arguments, ToolOutput};

/// Where the calls of one tool go, by the value of one of its arguments.
///
/// For policy, limits, audit and metrics such a call is one of that server, as if each server had a
/// tool of its own: `servers: [weather]` in a rule, and a limit `per: server`, mean what they say. In
/// lists the argument's `enum` has those values whose server the caller may use; without any, the tool
/// is not there.
///
/// A value that is none of them goes to the backend, as a call of the backend's own name: it should
/// refuse it, and say the same by [`ServerChoice::with_refusals`], or who is refused a value could tell
/// that there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerChoice {
    argument: Arc<str>,
    options: Vec<(Arc<str>, Arc<str>)>,
    form: Option<Form>,
    refusals: Option<Arc<Refusals>>,
}

/// Gives the one form of a value that may be written in several ways.
#[derive(Debug, Clone, Copy)]
struct Form(fn(&str) -> Option<String>);

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Form {}

#[derive(Debug, PartialEq, Eq)]
struct Refusals {
    unknown: ToolOutput,
    forbidden: ToolOutput,
}

impl ServerChoice {
    /// A choice by `argument`, a string at the top of the arguments. There are no options yet.
    pub fn by(argument: impl Into<Arc<str>>) -> Self {
        Self {
            argument: argument.into(),
            options: Vec::new(),
            form: None,
            refusals: None,
        }
    }

    /// What a caller gets whose list has the tool, when the policy refuses a call of it: `unknown` for a
    /// value that its list does not have, in the words of the backend for one that there is not, and
    /// `forbidden` for one that it has. Without it, and when the policy says which scopes are missing, the
    /// call is refused as that of a tool that there is not.
    #[must_use]
    pub fn with_refusals(mut self, unknown: ToolOutput, forbidden: ToolOutput) -> Self {
        self.refusals = Some(Arc::new(Refusals { unknown, forbidden }));
        self
    }

    /// Sets what gives the one form of a value that may be written in several ways, such as an address;
    /// `None` for what is no such value. The options are in that form. A call with another spelling of
    /// an option leads where the option does, and the policy judges it as if it had the option; it goes
    /// to the backend as it is, which should take it for the same.
    #[must_use]
    pub const fn with_form(mut self, form: fn(&str) -> Option<String>) -> Self {
        self.form = Some(Form(form));
        self
    }

    /// Adds a value, which leads to `server`. A value that is there already stays as it is.
    #[must_use]
    pub fn with_option(mut self, value: impl Into<Arc<str>>, server: impl Into<Arc<str>>) -> Self {
        let value = value.into();
        if self.server(&value).is_none() {
            self.options.push((value, server.into()));
        }
        self
    }

    /// The same choice by another argument, for a wrapper that shows it under another name.
    #[must_use]
    pub fn renamed(mut self, argument: impl Into<Arc<str>>) -> Self {
        self.argument = argument.into();
        self
    }

    /// The argument.
    pub fn argument(&self) -> &str {
        &self.argument
    }

    /// Values and the servers that they lead to, in their order.
    pub fn options(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<str>)> {
        let options = self.options.iter();
        options.map(|(value, server)| (&**value, server))
    }

    /// The server that `value` leads to.
    pub fn server(&self, value: &str) -> Option<&Arc<str>> {
        let mut options = self.options.iter();
        let found = options.find(|(option, _)| **option == *value);
        found.map(|(_, server)| server)
    }

    /// These arguments with the option in the place of another spelling of it; `None` when there is
    /// nothing to change.
    pub(crate) fn formed(&self, arguments: &Arguments) -> Option<Arguments> {
        let Form(form) = self.form?;
        let raw = arguments.as_raw();
        let members = raw.members().ok()?;
        let written = members.get(&self.argument)?;
        let value = as_str(written)?;
        if self.server(&value).is_some() {
            return None;
        }
        let value = form(&value).filter(|value| self.server(value).is_some())?;
        let mut splice = Splice::of(raw);
        splice.replace(written, RawJson::string(&value));
        Arguments::from_raw(splice.finish()).ok()
    }

    /// The server of a call with these arguments; `None` also when the argument is there twice.
    pub fn server_of(&self, arguments: &Arguments) -> Option<&Arc<str>> {
        let members = arguments.as_raw().members().ok()?;
        let value = members.get(&self.argument).and_then(as_str)?;
        self.server(&value)
    }

    /// What [`ServerChoice::with_refusals`] says of a value that the caller's list has, or has not.
    pub(crate) fn refusal(&self, is_seen: bool) -> Option<&ToolOutput> {
        let refusals = self.refusals.as_deref()?;
        Some(if is_seen {
            &refusals.forbidden
        } else {
            &refusals.unknown
        })
    }

    /// The definition of the tool for who may use only some of the options: `may` says which, in their
    /// order.
    pub(crate) fn narrowed(&self, definition: &RawJson, may: &[bool]) -> RawJson {
        if may.iter().all(|may| *may) {
            return definition.clone();
        }
        let values: Vec<&str> = self
            .options
            .iter()
            .zip(may)
            .filter_map(|((value, _), may)| may.then_some(&**value))
            .collect();
        self.with_values(definition, &values)
            .unwrap_or_else(|| definition.clone())
    }

    fn with_values(&self, definition: &RawJson, values: &[&str]) -> Option<RawJson> {
        let top = definition.members().ok()?;
        let schema = definition.slice(top.get("inputSchema")?);
        let schema_members = schema.members().ok()?;
        let properties = schema.slice(schema_members.get("properties")?);
        let property = properties.member(&self.argument).ok()??;
        let values = RawJson::from_serialize(values).ok()?;
        let property = property.with_member("enum", &values).ok()?;
        let properties = properties.with_member(&self.argument, &property).ok()?;
        let mut splice = Splice::of(&schema);
        splice.replace(schema_members.get("properties")?, properties);
        let new = splice.finish();
        let mut splice = Splice::of(definition);
        splice.replace(top.get("inputSchema")?, new);
        Some(splice.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice() -> ServerChoice {
        ServerChoice::by("api")
            .with_option("https://a", "one")
            .with_option("https://b", "two")
            .with_option("https://a", "three")
    }

    fn arguments(text: &str) -> Arguments {
        Arguments::from_raw(RawJson::parse(text.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn the_argument_says_which_server_it_is() {
        let choice = choice();
        let server = |text: &str| {
            let server = choice.server_of(&arguments(text));
            server.map(ToString::to_string)
        };
        assert_eq!(server(r#"{"x":1,"api":"https://a"}"#).unwrap(), "one");
        assert_eq!(server(r#"{"api":"https:\/\/b"}"#).unwrap(), "two");
        for none in [
            "{}",
            r#"{"api":"https://c"}"#,
            r#"{"api":"HTTPS://a"}"#,
            r#"{"api":["https://a"]}"#,
            r#"{"api":null}"#,
            r#"{"api":"https://a","api":"https://a"}"#,
            r#"{"nested":{"api":"https://a"}}"#,
        ] {
            assert_eq!(server(none), None, "{none}");
        }
    }

    #[test]
    fn another_spelling_stands_for_the_option() {
        let choice = choice().with_form(|value| Some(value.to_ascii_lowercase()));
        let formed = |text: &str| {
            let formed = choice.formed(&arguments(text));
            formed.map(|arguments| arguments.as_raw().as_str().to_owned())
        };
        assert_eq!(
            formed(r#"{"x":1.0, "api":"HTTPS:\/\/B","y":2}"#).unwrap(),
            r#"{"x":1.0, "api":"https://b","y":2}"#
        );
        for none in [
            "{}",
            r#"{"api":"https://a"}"#,
            r#"{"api":"HTTPS://C"}"#,
            r#"{"api":["HTTPS://A"]}"#,
            r#"{"api":"HTTPS://A","api":"HTTPS://A"}"#,
        ] {
            assert_eq!(formed(none), None, "{none}");
        }
    }

    #[test]
    fn a_definition_has_the_values_that_may_be_used() {
        let definition = RawJson::parse(
            r#"{ "name":"t", "inputSchema":{"type":"object", "properties":{"z":{}, "api":{"type":"string","enum":["https://a","https://b"]}}, "x-1":1.0}, "more":[1.50] }"#,
        )
        .unwrap();
        let choice = choice();
        assert_eq!(choice.narrowed(&definition, &[true, true]), definition);
        let narrow = choice.narrowed(&definition, &[false, true]);
        assert_eq!(
            narrow.as_str(),
            r#"{ "name":"t", "inputSchema":{"type":"object", "properties":{"z":{}, "api":{"type":"string","enum":["https://b"]}}, "x-1":1.0}, "more":[1.50] }"#
        );
        // Where the argument is hidden from clients there is nothing to narrow.
        let hidden = RawJson::parse(r#"{"name":"t","inputSchema":{"type":"object"}}"#).unwrap();
        assert_eq!(choice.narrowed(&hidden, &[false, true]), hidden);
    }
}
