//! Arguments of an operation: known, complete, of the right shape; and what is said when they are not.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use mcp_gw_core::RawJson;
use serde_json::Value;

use super::shape::Strict;

/// Why arguments make no request. The text is for the model: it names the argument and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArgumentError {
    argument: Option<String>,
    message: String,
}

impl ArgumentError {
    pub(super) fn general(message: impl Into<String>) -> Self {
        Self {
            argument: None,
            message: message.into(),
        }
    }

    /// Something is wrong with the value of `argument`.
    pub(super) fn of(argument: &str, reason: impl std::fmt::Display) -> Self {
        Self {
            argument: Some(argument.to_owned()),
            message: format!("argument `{argument}`: {reason}"),
        }
    }

    /// The argument that it is about, when it is about one.
    pub fn argument(&self) -> Option<&str> {
        self.argument.as_deref()
    }
}

/// The arguments of a call: each name once.
pub(super) type Given = BTreeMap<String, RawJson>;

/// Reads arguments. A `null` for what may be left out is left out: that is what models mean by it.
pub(super) fn given(
    arguments: &RawJson,
    may_be_null: impl Fn(&str) -> bool,
) -> Result<Given, ArgumentError> {
    let members = arguments
        .members()
        .map_err(|error| ArgumentError::general(format!("the arguments: {}", error.message)))?;
    Ok(members
        .iter()
        .map(|(name, raw)| (name.to_owned(), arguments.slice(raw)))
        .filter(|(name, value)| !value.is_null() || may_be_null(name))
        .collect())
}

/// Checks that every argument is one of `known` and that all of `required` are there.
pub(super) fn check_names(
    given: &Given,
    known: &[&str],
    required: &[String],
) -> Result<(), ArgumentError> {
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        let name: String = name.chars().take(100).collect();
        let there_are = match known {
            [] => "there are none".to_owned(),
            known => format!("there are {}", listed(known)),
        };
        return Err(ArgumentError {
            message: format!("argument `{name}` is not known; {there_are}"),
            argument: Some(name),
        });
    }
    let missing: Vec<&str> = required
        .iter()
        .map(String::as_str)
        .filter(|name| !given.contains_key(*name))
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [name] => Err(ArgumentError {
            message: format!("argument `{name}` is required and missing"),
            argument: Some((*name).to_owned()),
        }),
        names => Err(ArgumentError::general(format!(
            "arguments {} are required and missing",
            listed(names)
        ))),
    }
}

fn listed(names: &[&str]) -> String {
    let mut out: Vec<String> = names
        .iter()
        .take(50)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > out.len() {
        out.push("…".to_owned());
    }
    out.join(", ")
}

/// The check of arguments by the schema of an operation: made with the first call, for most tools of a
/// list are never called.
#[derive(Debug, Default)]
pub(super) struct Check(OnceLock<Option<Box<Validator>>>);

impl Check {
    /// Checks `given` by `schema`. Where a value fits more than one of `oneOf` it is not refused: the API
    /// knows better than its description.
    pub(super) fn check(
        &self,
        tool: &str,
        schema: &RawJson,
        given: &Given,
    ) -> Result<(), ArgumentError> {
        let mut tree = serde_json::Map::new();
        for (name, value) in given {
            let Strict(value) = value
                .decode()
                .map_err(|error| ArgumentError::of(name, error.message))?;
            tree.insert(name.clone(), value);
        }
        let validator = self.0.get_or_init(|| {
            let validator = validator(schema);
            if validator.is_none() {
                tracing::warn!(
                    tool,
                    "arguments are not checked by their schema: it cannot be used"
                );
            }
            validator.map(Box::new)
        });
        let Some(validator) = validator else {
            return Ok(());
        };
        let tree = Value::Object(tree);
        let faults: Vec<(Option<String>, String)> = validator
            .iter_errors(&tree)
            .take(MAX_FAULTS)
            .map(|it| said(&it))
            .collect();
        let Some((argument, _)) = faults.first() else {
            return Ok(());
        };
        let texts: Vec<&str> = faults.iter().map(|(_, text)| text.as_str()).collect();
        Err(ArgumentError {
            argument: argument.clone(),
            message: texts.join("; "),
        })
    }
}

fn validator(schema: &RawJson) -> Option<Validator> {
    let mut tree = schema.to_value().ok()?;
    lenient(&mut tree, Patterns::All);
    // An expression of another dialect must not switch off the whole check, nor the other expressions.
    build(&tree).or_else(|| {
        [Patterns::Known, Patterns::None]
            .into_iter()
            .find_map(|kept| {
                lenient(&mut tree, kept);
                build(&tree)
            })
    })
}

/// True when arguments can be checked by this schema of a tool.
pub(super) fn can_check(schema: &RawJson) -> bool {
    validator(schema).is_some()
}

/// True for what can be used as a schema.
pub(super) fn is_schema(schema: &Value) -> bool {
    build(schema).is_some()
}

fn build(schema: &Value) -> Option<Validator> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(50_000)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(false)
        .with_pattern_options(patterns)
        .build(schema)
        .ok()
}

/// Which regular expressions stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patterns {
    All,
    /// Those that can be used.
    Known,
    None,
}

impl Patterns {
    fn keeps(self, pattern: &str) -> bool {
        match self {
            Self::All => true,
            Self::Known => is_schema(&serde_json::json!({ "pattern": pattern })),
            Self::None => false,
        }
    }
}

/// `oneOf` becomes `anyOf`, and what has to be there but is not described need not: few descriptions are
/// exact enough. Of the patterns some stay.
fn lenient(schema: &mut Value, kept: Patterns) {
    match schema {
        Value::Object(members) => {
            if let Some(choices) = members.remove("oneOf") {
                if members.contains_key("anyOf") {
                    let both = serde_json::json!({ "anyOf": choices });
                    if let Value::Array(all) = members
                        .entry("allOf")
                        .or_insert_with(|| Value::Array(Vec::new()))
                    {
                        all.push(both);
                    }
                } else {
                    members.insert("anyOf".to_owned(), choices);
                }
            }
            let pattern = members.get("pattern").and_then(Value::as_str);
            if pattern.is_some_and(|pattern| !kept.keeps(pattern)) {
                members.remove("pattern");
            }
            let names = members.get("patternProperties").and_then(Value::as_object);
            if names.is_some_and(|names| !names.keys().all(|name| kept.keeps(name))) {
                members.remove("patternProperties");
                // It says what is left over no more.
                members.remove("additionalProperties");
            }
            described_only(members);
            for (name, member) in members {
                match name.as_str() {
                    // Values, not schemas.
                    "enum" | "const" | "default" | "examples" | "required" => {}
                    "properties" | "patternProperties" | "dependentSchemas" | "$defs" => {
                        if let Value::Object(schemas) = member {
                            for schema in schemas.values_mut() {
                                lenient(schema, kept);
                            }
                        }
                    }
                    _ => lenient(member, kept),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                lenient(item, kept);
            }
        }
        _ => {}
    }
}

/// Of the members that have to be there, those that are described: what nobody describes nobody can give.
fn described_only(members: &mut serde_json::Map<String, Value>) {
    let Some(Value::Object(properties)) = members.get("properties") else {
        return;
    };
    let described: Vec<String> = properties.keys().cloned().collect();
    if let Some(Value::Array(names)) = members.get_mut("required") {
        names.retain(|name| {
            name.as_str()
                .is_some_and(|name| described.iter().any(|it| it == name))
        });
    }
}

/// A fault with all that a model needs to mend it, and the argument that it is in.
fn said(error: &ValidationError<'_>) -> (Option<String>, String) {
    let path = error.instance_path().to_string();
    let mut steps = path.strip_prefix('/').unwrap_or(&path).splitn(2, '/');
    let argument = steps.next().filter(|step| !step.is_empty());
    let argument = argument.map(|step| step.replace("~1", "/").replace("~0", "~"));
    let found: String = error.instance().to_string().chars().take(100).collect();
    let what = match error.kind() {
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(Value::to_string)
                .collect();
            format!("{found} is none of {}", options.join(", "))
        }
        ValidationErrorKind::AnyOf { .. } => format!("{found} fits none of the forms it may have"),
        _ => error.to_string(),
    };
    let what: String = what.chars().take(600).collect();
    let text = match (&argument, steps.next()) {
        (None, _) => what,
        (Some(name), None) => format!("argument `{name}`: {what}"),
        (Some(name), Some(rest)) => format!("argument `{name}` at /{rest}: {what}"),
    };
    (argument, text)
}

/// How many faults are told at once.
const MAX_FAULTS: usize = 8;
