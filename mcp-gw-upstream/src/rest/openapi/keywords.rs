//! Keywords of schemas that hold no schemas, as JSON Schema 2020-12 has them. What has a value that it
//! cannot have is left out, so that what is made is always valid.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::Limits;

type Members = Map<String, Value>;

/// All of them but `required`. `is_weak` is set when something is lost that refuses values.
pub(super) fn plain(from: &Members, limits: &Limits, to: &mut Members, is_weak: &mut bool) {
    types(from, to);
    for name in [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    ] {
        count(from, name, to);
    }
    bounds(from, to);
    if from.get("uniqueItems") == Some(&Value::Bool(true)) {
        to.insert("uniqueItems".to_owned(), Value::Bool(true));
    }
    if let Some(pattern) = from.get("pattern").and_then(Value::as_str) {
        // Without any sign of an expression it is a mask such as `YYYY-MM-DD`, and would refuse all.
        let is_mask = !pattern.contains(['[', '(', '{', '^', '$', '*', '+', '?', '\\', '|', '.']);
        if pattern.len() <= MAX_PATTERN && !is_mask {
            to.insert("pattern".to_owned(), pattern.into());
        } else {
            *is_weak = true;
        }
    }
    values(from, limits, to, is_weak);
    for name in ["format", "contentEncoding", "contentMediaType"] {
        if let Some(text) = from.get(name).and_then(Value::as_str)
            && !text.is_empty()
            && text.len() <= MAX_WORD
        {
            to.insert(name.to_owned(), text.into());
        }
    }
    // What 3.0 calls `byte` has a keyword of its own by now.
    if to.get("format").is_some_and(|format| format == "byte") {
        to.remove("format");
        to.insert("contentEncoding".to_owned(), "base64".into());
    }
    if from.get("deprecated") == Some(&Value::Bool(true)) {
        to.insert("deprecated".to_owned(), Value::Bool(true));
    }
    if let Some(Value::Object(needs)) = from.get("dependentRequired") {
        let lists = needs.iter().filter_map(|(name, list)| {
            let list = list.as_array()?;
            let is_names = list.iter().all(Value::is_string) && list.len() <= MAX_NAMES;
            is_names.then(|| (name.clone(), Value::Array(list.clone())))
        });
        let lists: Members = lists.take(MAX_NAMES).collect();
        if !lists.is_empty() {
            to.insert("dependentRequired".to_owned(), Value::Object(lists));
        }
    }
}

/// `type`: one, or a list without any twice. Types that are none are left out.
pub(super) fn types(from: &Members, to: &mut Members) {
    let said: Vec<&str> = match from.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut known: Vec<&str> = Vec::new();
    for name in said {
        let name = if name == "file" { "string" } else { name };
        if !TYPES.contains(&name) {
            // One that is not known may be any.
            return;
        }
        if !known.contains(&name) {
            known.push(name);
        }
    }
    match known.as_slice() {
        [] => {}
        [one] => drop(to.insert("type".to_owned(), (*one).into())),
        several => drop(to.insert("type".to_owned(), json!(several))),
    }
}

/// `nullable` of 3.0.
pub(super) fn or_null(schema: &mut Members) {
    match schema.get_mut("type") {
        Some(Value::String(one)) => {
            let one = std::mem::take(one);
            let both = if one == "null" {
                json!(one)
            } else {
                json!([one, "null"])
            };
            schema.insert("type".to_owned(), both);
        }
        Some(Value::Array(several)) if !several.iter().any(|it| it == "null") => {
            several.push("null".into());
        }
        _ => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    // These are asked about a `null` too, so it needs a way past them.
    let asks = ["allOf", "anyOf", "oneOf", "not", "if", "const"];
    if asks.iter().any(|name| schema.contains_key(*name)) {
        let description = schema.remove("description");
        let mut whole = Members::new();
        if let Some(text) = description {
            whole.insert("description".to_owned(), text);
        }
        let inner = Value::Object(std::mem::take(schema));
        whole.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
        *schema = whole;
    }
}

/// A keyword that is a count.
pub(super) fn count(from: &Members, name: &str, to: &mut Members) {
    if let Some(count) = from.get(name).and_then(whole) {
        to.insert(name.to_owned(), count.into());
    }
}

fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let value = value.as_f64()?;
        // Written as `1.0`; what is larger than this bounds nothing.
        let is_whole = value.fract() == 0.0 && (0.0..4_294_967_295.0).contains(&value);
        is_whole.then(|| format!("{value:.0}").parse().ok())?
    })
}

/// `minimum` and its kin; in 3.0 `exclusiveMinimum` says of `minimum` what it is.
fn bounds(from: &Members, to: &mut Members) {
    for (plain, exclusive) in [
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ] {
        let bound = from.get(plain).filter(|bound| bound.is_number());
        match (from.get(exclusive), bound) {
            (Some(Value::Bool(true)), Some(bound)) => {
                to.insert(exclusive.to_owned(), bound.clone());
            }
            (outer, bound) => {
                if let Some(bound) = bound {
                    to.insert(plain.to_owned(), bound.clone());
                }
                if let Some(outer @ Value::Number(_)) = outer {
                    to.insert(exclusive.to_owned(), outer.clone());
                }
            }
        }
    }
    if let Some(step) = from.get("multipleOf")
        && step.as_f64().is_some_and(|step| step > 0.0)
    {
        to.insert("multipleOf".to_owned(), step.clone());
    }
}

/// `enum`, `const`, `default` and examples.
fn values(from: &Members, limits: &Limits, to: &mut Members, is_weak: &mut bool) {
    if let Some(Value::Array(listed)) = from.get("enum") {
        let is_small = listed.len() <= limits.values && listed.iter().all(|it| is_short(it, 200));
        if !is_small {
            *is_weak = true;
        } else if !listed.is_empty() {
            let mut unique: Vec<Value> = Vec::new();
            for value in listed {
                let value = meant(value, to);
                if !unique.contains(&value) {
                    unique.push(value);
                }
            }
            to.insert("enum".to_owned(), Value::Array(unique));
        }
    }
    if let Some(only) = from.get("const") {
        if is_short(only, 500) {
            to.insert("const".to_owned(), only.clone());
        } else {
            *is_weak = true;
        }
    }
    let usual = from
        .get("default")
        .filter(|it| !it.is_null() && is_short(it, 100));
    if let Some(usual) = usual {
        to.insert("default".to_owned(), meant(usual, to));
    }
    if limits.has_examples {
        let listed = from.get("examples").and_then(Value::as_array);
        let example = from
            .get("example")
            .or_else(|| listed.and_then(|it| it.first()));
        if let Some(example) = example.filter(|it| !it.is_null() && is_short(it, 100)) {
            to.insert("examples".to_owned(), json!([example]));
        }
    }
}

/// A value of a text as text: `4.1` without quotes is a number in YAML.
fn meant(value: &Value, schema: &Members) -> Value {
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    let is_text = kinds.iter().any(|it| it == "string");
    let is_number = kinds.iter().any(|it| it == "number" || it == "integer");
    match value {
        Value::Number(number) if is_text && !is_number => number.to_string().into(),
        value => value.clone(),
    }
}

/// True for a value whose text is at most about `max` bytes; looks at no more than that.
fn is_short(value: &Value, max: usize) -> bool {
    fn rest(value: &Value, left: usize) -> Option<usize> {
        let left = left.checked_sub(1)?;
        match value {
            Value::String(text) => left.checked_sub(text.len()),
            Value::Array(items) => items.iter().try_fold(left, |left, it| rest(it, left)),
            Value::Object(members) => members.iter().try_fold(left, |left, (name, it)| {
                rest(it, left.checked_sub(name.len())?)
            }),
            _ => left.checked_sub(4),
        }
    }
    rest(value, max).is_some()
}

/// `required`, without those that are `hidden`.
pub(super) fn required(from: &Members, hidden: &BTreeSet<String>, to: &mut Members) {
    let Some(Value::Array(names)) = from.get("required") else {
        return;
    };
    let mut kept: Vec<&str> = Vec::new();
    for name in names.iter().filter_map(Value::as_str).take(MAX_NAMES) {
        if !hidden.contains(name) && !kept.contains(&name) {
            kept.push(name);
        }
    }
    if !kept.is_empty() {
        to.insert("required".to_owned(), json!(kept));
    }
}

/// True when a member has to be there that is none of those described.
pub(super) fn needs_undescribed(schema: &Members) -> bool {
    let (Some(Value::Object(properties)), Some(Value::Array(names))) =
        (schema.get("properties"), schema.get("required"))
    else {
        return false;
    };
    names
        .iter()
        .filter_map(Value::as_str)
        .any(|name| !properties.contains_key(name))
}

/// True when a keyword that refuses values, or a name in `required`, did not come over.
pub(super) fn is_weaker(from: &Members, to: &Members) -> bool {
    let says_nothing = |name: &str, value: &Value| match value {
        Value::Bool(value) => {
            *value
                != matches!(
                    name,
                    "uniqueItems" | "exclusiveMinimum" | "exclusiveMaximum"
                )
        }
        Value::Object(members) => members.is_empty() && !matches!(name, "not" | "contains"),
        Value::Array(items) => items.is_empty() && name == "required",
        _ => false,
    };
    let is_lost = |name: &&&str| match from.get(**name) {
        Some(value) => !to.contains_key(**name) && !says_nothing(name, value),
        None => false,
    };
    let count = |members: &Members| {
        members
            .get("required")
            .and_then(Value::as_array)
            .map(Vec::len)
    };
    REFUSING.iter().any(|name| is_lost(&name)) || count(from) > count(to).or(Some(0))
}

const TYPES: &[&str] = &[
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Keywords that refuse values.
const REFUSING: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// The longest `pattern`, in bytes.
const MAX_PATTERN: usize = 500;

/// The longest `format`.
const MAX_WORD: usize = 60;

/// The most names in a list of names.
const MAX_NAMES: usize = 500;
