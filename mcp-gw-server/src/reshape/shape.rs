//! One tool's shape: its definition as clients see it, its arguments as the server takes them. Pure.

use std::collections::BTreeMap;

use mcp_gw_core::{Arguments, Members, ObjectWriter, RawJson, ServerChoice, Splice, ToolSpec};
use serde_json::Value;

use crate::config::{ArgumentShape, ToolShape};

/// What becomes of a tool.
pub(super) struct Shape {
    is_hidden: bool,
    /// Members of the definition that are replaced.
    members: Vec<(&'static str, RawJson)>,
    annotations: Vec<(&'static str, bool)>,
    arguments: BTreeMap<String, Argument>,
    /// What clients call arguments that have another name, and what the server does.
    renamed: BTreeMap<String, String>,
}

/// What becomes of an argument, under the server's name for it.
struct Argument {
    /// The value that it always has, or when it is absent.
    value: Option<RawJson>,
    is_seen: bool,
    shown: Option<String>,
    description: Option<RawJson>,
}

impl Shape {
    pub(super) fn of(config: &ToolShape) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(RawJson::string);
        let members = [
            ("name", text(&config.rename)),
            ("title", text(&config.title)),
            ("description", text(&config.description)),
        ];
        let hints = &config.annotations;
        let annotations = [
            ("readOnlyHint", hints.read_only),
            ("destructiveHint", hints.destructive),
            ("idempotentHint", hints.idempotent),
            ("openWorldHint", hints.open_world),
        ];
        let renamed = config.arguments.iter().filter_map(|(name, argument)| {
            let shown = argument.rename.clone()?;
            Some((shown, name.clone()))
        });
        Self {
            is_hidden: config.hide,
            members: members
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            annotations: annotations
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            renamed: renamed.collect(),
            arguments: config
                .arguments
                .iter()
                .map(|(name, argument)| (name.clone(), Argument::of(argument)))
                .collect(),
        }
    }

    /// The tool as clients see it; `None` when they do not. Otherwise why it cannot be shown.
    pub(super) fn tool(&self, tool: &ToolSpec) -> Result<Option<ToolSpec>, String> {
        if self.is_hidden {
            return Ok(None);
        }
        let unreadable = |error: mcp_gw_core::JsonError| format!("it cannot be reshaped: {error}");
        let mut definition = tool.definition().clone();
        for (name, value) in &self.members {
            definition = definition.with_member(name, value).map_err(unreadable)?;
        }
        if !self.annotations.is_empty() {
            let old = definition.member("annotations").map_err(unreadable)?;
            let mut hints = old
                .filter(RawJson::is_object)
                .unwrap_or_else(RawJson::empty_object);
            for &(name, value) in &self.annotations {
                let value = RawJson::from_serialize(&value).map_err(unreadable)?;
                hints = hints.with_member(name, &value).map_err(unreadable)?;
            }
            definition = definition
                .with_member("annotations", &hints)
                .map_err(unreadable)?;
        }
        if !self.arguments.is_empty() {
            let schema = self.schema(&tool.input_schema()).map_err(unreadable)?;
            definition = definition
                .with_member("inputSchema", &schema)
                .map_err(unreadable)?;
        }
        let mut shown = ToolSpec::from_definition(definition).map_err(|error| error.to_string())?;
        if let Some(result) = tool.limit_result() {
            shown = shown.with_limit_result(result);
        }
        Ok(Some(match tool.choice() {
            Some(choice) => shown.with_choice(self.choice(choice)),
            None => shown,
        }))
    }

    /// The choice by the argument as clients know it.
    fn choice(&self, choice: &ServerChoice) -> ServerChoice {
        let argument = self.arguments.get(choice.argument());
        match argument.and_then(|argument| argument.shown.as_deref()) {
            Some(shown) => choice.clone().renamed(shown),
            None => choice.clone(),
        }
    }

    /// The schema with `properties` and `required` as clients see them; nothing else is touched.
    fn schema(&self, schema: &RawJson) -> Result<RawJson, mcp_gw_core::JsonError> {
        let members = schema.members()?;
        let mut splice = Splice::of(schema);
        if let Some(properties) = members.get("properties") {
            splice.replace(properties, self.properties(&schema.slice(properties))?);
        }
        if let Some(required) = members.get("required") {
            let names: Vec<String> = schema.slice(required).decode_owned()?;
            let shown: Vec<&str> = names
                .iter()
                .filter_map(|name| match self.arguments.get(name) {
                    None => Some(name.as_str()),
                    Some(argument) if argument.is_seen && argument.value.is_none() => {
                        Some(argument.shown.as_deref().unwrap_or(name))
                    }
                    Some(_) => None,
                })
                .collect();
            if shown != names {
                splice.replace(required, RawJson::from_serialize(&shown)?);
            }
        }
        Ok(splice.finish())
    }

    fn properties(&self, properties: &RawJson) -> Result<RawJson, mcp_gw_core::JsonError> {
        let members = properties.members()?;
        let mut writer = ObjectWriter::with_capacity(properties.len());
        for (name, property) in members.iter() {
            writer = match self.arguments.get(name) {
                // Another argument has taken its name.
                None if self.renamed.contains_key(name) => writer,
                None => writer.raw_value(name, property),
                Some(argument) if !argument.is_seen => writer,
                Some(argument) => {
                    let shown = argument.shown.as_deref().unwrap_or(name);
                    writer.raw(shown, &argument.property(&properties.slice(property)))
                }
            };
        }
        Ok(writer.finish())
    }

    /// The arguments as the server takes them; otherwise what is wrong with them.
    pub(super) fn arguments(&self, arguments: &Arguments) -> Result<Arguments, String> {
        if self.arguments.is_empty() {
            return Ok(arguments.clone());
        }
        self.written(arguments, false)
            .map_err(|error| format!("invalid arguments: {error}"))
    }

    /// The same under the names that clients know; `None` where they are as the client sent them. A
    /// fixed argument, of which clients know nothing, has the server's name for it, unless clients know
    /// another one by that.
    pub(super) fn in_effect(&self, arguments: &Arguments) -> Option<Arguments> {
        if self.arguments.is_empty() {
            return None;
        }
        self.written(arguments, true).ok()
    }

    fn written(&self, arguments: &Arguments, as_clients: bool) -> Result<Arguments, String> {
        let raw = arguments.as_raw();
        let members = raw.members().map_err(|error| error.to_string())?;
        let mut writer = ObjectWriter::with_capacity(raw.len() + 64);
        for (name, value) in members.iter() {
            let own = self.renamed.get(name).map(String::as_str);
            if own.is_some() || self.takes(name) {
                let own = own.filter(|_| !as_clients).unwrap_or(name);
                writer = writer.raw_value(own, value);
            }
        }
        for (name, argument) in &self.arguments {
            let Some(value) = &argument.value else {
                continue;
            };
            if argument.is_seen && self.has(&members, name, argument) {
                continue;
            }
            let shown = argument.shown.as_deref().filter(|_| argument.is_seen);
            match shown.filter(|_| as_clients) {
                Some(shown) => writer = writer.raw(shown, value),
                None if as_clients && self.renamed.contains_key(name) => {}
                None => writer = writer.raw(name, value),
            }
        }
        Arguments::from_raw(writer.finish()).map_err(|_| "they are no object".to_owned())
    }

    /// True when the client may send an argument under the server's own name for it.
    fn takes(&self, name: &str) -> bool {
        self.arguments
            .get(name)
            .is_none_or(|argument| argument.is_seen && argument.shown.is_none())
    }

    /// True when the client sent the argument that the server calls `name`.
    fn has(&self, members: &Members<'_>, name: &str, argument: &Argument) -> bool {
        let shown = argument.shown.as_deref().unwrap_or(name);
        let is_anothers = argument.shown.is_none() && self.renamed.contains_key(name);
        !is_anothers && members.get(shown).is_some()
    }

    /// What the shape says that does not fit the tool.
    pub(super) fn remarks(&self, tool: &ToolSpec) -> Vec<String> {
        let schema = tool.input_schema();
        let read = |key: &str| schema.member(key).ok().flatten();
        let properties = read("properties").unwrap_or_else(RawJson::empty_object);
        let Ok(properties) = properties.members() else {
            return Vec::new();
        };
        let required: Vec<String> = read("required")
            .and_then(|names| names.decode_owned().ok())
            .unwrap_or_default();
        let mut remarks = Vec::new();
        let mut say = |argument: &str, says: &str| {
            remarks.push(format!(
                "tool `{}`, argument `{argument}`: {says}",
                tool.name()
            ));
        };
        for (name, argument) in &self.arguments {
            if properties.get(name).is_none() {
                say(name, "the tool has no such argument");
            } else if !argument.is_seen && argument.value.is_none() && required.contains(name) {
                say(name, "it is hidden, but the tool requires it");
            }
        }
        for (shown, name) in &self.renamed {
            let is_free = self
                .arguments
                .get(shown)
                .is_some_and(|other| !other.is_seen || other.shown.is_some());
            if properties.get(shown).is_some() && !is_free {
                let says = format!("it hides the argument `{shown}`, whose name it takes");
                say(name, &says);
            }
        }
        remarks
    }
}

impl Argument {
    fn of(config: &ArgumentShape) -> Self {
        let raw = |value: &Value| RawJson::from_serialize(value).unwrap_or_default();
        let value = config.fix.as_ref().or(config.default.as_ref());
        Self {
            value: value.map(raw),
            is_seen: !config.hide && config.fix.is_none(),
            shown: config.rename.clone(),
            description: config.description.as_deref().map(RawJson::string),
        }
    }

    /// The schema of the argument as clients see it. A schema that is `true` has no room for words.
    fn property(&self, property: &RawJson) -> RawJson {
        let edits = [("description", &self.description), ("default", &self.value)];
        edits
            .iter()
            .fold(property.clone(), |property, (name, value)| {
                let edited = value
                    .as_ref()
                    .and_then(|value| property.with_member(name, value).ok());
                edited.unwrap_or(property)
            })
    }
}
