//! Which parts of a configuration differ from those of another one, without comparing secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::path::{ConfigPath, Spans};

/// A mark for each section of a file, and for each of its servers. Nothing for a configuration that
/// was made in code.
#[derive(Clone, Default)]
pub(crate) struct Marks {
    is_known: bool,
    sections: BTreeMap<String, u64>,
    servers: BTreeMap<String, u64>,
    /// Texts of servers and APIs in which variables were replaced.
    from_env: BTreeSet<u64>,
}

impl fmt::Debug for Marks {
    // Marks are made of secrets, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks")
    }
}

impl Marks {
    /// The marks of what a file says, once variables are replaced.
    pub(super) fn of(file: &Value) -> Self {
        let section = |name: &str| file.get(name).map_or(0, mark);
        // A server that does not say how long a call waits for its turn has that of its limit.
        let waits = |server: &Value| {
            let says = server
                .get("queue_timeout")
                .is_some_and(|said| !said.is_null());
            (server.get("max_concurrent").is_some() && !says).then(|| section("call_timeout"))
        };
        let servers = file.get("servers").and_then(Value::as_object);
        Self {
            is_known: true,
            sections: file
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), mark(value)))
                .collect(),
            servers: servers
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), mark(&(mark(value), waits(value)))))
                .collect(),
            from_env: BTreeSet::new(),
        }
    }

    /// Remembers in which texts of servers and APIs variables were replaced.
    pub(super) fn with_env(mut self, file: &Value, spans: &Spans) -> Self {
        for section in ["servers", "apis"] {
            if let Some(all) = file.get(section) {
                self.add_from_env(all, &ConfigPath::root().key(section), spans);
            }
        }
        self
    }

    fn add_from_env(&mut self, value: &Value, at: &ConfigPath, spans: &Spans) {
        match value {
            Value::String(text) if spans.is_from_env(at) => {
                self.from_env.insert(mark(text));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add_from_env(item, &at.index(index), spans);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.add_from_env(member, &at.key(key), spans);
                }
            }
            _ => {}
        }
    }

    /// True for a text of a server or API that holds what a variable held: it may be a secret.
    pub(super) fn is_from_env(&self, text: &str) -> bool {
        self.from_env.contains(&mark(&text))
    }

    /// Says that the server `name` is made of this, too: what a file holds that it names.
    pub(super) fn add_to_server(&mut self, name: &str, bytes: &[u8]) {
        if let Some(before) = self.servers.get_mut(name) {
            *before = mark(&(*before, bytes));
        }
    }

    /// The same for a whole section.
    pub(super) fn add_to_section(&mut self, section: &str, bytes: &[u8]) {
        if let Some(before) = self.sections.get_mut(section) {
            *before = mark(&(*before, bytes));
        }
    }

    /// True unless both say the same under the key `section` of the file.
    pub(crate) fn differ(&self, other: &Self, section: &str) -> bool {
        !self.is_known
            || !other.is_known
            || self.sections.get(section) != other.sections.get(section)
    }

    /// True unless both make the same of the server `name`.
    pub(crate) fn differ_in_server(&self, other: &Self, name: &str) -> bool {
        match (self.servers.get(name), other.servers.get(name)) {
            (Some(mark), Some(other)) => mark != other,
            _ => true,
        }
    }
}

fn mark(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_known_by_section_and_server() {
        let file = json!({
            "auth": { "api_keys": [{ "id": "a", "key": "secret" }] },
            "servers": { "a": { "url": "x" }, "b": { "url": "y" },
                "c": { "url": "x", "max_concurrent": 1 },
                "d": { "url": "x", "max_concurrent": 1, "queue_timeout": "1s" } },
        });
        let before = Marks::of(&file);
        assert!(!before.differ(&Marks::of(&file), "auth"));
        let mut other = file.clone();
        other["auth"]["api_keys"][0]["key"] = json!("other");
        other["servers"]["b"]["url"] = json!("z");
        let after = Marks::of(&other);
        assert!(before.differ(&after, "auth"));
        assert!(!before.differ(&after, "policy"), "neither has it");
        assert!(!before.differ_in_server(&after, "a"));
        assert!(before.differ_in_server(&after, "b"));
        assert!(before.differ_in_server(&after, "e"), "neither has it");
        let mut other = file.clone();
        other["call_timeout"] = json!("1s");
        let after = Marks::of(&other);
        let differ = ["a", "b", "c", "d"].map(|name| before.differ_in_server(&after, name));
        assert_eq!(
            differ,
            [false, false, true, false],
            "one waits half as long"
        );
        other["pins"] = json!({ "mode": "warn" });
        let after = Marks::of(&other);
        assert!(before.differ(&after, "pins"));
        assert!(
            !before.differ_in_server(&after, "a"),
            "it stays, whoever judges it"
        );
        let mut other = before.clone();
        other.add_to_server("a", b"what a file holds");
        assert!(before.differ_in_server(&other, "a"));
        assert!(!before.differ_in_server(&other, "b"));
        assert!(
            before.differ(&Marks::default(), "policy"),
            "nothing is known of it"
        );
        assert_eq!(format!("{before:?}"), "Marks");
    }
}
