//! Compares a file with its JSON Schema and says every difference in plain words.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::fault::{Fault, SHOWN, one_line, short};
use super::path::{ConfigPath, Spans};

/// Every place where `value` is not what `schema` describes.
pub(super) fn faults(schema: &Value, value: &Value, spans: &Spans) -> Vec<Fault> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!("the schema of this file cannot be used: {}", error.masked());
            return vec![
                Fault::new(ConfigPath::root(), message)
                    .with_help("this is a defect of the program, please report it"),
            ];
        }
    };
    let checker = Checker { schema, spans };
    let mut all = Vec::new();
    for error in validator.iter_errors(value) {
        checker.explain(&error, &mut all);
    }
    // A value of the wrong type breaks other rules as well; one fault is enough for it.
    let mut faults: Vec<Fault> = Vec::with_capacity(all.len());
    for fault in all {
        if !faults.iter().any(|known| known.path() == fault.path()) {
            faults.push(fault);
        }
    }
    faults
}

fn types_of(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(many) => many.iter().collect(),
    }
}

/// The types that a value may have, when it has none of those of any alternative.
fn types_of_all(
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
) -> Option<Vec<JsonType>> {
    let mut types = Vec::new();
    for errors in context {
        let wrong = errors.iter().find_map(|one| match one.kind() {
            Kind::Type { kind } if one.instance_path() == error.instance_path() => Some(kind),
            _ => None,
        });
        types.extend(types_of(wrong?));
    }
    types.retain(|one| *one != JsonType::Null);
    (types.len() > 1).then_some(types)
}

struct Checker<'a> {
    schema: &'a Value,
    spans: &'a Spans,
}

impl Checker<'_> {
    fn explain(&self, error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
        let path = config_path(error.instance_path());
        let rule = self.rule(error.schema_path());
        match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                faults.extend(
                    unexpected
                        .iter()
                        .map(|key| self.unknown_key(&path, key, rule)),
                );
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let fault = Fault::new(path.key(key), "this key is required but missing");
                let position = self.spans.locate(&path);
                faults.push(
                    fault
                        .with_help(format!("add `{key}:` here"))
                        .with_position(position),
                );
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                if let Some(names) = constants(rule) {
                    faults.push(self.not_one_of(path, &names, error.instance(), rule));
                } else if let Some(types) = types_of_all(error, context) {
                    faults.push(self.wrong_type(path, &types, error, rule));
                } else {
                    self.explain_nearest(path, context, faults);
                }
            }
            Kind::Enum { options } => {
                let names: Vec<&str> = options
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                faults.push(self.not_one_of(path, &names, error.instance(), rule));
            }
            Kind::Type { kind } => {
                faults.push(self.wrong_type(path, &types_of(kind), error, rule));
            }
            kind => {
                let (message, help) = bound(kind, rule);
                let shown = self.shown(&path, error.instance(), rule);
                let message = match shown {
                    Some(value) => format!("{value} {message}"),
                    None => format!("the value {message}"),
                };
                faults.push(self.fault(path, message, help));
            }
        }
    }

    /// The alternative that came nearest, told by how deep its first complaint is.
    fn explain_nearest(
        &self,
        path: ConfigPath,
        context: &[Vec<ValidationError<'static>>],
        faults: &mut Vec<Fault>,
    ) {
        let depth = |errors: &Vec<ValidationError<'static>>| {
            errors
                .iter()
                .map(|error| error.instance_path().iter().len())
                .max()
        };
        match context.iter().max_by_key(|errors| depth(errors)) {
            Some(errors) if !errors.is_empty() => {
                for error in errors {
                    self.explain(error, faults);
                }
            }
            _ => faults.push(self.fault(
                path,
                "the value has none of the forms that are possible here".to_owned(),
                "see docs/configuration.md for them".to_owned(),
            )),
        }
    }

    fn unknown_key(&self, parent: &ConfigPath, key: &str, rule: Option<&Value>) -> Fault {
        let known: Vec<&str> = rule
            .and_then(|rule| rule.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let path = parent.key(key);
        let position = self.spans.locate_key(&path);
        let known_keys = format!("known keys here: {}", quoted(&known));
        let help = match nearest(key, &known) {
            Some(near) => format!("did you mean `{near}`? {known_keys}"),
            None => known_keys,
        };
        Fault::new(path, format!("unknown key `{}`", short(key)))
            .of_unknown_key()
            .with_help(help)
            .with_position(position)
    }

    fn not_one_of(
        &self,
        path: ConfigPath,
        names: &[&str],
        value: &Value,
        rule: Option<&Value>,
    ) -> Fault {
        let found = self
            .shown(&path, value, rule)
            .map_or_else(|| found(value).to_owned(), |value| format!("found {value}"));
        let message = format!("expected one of {}, {found}", quoted(names));
        let near = value.as_str().and_then(|value| nearest(value, names));
        let help = match near {
            Some(near) if !self.spans.is_from_env(&path) => format!("did you mean `{near}`?"),
            _ => format!("write one of {}", quoted(names)),
        };
        self.fault(path, message, help)
    }

    fn wrong_type(
        &self,
        path: ConfigPath,
        types: &[JsonType],
        error: &ValidationError<'_>,
        rule: Option<&Value>,
    ) -> Fault {
        let names: Vec<&str> = types.iter().copied().map(type_name).collect();
        let value = error.instance();
        let message = format!("expected {}, {}", names.join(" or "), found(value));
        let text = types.contains(&JsonType::String);
        let number = types
            .iter()
            .any(|t| matches!(t, JsonType::Integer | JsonType::Number));
        let help = match value.as_ref() {
            Value::Null => "give it a value or remove the key".to_owned(),
            Value::String(_) if self.spans.is_from_env(&path) => {
                "a value from the environment is always text, so write this one into the file"
                    .to_owned()
            }
            Value::String(_) if number || types.contains(&JsonType::Boolean) => {
                format!("write {}, without quotes", names.join(" or "))
            }
            _ if hint(rule).is_some() => hint(rule).unwrap_or_default().to_owned(),
            Value::Number(_) | Value::Bool(_) if text => {
                "put it in quotes to make it text".to_owned()
            }
            _ if types.contains(&JsonType::Array) => {
                "write `[a, b]`, or one `- item` per line".to_owned()
            }
            _ if types.contains(&JsonType::Object) => {
                "write `key: value` lines, indented below this key".to_owned()
            }
            _ => format!("write {}", names.join(" or ")),
        };
        self.fault(path, message, help)
    }

    fn fault(&self, path: ConfigPath, message: String, help: String) -> Fault {
        let position = self.spans.locate(&path);
        Fault::new(path, message)
            .with_help(help)
            .with_position(position)
    }

    /// The value as a message may repeat it: short, not secret, not from the environment.
    fn shown(&self, path: &ConfigPath, value: &Value, rule: Option<&Value>) -> Option<String> {
        let secret = rule.is_some_and(|rule| rule.get("writeOnly") == Some(&Value::Bool(true)));
        if secret || self.spans.is_from_env(path) {
            return None;
        }
        let text = match value {
            Value::String(text) => one_line(text),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        (1..=SHOWN)
            .contains(&text.chars().count())
            .then(|| format!("`{text}`"))
    }

    /// The schema object whose keyword failed.
    fn rule(&self, location: &Location) -> Option<&Value> {
        let segments: Vec<String> = location.iter().map(|segment| segment.to_string()).collect();
        let (_, segments) = segments.split_last()?;
        segments
            .iter()
            .try_fold(self.schema, |at, segment| match segment.as_str() {
                "$ref" => {
                    let target = at.get("$ref")?.as_str()?.strip_prefix('#')?;
                    self.schema.pointer(target)
                }
                segment => match at {
                    Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
                    at => at.get(segment),
                },
            })
    }
}

/// What the schema's author says to do about a wrong value; editors know the same keyword.
fn hint(rule: Option<&Value>) -> Option<&str> {
    rule?.get("patternErrorMessage")?.as_str()
}

fn bound(kind: &Kind, rule: Option<&Value>) -> (String, String) {
    let (message, help) = match kind {
        Kind::Minimum { limit } => ("is too small".to_owned(), format!("write at least {limit}")),
        Kind::Maximum { limit } => ("is too large".to_owned(), format!("write at most {limit}")),
        Kind::ExclusiveMinimum { limit } => (
            "is too small".to_owned(),
            format!("write more than {limit}"),
        ),
        Kind::ExclusiveMaximum { limit } => (
            "is too large".to_owned(),
            format!("write less than {limit}"),
        ),
        Kind::MinLength { limit } => (
            "is too short".to_owned(),
            format!("write {limit} or more characters"),
        ),
        Kind::MaxLength { limit } => (
            "is too long".to_owned(),
            format!("write at most {limit} characters"),
        ),
        Kind::MinItems { limit } => (
            "has too few items".to_owned(),
            format!("write at least {limit}"),
        ),
        Kind::MaxItems { limit } => (
            "has too many items".to_owned(),
            format!("write at most {limit}"),
        ),
        Kind::UniqueItems => (
            "has an item twice".to_owned(),
            "keep one of the two".to_owned(),
        ),
        Kind::Pattern { .. } => (
            "does not have the form that is needed here".to_owned(),
            "see docs/configuration.md for it".to_owned(),
        ),
        kind => (
            format!("does not satisfy `{}` of the schema", kind.keyword()),
            "see docs/configuration.md".to_owned(),
        ),
    };
    (message, hint(rule).map_or(help, str::to_owned))
}

/// The names of an enumeration that schemars writes as `oneOf` constants.
fn constants(rule: Option<&Value>) -> Option<Vec<&str>> {
    let alternatives = rule?
        .get("oneOf")
        .or_else(|| rule?.get("anyOf"))?
        .as_array()?;
    alternatives
        .iter()
        .map(|alternative| alternative.get("const")?.as_str())
        .collect()
}

fn config_path(location: &Location) -> ConfigPath {
    location
        .iter()
        .fold(ConfigPath::root(), |path, segment| match segment {
            LocationSegment::Property(key) => path.key(&key),
            LocationSegment::Index(index) => path.index(index),
        })
}

/// The known name that a wrong one was most likely meant to be.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.replace(['-', '_', ' '], "").to_lowercase();
    let wanted = plain(&name.chars().take(SHOWN).collect::<String>());
    let (distance, near) = known
        .iter()
        .map(|known| (strsim::osa_distance(&wanted, &plain(known)), *known))
        .min_by_key(|(distance, _)| *distance)?;
    let longest = wanted.chars().count().max(near.chars().count());
    (distance <= (longest / 3).max(1) && distance < wanted.chars().count()).then_some(near)
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "found nothing",
        Value::Bool(_) => "found `true` or `false`",
        Value::Number(_) => "found a number",
        Value::String(_) => "found text",
        Value::Array(_) => "found a list",
        Value::Object(_) => "found a mapping",
    }
}
