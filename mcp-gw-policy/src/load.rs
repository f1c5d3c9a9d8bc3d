//! A policy from the text of a file of its own.

use std::borrow::Cow;
use std::collections::BTreeSet;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use serde_path_to_error::{Path, Segment};

use crate::compile::{Known, compile};
use crate::config::PolicyConfig;
use crate::fault::{FaultPath, PolicyFault, PolicyFaults, nearest, shown};
use crate::number::keeps_its_digits;
use crate::places::{Places, locate};

impl PolicyConfig {
    /// Reads a policy from YAML, of which JSON is a part, and checks it as
    /// [`PolicyEngine::compile`](crate::PolicyEngine::compile) does. The file holds what stands below
    /// `policy:` in the configuration of a gateway. An empty file is a policy without rules.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines and columns: bad YAML, unknown keys, values that
    /// do not fit, and the faults of the rules.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyFaults> {
        let document = read(text).map_err(|fault| PolicyFaults::new(vec![fault]))?;
        let (config, faults) = checked(document.value, document.faults);
        located(config, faults, &document.places)
    }

    /// Reads a policy that is a value already, and checks it.
    ///
    /// # Errors
    /// Everything that is wrong with it: unknown keys, values that do not fit, faults of the rules.
    pub fn from_value(value: Value) -> Result<Self, PolicyFaults> {
        let (config, faults) = checked(value, Vec::new());
        located(config, faults, &Places::new())
    }
}

/// Reads something else than a policy in the same way; it is told of one fault at a time.
pub(crate) fn value_of<T: DeserializeOwned>(text: &str) -> Result<T, PolicyFaults> {
    let document = read(text).map_err(|fault| PolicyFaults::new(vec![fault]))?;
    let value = serde_path_to_error::deserialize::<_, T>(&document.value);
    let (value, faults) = match value {
        Ok(value) => (Some(value), document.faults),
        Err(error) => {
            let fault = structure_fault(path_of(error.path()), &error.inner().to_string());
            (None, vec![fault])
        }
    };
    located(value, faults, &document.places)
}

/// Where everything in a file is; nothing for what is no YAML.
pub(crate) fn places(text: &str) -> Places {
    read(text)
        .map(|document| document.places)
        .unwrap_or_default()
}

fn checked(value: Value, mut faults: Vec<PolicyFault>) -> (Option<PolicyConfig>, Vec<PolicyFault>) {
    let (config, mut structure) = typed(value);
    faults.append(&mut structure);
    if let Some(config) = &config {
        if let Err(more) = compile(config, &Known::new()) {
            faults.extend(more.into_faults());
        }
    }
    (config, faults)
}

fn located<T>(
    value: Option<T>,
    mut faults: Vec<PolicyFault>,
    places: &Places,
) -> Result<T, PolicyFaults> {
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => {
            for fault in &mut faults {
                fault.position = fault.position.or_else(|| locate(places, &fault.path));
            }
            Err(PolicyFaults::new(faults))
        }
    }
}

/// Reads the value, leaving out what does not fit, until the rest does.
fn typed(mut value: Value) -> (Option<PolicyConfig>, Vec<PolicyFault>) {
    let mut faults = Vec::new();
    check_mappings(&value, &FaultPath::root(), true, &mut faults);
    if !faults.is_empty() {
        return (None, faults);
    }
    while faults.len() < MOST_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, PolicyConfig>(&value) {
            Ok(config) => return (Some(config), faults),
            Err(error) => error,
        };
        let path = path_of(error.path());
        let message = error.inner().to_string();
        let culprit = culprit(&value, &path);
        let rule = culprit
            .as_ref()
            .and_then(|path| at(&mut value, path)?.get("id")?.as_str().map(str::to_owned));
        let mut fault = structure_fault(path, &message);
        fault.rule = rule;
        faults.push(fault);
        let Some(culprit) = culprit else { break };
        leave_out(&mut value, &culprit, faults.len());
    }
    (None, faults)
}

/// A list where a mapping belongs would be read by position, which nobody means.
fn check_mappings(value: &Value, path: &FaultPath, is_layer: bool, faults: &mut Vec<PolicyFault>) {
    let Value::Object(map) = value else {
        let fault = PolicyFault::new(path.clone(), "a mapping is expected here");
        faults.push(fault.with_help("write `key: value` lines"));
        return;
    };
    for (key, value) in map {
        let path = path.key(key);
        match (key.as_str(), value) {
            ("rules" | "consumers", Value::Array(items)) if is_layer => {
                for (at, item) in items.iter().enumerate() {
                    check_mappings(item, &path.index(at), key == "consumers", faults);
                }
            }
            ("servers", Value::Object(servers)) if is_layer => {
                for (name, layer) in servers {
                    check_mappings(layer, &path.key(name), true, faults);
                }
            }
            ("who", value) => check_mappings(value, &path, false, faults),
            _ => {}
        }
    }
}

/// What is left out because of a fault in it: the rule or consumer, so that the places of the others
/// stay, or else the key of the root.
fn culprit(value: &Value, path: &FaultPath) -> Option<FaultPath> {
    let mut culprit = path.clone();
    loop {
        let is_item = matches!(culprit.steps().last(), Some(crate::PathStep::Index(_)));
        let holder = culprit.parent()?;
        let is_list = matches!(
            holder.steps().last(),
            Some(crate::PathStep::Key(key)) if key == "rules" || key == "consumers"
        );
        if (is_item && is_list) || holder == FaultPath::root() {
            let mut value = value.clone();
            return at(&mut value, &culprit).map(|_| culprit);
        }
        culprit = holder;
    }
}

fn at<'v>(value: &'v mut Value, path: &FaultPath) -> Option<&'v mut Value> {
    path.steps()
        .iter()
        .try_fold(value, |value, step| match step {
            crate::PathStep::Key(key) => value.get_mut(key),
            crate::PathStep::Index(index) => value.get_mut(index),
        })
}

fn leave_out(value: &mut Value, culprit: &FaultPath, number: usize) {
    let id = format!("left out {number}");
    match culprit.steps() {
        [crate::PathStep::Key(key)] => {
            if let Some(root) = value.as_object_mut() {
                root.remove(key);
            }
        }
        [.., crate::PathStep::Key(list), _] => {
            if let Some(item) = at(value, culprit) {
                *item = match &**list {
                    "rules" => serde_json::json!({ "id": id, "effect": "allow" }),
                    _ => serde_json::json!({ "name": id, "who": { "ids": ["none"] } }),
                };
            }
        }
        _ => {}
    }
}

fn path_of(path: &Path) -> FaultPath {
    path.iter()
        .fold(FaultPath::root(), |path, segment| match segment {
            Segment::Seq { index } => path.index(*index),
            Segment::Map { key } => path.key(key),
            Segment::Enum { variant } => path.key(variant),
            Segment::Unknown => path,
        })
}

/// What serde says, with a suggestion.
fn structure_fault(path: FaultPath, message: &str) -> PolicyFault {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_word = message.starts_with("unknown ");
    if message.starts_with("invalid type: null") {
        let help = "write the value, or remove the key: without a value it would say nothing";
        return PolicyFault::new(path, "the key has no value").with_help(help);
    }
    if !is_word {
        let help = "see the reference of the policy for what goes here";
        return PolicyFault::new(path, message.to_owned()).with_help(help);
    }
    let word = quoted.next().unwrap_or_default().to_owned();
    let known: Vec<&str> = quoted.collect();
    let what = if message.starts_with("unknown field") {
        "key"
    } else {
        "word"
    };
    let list = known.join("`, `");
    let help = match nearest(&word, known) {
        Some(near) => format!("did you mean `{near}`? Known here: `{list}`"),
        None => format!("known here: `{list}`"),
    };
    PolicyFault::new(path, format!("unknown {what} {}", shown(&word))).with_help(help)
}

/// So many faults of structure are told.
const MOST_FAULTS: usize = 100;

/// YAML as a value that knows where its parts are.
struct Document {
    value: Value,
    places: Places,
    faults: Vec<PolicyFault>,
}

/// Reads one YAML document, without recursion.
fn read(text: &str) -> Result<Document, PolicyFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MOST_BYTES {
        return Err(refusal(
            None,
            "the file is larger than 16 MiB",
            "split the policy",
        ));
    }
    let text = with_pairs(text);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(&text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let help = "check indentation, quotes and brackets here and on the line above";
            refusal(Some(place(error.marker())), "this is not YAML", help)
        })?;
        builder.take(event, place(&span.start))?;
    }
    let value = match builder.root.take() {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(value) => value,
    };
    Ok(Document {
        value,
        places: builder.places,
        faults: builder.faults,
    })
}

/// JSON with its surrogate pairs (RFC 8259 §7) as the characters they stand for; YAML knows of none.
fn with_pairs(text: &str) -> Cow<'_, str> {
    if !text.trim_start().starts_with(['{', '[']) || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
        plain.push_str(before);
        let taken = if let Some(c) = pair(escape) {
            plain.push(c);
            PAIR
        } else {
            // The character after a backslash begins no other escape.
            let next = escape.chars().nth(1).map_or(0, char::len_utf8);
            plain.push_str(escape.get(..1 + next).unwrap_or_default());
            1 + next
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Bytes of an escaped surrogate pair.
const PAIR: usize = 12;

/// The character of a surrogate pair at the start of `text`.
fn pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let units = [unit(0)?, unit(6)?];
    char::decode_utf16(units)
        .next()?
        .ok()
        .filter(|c| c.len_utf16() == 2)
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Value>,
    places: Places,
    faults: Vec<PolicyFault>,
    values: usize,
    documents: usize,
}

/// A list or mapping that is not at its end.
struct Open {
    path: FaultPath,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    /// With the key that waits for its value, and the keys that were there.
    Map(Map<String, Value>, Option<String>, BTreeSet<String>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: (usize, usize)) -> Result<(), PolicyFault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(refusal(
                        Some(at),
                        "a second YAML document starts here",
                        "keep one",
                    ));
                }
            }
            Event::Alias(_) => {
                return Err(refusal(
                    Some(at),
                    "a policy has no aliases",
                    "write the value out",
                ));
            }
            Event::Scalar(text, style, _, tag) => {
                let keeps = style != ScalarStyle::Plain || keeps_its_digits(&text);
                let written = if keeps { None } else { Some(text.to_string()) };
                let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let Some(scalar) = scalar else {
                    return Err(refusal(
                        Some(at),
                        "the tag does not fit the value",
                        "remove the tag",
                    ));
                };
                let path = self.next_path(at)?;
                if let Some(written) = written {
                    let message =
                        format!("{} has more digits than a number keeps", shown(&written));
                    let help = "use fewer digits, or put it in quotes for a text";
                    let mut fault = PolicyFault::new(path.clone(), message).with_help(help);
                    fault.position = Some(at);
                    self.faults.push(fault);
                }
                self.put(path, scalar_value(scalar), at);
            }
            Event::SequenceStart(..) => self.open(Kind::List(Vec::new()), at)?,
            Event::MappingStart(..) => {
                self.open(Kind::Map(Map::new(), None, BTreeSet::new()), at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let value = match open.kind {
                        Kind::List(items) => Value::Array(items),
                        Kind::Map(map, ..) => Value::Object(map),
                    };
                    self.put(open.path, value, at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, at: (usize, usize)) -> Result<(), PolicyFault> {
        if self.open.len() >= DEEPEST {
            return Err(refusal(
                Some(at),
                "this is nested too deeply",
                "no key of a policy is that deep",
            ));
        }
        if matches!(
            self.open.last(),
            Some(Open {
                kind: Kind::Map(_, None, _),
                ..
            })
        ) {
            return Err(refusal(
                Some(at),
                "a list or mapping is used as a key",
                "put the key in quotes",
            ));
        }
        let path = self.next_path(at)?;
        self.places.entry(path.clone()).or_insert(at);
        self.open.push(Open { path, kind });
        Ok(())
    }

    /// Where the next value belongs.
    fn next_path(&mut self, at: (usize, usize)) -> Result<FaultPath, PolicyFault> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(refusal(
                Some(at),
                "there are too many values",
                "make the policy smaller",
            ));
        }
        Ok(match self.open.last() {
            None => FaultPath::root(),
            Some(Open {
                path,
                kind: Kind::List(items),
            }) => path.index(items.len()),
            Some(Open {
                path,
                kind: Kind::Map(_, Some(key), _),
            }) => path.key(key),
            Some(Open {
                path,
                kind: Kind::Map(_, None, _),
            }) => path.clone(),
        })
    }

    fn put(&mut self, path: FaultPath, value: Value, at: (usize, usize)) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return;
        };
        match &mut open.kind {
            Kind::List(items) => items.push(value),
            Kind::Map(map, waiting, seen) => {
                if let Some(key) = waiting.take() {
                    map.entry(key).or_insert(value);
                } else {
                    let key = match value {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    if !seen.insert(key.clone()) {
                        let message = format!("the key {} is written twice", shown(&key));
                        let mut fault = PolicyFault::new(path.key(&key), message)
                            .with_help("keep one of the two");
                        fault.position = Some(at);
                        self.faults.push(fault);
                    }
                    self.places.entry(path.key(&key)).or_insert(at);
                    *waiting = Some(key);
                    return;
                }
            }
        }
        self.places.entry(path).or_insert(at);
    }
}

fn scalar_value(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(value) => Value::Number(value.into()),
        Scalar::FloatingPoint(value) => {
            let value = value.into_inner();
            Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
        }
        Scalar::String(value) => Value::String(value.into_owned()),
    }
}

fn refusal(position: Option<(usize, usize)>, message: &str, help: &str) -> PolicyFault {
    let mut fault = PolicyFault::new(FaultPath::root(), message).with_help(help);
    fault.position = position;
    fault
}

fn place(marker: &Marker) -> (usize, usize) {
    (marker.line().max(1), marker.col().saturating_add(1))
}

const MOST_BYTES: usize = 16 << 20;
const MOST_VALUES: usize = 2_000_000;
const DEEPEST: usize = 64;
