//! Descriptions in the shapes of real products: how much of them becomes tools, and what arrives.
#![cfg(test)]

mod calls;
mod corpus;
mod sample;
mod served;

use std::path::PathBuf;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// The descriptions in `shapes`, by name.
fn shapes() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/shapes");
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it != "md") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            all.push((name, std::fs::read(path).unwrap()));
        }
    }
    all.sort();
    all
}

/// A description as a tree, read by other means than those that are tested.
fn tree(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| json_of(&Yaml::load_from_str(text).unwrap()[0]))
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => Value::from(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => Value::from(value.to_string()),
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(members) => {
            let mut map = Map::new();
            for (key, value) in members {
                match (json_of(key), json_of(value)) {
                    (Value::String(key), Value::Object(more)) if key == "<<" => {
                        for (key, value) in more {
                            map.entry(key).or_insert(value);
                        }
                    }
                    (Value::String(key), value) => {
                        map.insert(key, value);
                    }
                    (key, value) => {
                        map.insert(key.to_string(), value);
                    }
                }
            }
            Value::Object(map)
        }
        _ => Value::Null,
    }
}
