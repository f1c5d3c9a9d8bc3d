//! Schemas of a description as JSON Schema 2020-12 without any reference: small, and never stricter
//! than what was written.
//!
//! References are replaced by what they lead to. What refers to itself, nests too deep or makes the
//! whole too large is cut down to its type: then a schema admits more than the description, never less.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::document::{Document, reference};
use super::keywords;
use crate::rest::text::trimmed;

/// How much of a schema is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Levels of members, items and choices.
    pub(super) depth: usize,
    /// How often something stands in itself.
    pub(super) unroll: usize,
    /// Schemas in all.
    pub(super) nodes: usize,
    /// Characters of a description.
    pub(super) text: usize,
    /// Values of an `enum`.
    pub(super) values: usize,
    pub(super) has_examples: bool,
}

/// A schema that was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) schema: Map<String, Value>,
    /// It admits more than was written.
    is_weak: bool,
    /// It has parts that a check may take less strictly.
    is_loose: bool,
}

impl Made {
    fn weak() -> Self {
        Self {
            is_weak: true,
            ..Self::default()
        }
    }
}

/// Makes schemas within limits.
#[derive(Debug)]
pub(super) struct Maker<'d, 'r> {
    document: &'d Document,
    read_only: &'r mut ReadOnly,
    limits: Limits,
    /// The references that lead to where it is now.
    within: Vec<&'d Value>,
    /// Schemas so far.
    pub(super) nodes: usize,
    /// The limit on them was met.
    pub(super) is_over: bool,
    /// What could not be followed.
    pub(super) faults: BTreeSet<String>,
}

type Names = BTreeSet<String>;

impl<'d, 'r> Maker<'d, 'r> {
    pub(super) fn new(document: &'d Document, read_only: &'r mut ReadOnly, limits: Limits) -> Self {
        Self {
            document,
            read_only,
            limits,
            within: Vec::new(),
            nodes: 0,
            is_over: false,
            faults: BTreeSet::new(),
        }
    }

    /// The schema of something that is sent: members that only answers have (`readOnly`) are left out.
    pub(super) fn make(&mut self, schema: &'d Value) -> Map<String, Value> {
        self.schema(schema, 0, &Names::new()).schema
    }

    /// `hidden` are the members that an enclosing `allOf` leaves out.
    fn schema(&mut self, schema: &'d Value, depth: usize, hidden: &Names) -> Made {
        self.nodes = self.nodes.saturating_add(1);
        self.is_over |= self.nodes > self.limits.nodes;
        match schema {
            Value::Bool(false) => Made {
                schema: object(json!({ "not": {} })),
                ..Made::default()
            },
            Value::Object(_) if self.is_over || depth > self.limits.depth => self.cut(schema),
            Value::Object(members) => match reference(schema) {
                Some(to) => self.referred(to, members, depth, hidden),
                None => self.written(members, depth, hidden),
            },
            Value::Bool(true) => Made::default(),
            _ => Made::weak(),
        }
    }

    /// A schema without its parts: its type, and what it is.
    fn cut(&self, schema: &'d Value) -> Made {
        let mut made = Made::weak();
        let Ok(Value::Object(members)) = self.document.resolve(schema) else {
            return made;
        };
        keywords::types(members, &mut made.schema);
        let text = schema.get("description").or(members.get("description"));
        self.describe(text, &mut made.schema);
        if is_nullable(members) || schema.as_object().is_some_and(is_nullable) {
            keywords::or_null(&mut made.schema);
        }
        made
    }

    fn describe(&self, text: Option<&Value>, schema: &mut Map<String, Value>) {
        let text = text.and_then(Value::as_str).unwrap_or_default();
        if self.limits.text > 0 && !text.trim().is_empty() {
            let text = trimmed(text, self.limits.text);
            schema.insert("description".to_owned(), text.into());
        }
    }

    fn referred(
        &mut self,
        to: &str,
        members: &'d Map<String, Value>,
        depth: usize,
        hidden: &Names,
    ) -> Made {
        let target = match self.document.target(to) {
            Ok(target) => target,
            Err(fault) => {
                self.faults.insert(fault.to_string());
                if self.document.is_3_0 {
                    return Made::weak();
                }
                // What stands beside it still counts.
                let beside = self.written(members, depth.saturating_add(1), hidden);
                return Made {
                    is_weak: true,
                    ..beside
                };
            }
        };
        let times = self.within.iter().filter(|it| std::ptr::eq(**it, target));
        if times.count() >= self.limits.unroll || self.within.len() >= MAX_HOPS {
            return self.cut(target);
        }
        self.within.push(target);
        let mut made = self.schema(target, depth, hidden);
        self.within.pop();
        self.describe(members.get("description"), &mut made.schema);
        // Not what 3.0 says, but what is meant wherever it is written.
        if is_nullable(members) {
            keywords::or_null(&mut made.schema);
        }
        // Before 3.1 nothing beside a reference counts.
        let has_more = members.keys().any(|name| !BESIDE.contains(&name.as_str()));
        if has_more && !self.document.is_3_0 {
            let beside = self.written(members, depth.saturating_add(1), hidden);
            let mut all = Map::new();
            if let Some(text) = made.schema.remove("description") {
                all.insert("description".to_owned(), text);
            }
            let parts = vec![Value::Object(made.schema), Value::Object(beside.schema)];
            all.insert("allOf".to_owned(), Value::Array(parts));
            made = Made {
                schema: all,
                is_weak: made.is_weak | beside.is_weak,
                is_loose: made.is_loose | beside.is_loose,
            };
        }
        made
    }

    fn written(&mut self, members: &'d Map<String, Value>, depth: usize, hidden: &Names) -> Made {
        let mut made = Made::default();
        keywords::plain(members, &self.limits, &mut made.schema, &mut made.is_weak);
        made.is_loose |= made.schema.contains_key("pattern");
        self.describe(members.get("description"), &mut made.schema);

        let own = self.read_only.of(self.document, members);
        let hides = if own.is_empty() {
            Cow::Borrowed(hidden)
        } else {
            Cow::Owned(hidden.union(&own).cloned().collect())
        };
        self.choices(members, depth, &hides, &mut made);
        self.members(members, depth, &hides, &mut made);
        self.items(members, depth, &mut made);
        made.is_weak |= keywords::is_weaker(members, &made.schema);
        if is_nullable(members) {
            keywords::or_null(&mut made.schema);
        }
        made
    }

    fn part(&mut self, schema: &'d Value, depth: usize, hidden: &Names, made: &mut Made) -> Value {
        let part = self.schema(schema, depth.saturating_add(1), hidden);
        made.is_weak |= part.is_weak;
        made.is_loose |= part.is_loose;
        Value::Object(part.schema)
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`, `if`: schemas of the same value.
    fn choices(
        &mut self,
        members: &'d Map<String, Value>,
        depth: usize,
        hidden: &Names,
        made: &mut Made,
    ) {
        for name in ["allOf", "anyOf", "oneOf"] {
            let Some(Value::Array(parts)) = members.get(name) else {
                continue;
            };
            if parts.is_empty() || parts.len() > MAX_CHOICES {
                made.is_weak |= !parts.is_empty();
                continue;
            }
            let mut inner = Made::default();
            let parts: Vec<Value> = parts
                .iter()
                .map(|part| self.part(part, depth, hidden, &mut inner))
                .collect();
            // Of schemas that admit more than was written, more than one may fit.
            let is_choice = name == "oneOf" && !inner.is_weak;
            let name = match name {
                "oneOf" if !is_choice && !made.schema.contains_key("anyOf") => "anyOf",
                name => name,
            };
            if name == "oneOf" && !is_choice {
                made.is_weak = true;
                continue;
            }
            made.is_loose |= inner.is_loose | is_choice;
            made.is_weak |= inner.is_weak;
            made.schema.insert(name.to_owned(), Value::Array(parts));
        }
        // What is refused must be exact.
        if let Some(not) = members.get("not") {
            let mut inner = Made::default();
            let not = self.part(not, depth, &Names::new(), &mut inner);
            self.exact(&["not"], vec![not], &inner, made);
        }
        if let Some(when) = members.get("if") {
            let mut inner = Made::default();
            let when = self.part(when, depth, hidden, &mut inner);
            let mut others = Made::default();
            let mut parts = vec![when];
            for name in ["then", "else"] {
                let then = members.get(name);
                parts.push(then.map_or(Value::Bool(true), |it| {
                    self.part(it, depth, hidden, &mut others)
                }));
            }
            self.exact(&["if", "then", "else"], parts, &inner, made);
            made.is_weak |= others.is_weak;
            made.is_loose |= others.is_loose;
        }
    }

    fn exact(&self, names: &[&str], parts: Vec<Value>, inner: &Made, made: &mut Made) {
        if inner.is_weak || inner.is_loose || self.is_over {
            made.is_weak = true;
            return;
        }
        for (name, part) in names.iter().zip(parts) {
            made.schema.insert((*name).to_owned(), part);
        }
    }

    /// What objects have.
    fn members(
        &mut self,
        members: &'d Map<String, Value>,
        depth: usize,
        hidden: &Names,
        made: &mut Made,
    ) {
        let none = Names::new();
        let mut is_whole = true;
        for keyword in ["properties", "patternProperties", "dependentSchemas"] {
            let Some(Value::Object(schemas)) = members.get(keyword) else {
                continue;
            };
            let is_named = keyword == "properties";
            // Schemas under `dependentSchemas` are of the object itself.
            let hides = if keyword == "dependentSchemas" {
                hidden
            } else {
                &none
            };
            let mut parts = Map::new();
            for (name, schema) in schemas {
                if is_named && hidden.contains(name) {
                    continue;
                }
                if self.is_over {
                    is_whole = false;
                    break;
                }
                let part = self.part(schema, depth, hides, made);
                parts.insert(name.clone(), part);
            }
            made.is_loose |= keyword == "patternProperties";
            if !parts.is_empty() {
                made.schema.insert(keyword.to_owned(), Value::Object(parts));
            }
        }
        keywords::required(members, hidden, &mut made.schema);
        made.is_loose |= keywords::needs_undescribed(&made.schema);
        match members.get("additionalProperties") {
            // With some of the members left out, others are not all that is left.
            _ if !is_whole => made.is_weak = true,
            Some(schema @ (Value::Bool(false) | Value::Object(_))) => {
                let part = match schema {
                    Value::Bool(false) => Value::Bool(false),
                    schema => self.part(schema, depth, &none, made),
                };
                if part != json!({}) {
                    made.schema.insert("additionalProperties".to_owned(), part);
                }
            }
            _ => {}
        }
        if let Some(names @ (Value::Object(_) | Value::Bool(_))) = members.get("propertyNames") {
            let part = self.part(names, depth, &none, made);
            made.schema.insert("propertyNames".to_owned(), part);
        }
    }

    /// What lists have.
    fn items(&mut self, members: &'d Map<String, Value>, depth: usize, made: &mut Made) {
        let none = Names::new();
        match members.get("items") {
            Some(items @ (Value::Object(_) | Value::Bool(_))) => {
                let part = self.part(items, depth, &none, made);
                if part != json!({}) {
                    made.schema.insert("items".to_owned(), part);
                }
            }
            Some(_) => made.is_weak = true,
            None => {}
        }
        if let Some(Value::Array(first)) = members.get("prefixItems") {
            if !first.is_empty() && first.len() <= MAX_CHOICES {
                let parts = first
                    .iter()
                    .map(|it| self.part(it, depth, &none, made))
                    .collect();
                made.schema.insert("prefixItems".to_owned(), parts);
            } else {
                // Without them `items` would be about the wrong ones.
                made.schema.remove("items");
                made.is_weak = true;
            }
        }
        if let Some(contains @ (Value::Object(_) | Value::Bool(_))) = members.get("contains")
            && !members.contains_key("maxContains")
        {
            let part = self.part(contains, depth, &none, made);
            made.schema.insert("contains".to_owned(), part);
            keywords::count(members, "minContains", &mut made.schema);
        }
    }
}

/// Which members only answers have: asked of each schema once, however many lead to it.
#[derive(Debug, Default)]
pub(super) struct ReadOnly(HashMap<usize, Arc<Names>>);

impl ReadOnly {
    /// The names of such members of a schema, here and in each `allOf`.
    fn of(&mut self, document: &Document, members: &Map<String, Value>) -> Arc<Names> {
        let place = std::ptr::from_ref(members) as usize;
        if let Some(names) = self.0.get(&place) {
            return Arc::clone(names);
        }
        let mut names = Names::new();
        let mut left = MAX_PARTS;
        Self::collect(document, members, &mut names, &mut left);
        let names = Arc::new(names);
        self.0.insert(place, Arc::clone(&names));
        names
    }

    fn collect(
        document: &Document,
        members: &Map<String, Value>,
        names: &mut Names,
        left: &mut usize,
    ) {
        if let Some(Value::Object(properties)) = members.get("properties") {
            for (name, schema) in properties {
                let says = |it: &Value| it.get("readOnly") == Some(&Value::Bool(true));
                if says(schema) || document.resolve(schema).is_ok_and(says) {
                    names.insert(name.clone());
                }
            }
        }
        let Some(Value::Array(parts)) = members.get("allOf") else {
            return;
        };
        for part in parts {
            let Some(fewer) = left.checked_sub(1) else {
                return;
            };
            *left = fewer;
            if let Ok(Value::Object(part)) = document.resolve(part) {
                Self::collect(document, part, names, left);
            }
        }
    }
}

fn is_nullable(members: &Map<String, Value>) -> bool {
    members.get("nullable") == Some(&Value::Bool(true))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What beside a `$ref` changes nothing about which values fit.
const BESIDE: &[&str] = &[
    "$ref",
    "description",
    "summary",
    "title",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "externalDocs",
    "xml",
    "default",
    "nullable",
];

/// The most references within each other.
const MAX_HOPS: usize = 48;

/// The most parts of a choice.
const MAX_CHOICES: usize = 200;

/// The most parts of an `allOf`, and of those in it, that are looked through for `readOnly`.
const MAX_PARTS: usize = 100;
