//! Tools of a server as clients shall see them: other names, other words, fewer arguments.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::check::Checker;
use super::fault::short;
use super::path::ConfigPath;

/// What clients see of a tool, under the name that the server gave it. What is not given stays as the
/// server has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ToolShape {
    /// Another name, without the prefix of the server.
    pub rename: Option<String>,
    /// Another title.
    pub title: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Nobody sees the tool, and nobody can call it.
    pub hide: bool,
    /// Hints that the server does not give, or gives wrongly.
    pub annotations: AnnotationsShape,
    /// Arguments, under the names that the server gave them.
    pub arguments: BTreeMap<String, ArgumentShape>,
}

/// Hints about a tool; those that are not given stay as the server has them. They also say which calls
/// may be sent again: those of a tool that is `destructive` here never are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AnnotationsShape {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Calling it again with the same arguments changes nothing more.
    pub idempotent: Option<bool>,
    /// It deals with things outside of a closed domain: the web, for example.
    pub open_world: Option<bool>,
}

/// What becomes of an argument.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ArgumentShape {
    /// The value that every call has; clients do not see the argument, and what they send in its
    /// place is dropped.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Value")]
    pub fix: Option<Value>,
    /// The value of calls that do not have the argument.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Value")]
    pub default: Option<Value>,
    /// Clients do not see the argument, and no call has it.
    pub hide: bool,
    /// Another name.
    pub rename: Option<String>,
    /// Another description.
    pub description: Option<String>,
}

impl std::fmt::Debug for ArgumentShape {
    /// A fixed value may be a secret of the server's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArgumentShape")
            .field("is_fixed", &self.fix.is_some())
            .field("default", &self.default)
            .field("hide", &self.hide)
            .field("rename", &self.rename)
            .field("description", &self.description)
            .finish()
    }
}

/// `null` is a value too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reports what is wrong with the shapes of a server's tools.
pub(super) fn check(
    checker: &mut Checker<'_>,
    tools: &BTreeMap<String, ToolShape>,
    path: &ConfigPath,
) {
    let mut names = BTreeSet::new();
    for (name, tool) in tools {
        let at = path.key(name);
        if tool.hide && *tool != hidden_tool() {
            let message = "nobody sees this tool, so nothing else about it has a meaning";
            checker.fault(&at, message, "keep `hide: true` alone, or remove it");
        } else if *tool == ToolShape::default() {
            checker.fault(&at, "nothing is said about this tool", "remove it");
        }
        if let Some(rename) = &tool.rename {
            let at = at.key("rename");
            if !is_tool_name(rename) {
                let message = format!("`{}` cannot be the name of a tool", short(rename));
                checker.fault(&at, message, "use 1 to 128 of `A-Z a-z 0-9 _ - .`");
            }
            if !names.insert(rename.as_str()) {
                let message = "another tool of this server is given the same name";
                checker.fault(&at, message, "choose another name");
            }
        }
        arguments(checker, &tool.arguments, &at.key("arguments"));
    }
}

fn arguments(
    checker: &mut Checker<'_>,
    arguments: &BTreeMap<String, ArgumentShape>,
    path: &ConfigPath,
) {
    let mut names = BTreeSet::new();
    for (name, argument) in arguments {
        let at = path.key(name);
        let fate = [
            argument.fix.is_some(),
            argument.default.is_some(),
            argument.hide,
        ];
        let is_seen = !argument.hide && argument.fix.is_none();
        if fate.iter().filter(|is_so| **is_so).count() > 1 {
            let message = "more than one of `fix`, `default` and `hide` is given";
            checker.fault(&at, message, "keep one of them");
        } else if !is_seen && (argument.rename.is_some() || argument.description.is_some()) {
            let message = "nobody sees this argument, so its name and description have no meaning";
            checker.fault(&at, message, "remove `rename` and `description`");
        } else if *argument == ArgumentShape::default() {
            checker.fault(&at, "nothing is said about this argument", "remove it");
        }
        if let Some(rename) = &argument.rename {
            let at = at.key("rename");
            if rename.is_empty() || rename.chars().any(char::is_control) {
                let message = "this cannot be the name of an argument";
                checker.fault(&at, message, "write letters, digits and `_`");
            }
            if !names.insert(rename.as_str()) {
                let message = "another argument of this tool is given the same name";
                checker.fault(&at, message, "choose another name");
            }
        }
    }
}

fn hidden_tool() -> ToolShape {
    ToolShape {
        hide: true,
        ..ToolShape::default()
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
