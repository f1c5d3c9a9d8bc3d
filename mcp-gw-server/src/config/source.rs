//! From the text of a file to a typed value, with every fault located.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::expand;
use super::fault::{ConfigFaults, Fault, SHOWN};
use super::marks::Marks;
use super::path::{ConfigPath, Spans};
use super::structure;
use super::tree;

/// A value read from a file, and where in the file its parts are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded<T> {
    /// What the file says.
    pub value: T,
    /// Where it says it; later checks locate their faults with it.
    pub spans: Spans,
}

/// Reads YAML (of which JSON is a part) into `T`.
///
/// `${VAR}` and `${VAR:-default}` in texts are replaced through `env`; `$${` stands for `${`. What
/// the environment holds is text: it is not read as YAML and no message repeats it. An empty file
/// is an empty mapping. A key without a value is a fault, never a default.
///
/// `file_name` only labels the faults.
///
/// # Errors
///
/// Every fault of the file at once: bad YAML, duplicate and unknown keys, unset variables, values
/// that do not fit the schema of `T`.
pub fn load<T: DeserializeOwned + JsonSchema>(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded<T>, ConfigFaults> {
    let read = Read::of::<T>(file_name, text, env)?;
    read.typed()
        .map_err(|faults| ConfigFaults::new(file_name, faults))
}

/// A file that was read and held against its schema.
pub(super) struct Read {
    schema: Value,
    value: Value,
    spans: Spans,
    faults: Vec<Fault>,
    /// How many of the faults, from the first on, are about text that is of the right kind but not
    /// known: variables that are not set.
    unset: usize,
}

/// What a faulty file still says once its faulty parts are left out.
pub(super) struct Salvaged<T> {
    pub(super) value: T,
    pub(super) marks: Marks,
    pub(super) spans: Spans,
    pub(super) faults: Vec<Fault>,
    /// The parts that were left out.
    pub(super) lost: Vec<ConfigPath>,
    /// The parts whose text is not known.
    pub(super) unset: Vec<ConfigPath>,
}

impl Read {
    /// Reads a file. Only text that is no YAML at all ends here.
    pub(super) fn of<T: JsonSchema>(
        file_name: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFaults> {
        let mut root =
            tree::parse(text).map_err(|fault| ConfigFaults::new(file_name, vec![fault]))?;
        let mut twice = Vec::new();
        root.duplicates(&ConfigPath::root(), &mut twice);
        let mut faults = Vec::new();
        let resolve = |inside: &str| expand::from_env(inside, env);
        expand::expand_tree(&mut root, &ConfigPath::root(), &resolve, &mut faults);
        let unset = faults.len();
        faults.extend(twice);
        let (spans, value, schema) = (root.spans(), root.to_json(), schema_of::<T>());
        let known: Vec<ConfigPath> = faults.iter().map(|fault| fault.path().clone()).collect();
        let structural = structure::faults(&schema, &value, &spans);
        faults.extend(
            structural
                .into_iter()
                .filter(|fault| !known.contains(fault.path())),
        );
        Ok(Self {
            schema,
            value,
            spans,
            faults,
            unset,
        })
    }

    /// Takes what a variable holds for a number where one is wanted and it is written in digits: for files
    /// whose readers always did.
    pub(super) fn with_numbers(mut self) -> Self {
        let mut changed = Vec::new();
        let faults = self.faults.iter().skip(self.unset);
        for path in faults.map(Fault::path) {
            let found = self.value.pointer_mut(&path.pointer());
            let Some(found) = found.filter(|_| self.spans.is_from_env(path)) else {
                continue;
            };
            let digits = found.as_str().map(str::trim);
            let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            if let Some(number) = digits.and_then(|text| text.parse::<u64>().ok()) {
                *found = number.into();
                changed.push(path.clone());
            }
        }
        if !changed.is_empty() {
            let mut again = structure::faults(&self.schema, &self.value, &self.spans);
            again.retain(|fault| changed.contains(fault.path()));
            self.faults.retain(|fault| !changed.contains(fault.path()));
            self.faults.extend(again);
        }
        self
    }

    /// What the file says, once variables are replaced.
    pub(super) const fn value(&self) -> &Value {
        &self.value
    }

    /// The typed value, when there is no fault.
    pub(super) fn typed<T: DeserializeOwned>(self) -> Result<Loaded<T>, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        match serde_path_to_error::deserialize(&self.value) {
            Ok(value) => Ok(Loaded {
                value,
                spans: self.spans,
            }),
            Err(error) => Err(vec![refused(&error, &self.value, &self.spans)]),
        }
    }

    /// The typed value of what is not faulty, so that later checks can find what else is wrong; or
    /// the faults alone, when nothing is left.
    pub(super) fn salvage<T: DeserializeOwned>(mut self) -> Result<Salvaged<T>, Vec<Fault>> {
        let marks = Marks::of(&self.value).with_env(&self.value, &self.spans);
        let mut lost = Vec::new();
        let paths = self.faults.iter().map(|fault| fault.path().clone());
        let mut unset: Vec<ConfigPath> = paths.collect();
        let mut faulty = unset.split_off(self.unset);
        // Leaving a part out can make what holds it incomplete; each round goes one level up.
        for _ in 0..ROUNDS {
            let before = lost.len();
            for path in faulty {
                // What went before this round may be what is missing now.
                let mut gone = lost.iter().skip(before);
                if gone.any(|gone: &ConfigPath| gone.holds(&path)) {
                    continue;
                }
                let gone = path.prune(&mut self.value);
                if gone.is_root() {
                    return Err(self.faults);
                }
                lost.push(gone);
            }
            faulty = structure::faults(&self.schema, &self.value, &self.spans)
                .iter()
                .map(|fault| fault.path().clone())
                .collect();
            if faulty.is_empty() {
                break;
            }
        }
        match serde_path_to_error::deserialize(&self.value) {
            Ok(value) => Ok(Salvaged {
                value,
                marks,
                spans: self.spans,
                faults: self.faults,
                lost,
                unset,
            }),
            // What the schema lets pass and the type does not, such as an integer that is too great.
            Err(error) if self.faults.is_empty() => {
                Err(vec![refused(&error, &self.value, &self.spans)])
            }
            Err(_) => Err(self.faults),
        }
    }
}

const ROUNDS: usize = 8;

/// The text of the file at `path`.
///
/// # Errors
///
/// One fault that says what to do when the file is missing, unreadable, a directory, not UTF-8, or
/// larger than 16 MiB.
pub fn read_file(path: &Path) -> Result<String, ConfigFaults> {
    read(path).map_err(|(message, help)| {
        let fault = Fault::new(ConfigPath::root(), message).with_help(help);
        ConfigFaults::new(path.display().to_string(), vec![fault])
    })
}

/// The JSON Schema that files of type `T` are checked against.
///
/// It differs from what schemars makes by default in that no key may be `null`.
pub fn schema_of<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    without_null(&mut schema);
    schema
}

/// True when a text has keys of a gateway's configuration that a policy does not have, rather than
/// being a policy in a file of its own.
#[cfg(feature = "cli")]
pub(crate) fn is_gateway_file(text: &str) -> bool {
    let Ok(Value::Object(file)) = tree::parse(text).map(|root| root.to_json()) else {
        return false;
    };
    if super::seed::is_seed(text) {
        return true;
    }
    let keys = |schema: Value| match schema.get("properties") {
        Some(Value::Object(keys)) => keys.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let (ours, of_policy) = (
        keys(schema_of::<super::Config>()),
        keys(schema_of::<super::PolicyConfig>()),
    );
    let is_ours = |key: &String| ours.contains(key) && !of_policy.contains(key);
    // Both have servers: there they are layers of rules, here they say where a server is.
    let is_server = |server: &Value| {
        let of_server = ["command", "url", "replicas"];
        of_server.iter().any(|key| server.get(key).is_some())
    };
    let servers = file.get("servers").and_then(Value::as_object);
    file.keys().any(is_ours) || servers.is_some_and(|all| all.values().any(is_server))
}

/// What serde refuses although the schema allows it.
fn refused(
    error: &serde_path_to_error::Error<serde_json::Error>,
    root: &Value,
    spans: &Spans,
) -> Fault {
    use serde_path_to_error::Segment;
    let mut value = Some(root);
    let mut path = ConfigPath::root();
    for segment in error.path() {
        match segment {
            Segment::Map { key } => {
                path = path.key(key);
                value = value.and_then(|value| value.get(key));
            }
            Segment::Seq { index } => {
                path = path.index(*index);
                value = value.and_then(|value| value.get(*index));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let text = error.inner().to_string();
    // A message of serde may repeat the value, which may be a secret: only a number is harmless.
    let repeats = value
        .and_then(Value::as_str)
        .is_some_and(|value| text.contains(value));
    let message = if repeats || text.chars().count() > 4 * SHOWN {
        "the value is not accepted".to_owned()
    } else {
        text
    };
    let position = spans.locate(&path);
    Fault::new(path, message)
        .with_help("see docs/configuration.md for what this key takes")
        .with_position(position)
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
                alternatives.retain(|one| one.get("type") != Some(&Value::from("null")));
                if let [Value::Object(one)] = alternatives.as_mut_slice() {
                    let one = std::mem::take(one);
                    object.remove("anyOf");
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

fn read(path: &Path) -> Result<String, (String, String)> {
    let refuse = |message: &str, help: &str| Err((message.to_owned(), help.to_owned()));
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return match error.kind() {
                ErrorKind::NotFound => refuse(
                    "there is no such file",
                    "check the path, or create the file",
                ),
                ErrorKind::PermissionDenied => refuse(
                    "this program may not read the file",
                    "give its user read permission, or run it as the owner of the file",
                ),
                kind => Err((
                    format!("the file cannot be opened: {kind}"),
                    "check the path".to_owned(),
                )),
            };
        }
    };
    if metadata.is_dir() {
        return refuse("this is a directory", "name the file in it");
    }
    let mut bytes = Vec::new();
    if let Err(error) = file
        .take(MAX_FILE.saturating_add(1))
        .read_to_end(&mut bytes)
    {
        return Err((
            format!("the file cannot be read: {}", error.kind()),
            "try again".to_owned(),
        ));
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return refuse(
            "the file is larger than 16 MiB",
            "check that this is the right file",
        );
    }
    String::from_utf8(bytes).or_else(|_| {
        refuse(
            "the file is not UTF-8 text",
            "save it as UTF-8, or check that it is the right file",
        )
    })
}

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;
