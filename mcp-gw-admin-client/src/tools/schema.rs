//! Schemas of arguments and answers: complete in themselves, in the plain JSON Schema that every client reads.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use mcp_gw_core::RawJson;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of `T` without `$ref`, without `null` where a member may simply be missing.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let is_open = schema.get("additionalProperties").cloned();
    tidy(&mut schema);
    if let Value::Object(members) = &mut schema {
        // Of arguments it says that what is not known is no fault.
        members.extend(is_open.map(|any| ("additionalProperties".to_owned(), any)));
        members.remove("title");
        members.remove("description");
        members
            .entry("type")
            .or_insert_with(|| Value::from("object"));
    }
    schema
}

/// The same for arguments: what is not known is refused, not ignored.
pub(crate) fn of_arguments<T: JsonSchema>() -> Value {
    let mut schema = of::<T>();
    if let Value::Object(members) = &mut schema {
        members
            .entry("additionalProperties")
            .or_insert(Value::Bool(false));
    }
    schema
}

/// The same for answers: whoever reads one has it before them, so what is deep inside is named and not explained.
pub(crate) fn of_answer<T: JsonSchema>() -> Value {
    let mut schema = of::<T>();
    shorten(&mut schema, true, true);
    schema
}

/// Keeps what is said of the members of an answer (`is_told`), and of the items in its lists (`are_items`).
fn shorten(schema: &mut Value, is_told: bool, are_items: bool) {
    let Value::Object(members) = schema else {
        return;
    };
    for (bound, usual) in [("minimum", 0_u16), ("maximum", u16::MAX)] {
        if members.get(bound).is_some_and(|value| *value == usual) {
            members.remove(bound);
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for property in properties.values_mut() {
            shorten(property, false, is_told && are_items);
            if let (Value::Object(property), false) = (property, is_told) {
                property.remove("description");
            }
        }
    }
    if let Some(items) = members.get_mut("items") {
        shorten(items, are_items, false);
    }
}

pub(crate) fn raw(schema: &Value) -> RawJson {
    RawJson::from_serialize(schema).unwrap_or_else(|_| RawJson::empty_object())
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            without_null(members);
            plain_choice(members);
            members.remove("format");
            let says_nothing = [
                ("default", Value::Null),
                ("additionalProperties", Value::Bool(true)),
            ];
            for (name, usual) in says_nothing {
                if members.get(name) == Some(&usual) {
                    members.remove(name);
                }
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            // Not every reader knows that `true` is a schema.
            if members.get("items") == Some(&Value::Bool(true)) {
                members.remove("items");
            }
            // A list is described as a whole.
            if let Some(Value::Object(items)) = members.get_mut("items") {
                items.remove("description");
            }
            members.values_mut().for_each(tidy);
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for property in properties.values_mut() {
                    // Not every reader knows that `true` is a schema.
                    if *property == Value::Bool(true) {
                        *property = Value::Object(Map::new());
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// `null` out of `type`, `enum` and `anyOf`; an `anyOf` of one is that one.
fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            for (name, value) in only {
                members.entry(name).or_insert(value);
            }
        }
    }
}

/// A choice of constants becomes an `enum`; what each means is said where it is used.
fn plain_choice(members: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = members.get("oneOf") else {
        return;
    };
    let constants = choices.iter().map(|choice| choice.get("const").cloned());
    if let Some(all) = constants.collect::<Option<Vec<Value>>>() {
        members.remove("oneOf");
        members.insert("type".to_owned(), Value::from("string"));
        members.insert("enum".to_owned(), Value::Array(all));
    }
}

/// What an id may be: letters, digits and three signs; not dots alone, which are no id but a way through a path.
pub(crate) const ID: &str = r"^\.*[\w-][\w.-]*$";

/// What a UUID may be, alone or behind that of its control plane; whether it is one is seen when it is read.
pub(crate) const UUID: &str = "^[0-9a-fA-F:-]{36,73}$";

/// A fault with all that a model needs to mend it.
fn said(error: &ValidationError<'_>) -> String {
    let found = || {
        let found = error.instance().to_string();
        found.chars().take(100).collect::<String>()
    };
    match error.kind() {
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(Value::to_string)
                .collect();
            format!("{} is none of {}", found(), options.join(", "))
        }
        ValidationErrorKind::Pattern { pattern } if pattern == ID => {
            format!(
                "{} is no id: give letters, digits, `-`, `_` and `.`, and not dots alone",
                found()
            )
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let first = context.iter().filter_map(|faults| faults.first());
            let mut all: Vec<String> = Vec::new();
            for fault in first {
                let says = placed(fault, said);
                if !all.contains(&says) {
                    all.push(says);
                }
            }
            all.join(", and ")
        }
        ValidationErrorKind::Pattern { pattern } if pattern == UUID => {
            format!(
                "{} is no id: give a UUID, out of the result of an earlier call; names are for get_by_name",
                found()
            )
        }
        _ => error.to_string(),
    }
}

/// A fault, and where it is.
fn placed(error: &ValidationError<'_>, said: impl Fn(&ValidationError<'_>) -> String) -> String {
    let at = error.instance_path().to_string();
    let says: String = said(error).chars().take(1000).collect();
    if at.is_empty() {
        says
    } else {
        format!("at {at}: {says}")
    }
}

/// What is wrong with arguments, for a model: where, and what.
///
/// # Errors
/// All faults in one sentence.
pub(crate) fn check(validator: &jsonschema::Validator, arguments: &Value) -> Result<(), String> {
    check_with(validator, arguments, said)
}

/// The same without what the values are: some are secret.
///
/// # Errors
/// All faults in one sentence.
pub(crate) fn check_secretly(
    validator: &jsonschema::Validator,
    value: &Value,
) -> Result<(), String> {
    check_with(validator, value, |error| error.masked().to_string())
}

fn check_with(
    validator: &jsonschema::Validator,
    arguments: &Value,
    said: impl Fn(&ValidationError<'_>) -> String,
) -> Result<(), String> {
    let faults: Vec<String> = validator
        .iter_errors(arguments)
        .take(8)
        .map(|error| placed(&error, &said))
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("; "))
    }
}
