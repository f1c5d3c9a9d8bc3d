//! The version of a policy: a hash of what it says, whatever the order it says it in.

use std::fmt::Write as _;

use mcp_gw_core::PolicyVersion;

use super::{Digest, PolicyConfig, Sha256, Value};

pub(super) fn of(config: &PolicyConfig) -> PolicyVersion {
    let mut config = config.clone();
    config.rules.sort_by(|a, b| a.id.cmp(&b.id));
    for layer in config.servers.values_mut() {
        layer.rules.sort_by(|a, b| a.id.cmp(&b.id));
    }
    for layer in &mut config.consumers {
        layer.rules.sort_by(|a, b| a.id.cmp(&b.id));
    }
    config.consumers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    match serde_json::to_value(&config) {
        Ok(value) => write_sorted(&value, &mut text),
        // Nothing in a policy fails to be written; were it so, its debug form tells it apart.
        Err(_) => drop(write!(text, "{config:?}")),
    }
    let digest = Sha256::digest(text.as_bytes());
    let bytes = digest.iter().take(8);
    PolicyVersion::new(bytes.fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
}

/// JSON with sorted keys.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in members {
                let _ = write!(text, "{}:", Value::from(key.as_str()));
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => drop(write!(text, "{plain}")),
    }
}
