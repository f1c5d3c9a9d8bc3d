//! What a JSON Patch would write, as far as that can be told without what it changes.

use mcp_gw_core::{RawJson, ToolError};
use serde_json::{Map, Value};

use crate::tools::desk::agree;

/// One operation of a patch.
struct Step {
    op: String,
    /// Where it writes, as steps.
    path: Vec<String>,
    value: Option<RawJson>,
}

/// The plugins that a patch sets as a whole, as a body that has only these, and what of it cannot be checked. `named` is
/// the member that names the resource, and what it says.
///
/// # Errors
/// When an operation lacks what it needs, or gives the resource another name: nothing was sent then.
pub(super) fn patched(
    operations: &RawJson,
    named: (&str, &str),
) -> Result<(RawJson, Vec<String>), ToolError> {
    let all: Vec<RawJson> = operations.decode_owned().unwrap_or_default();
    if all.is_empty() {
        return Err(ToolError::invalid_arguments("`operations` is empty"));
    }
    let mut plugins = Map::new();
    let mut remarks = Vec::new();
    for (at, operation) in all.iter().enumerate() {
        let wrong = |says: &str| {
            ToolError::invalid_arguments(format!("at /operations/{at}: {says}. Nothing was sent"))
        };
        let step = read(operation).map_err(wrong)?;
        let path: Vec<&str> = step.path.iter().map(String::as_str).collect();
        match &*step.op {
            "add" | "replace" => {
                let value = step.value.unwrap_or_default();
                may_name(&path, &value, named)?;
                put(&path, &value, &mut plugins, &mut remarks).map_err(wrong)?;
            }
            "move" | "copy" => match *path.as_slice() {
                [member] if member == named.0 => {
                    return Err(wrong("what names a resource cannot be changed"));
                }
                [] | ["plugins"] => remarks.push(
                    "The settings of plugins were not checked: they come from elsewhere in the resource.".to_owned(),
                ),
                ["plugins", name, ..] => remarks.push(format!(
                    "{} was not checked: its settings come from elsewhere in the resource.",
                    crate::http::one_line(name, 64)
                )),
                _ => {}
            },
            _ => {}
        }
    }
    remarks.dedup();
    let body = RawJson::from_serialize(&Map::from_iter([("plugins".to_owned(), plugins.into())]));
    Ok((body.unwrap_or_else(|_| RawJson::empty_object()), remarks))
}

fn read(operation: &RawJson) -> Result<Step, &'static str> {
    let text = |name: &str| -> Option<String> { operation.member(name).ok()??.decode_owned().ok() };
    let is_pointer = |path: &str| path.is_empty() || path.starts_with('/');
    let (op, path) = (
        text("op").unwrap_or_default(),
        text("path").unwrap_or_default(),
    );
    if !is_pointer(&path) {
        return Err("`path` must begin with a slash: /plugins/limit-count/count");
    }
    if matches!(&*op, "move" | "copy") && !text("from").is_some_and(|from| is_pointer(&from)) {
        return Err("`from` is missing, or does not begin with a slash");
    }
    let value = operation.member("value").ok().flatten();
    if matches!(&*op, "add" | "replace" | "test") && value.is_none() {
        return Err("`value` is missing; write null to put null there");
    }
    let steps = path.split('/').skip(1);
    let path = steps
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    Ok(Step { op, path, value })
}

/// A patch must not give a resource another name than the path has.
fn may_name(path: &[&str], value: &RawJson, named: (&str, &str)) -> Result<(), ToolError> {
    let (member, id) = named;
    match path {
        _ if id.is_empty() => Ok(()),
        [] => agree(member, id, value),
        [last] if *last == member => {
            let body = RawJson::from_serialize(&Map::from_iter([(
                member.to_owned(),
                value.to_value().unwrap_or_default(),
            )]));
            agree(member, id, &body.unwrap_or_default())
        }
        _ => Ok(()),
    }
}

/// Notes what is put at a path.
fn put(
    path: &[&str],
    value: &RawJson,
    plugins: &mut Map<String, Value>,
    remarks: &mut Vec<String>,
) -> Result<(), &'static str> {
    const BY_NAME: &str = "plugins are an object of settings by name";
    match (path, value.to_value().unwrap_or_default()) {
        ([], Value::Object(mut whole)) => match whole.remove("plugins") {
            None | Some(Value::Null) => plugins.clear(),
            Some(Value::Object(all)) => *plugins = all,
            Some(_) => return Err(BY_NAME),
        },
        ([], _) => return Err("a resource is an object"),
        (["plugins"], Value::Object(all)) => plugins.extend(all),
        (["plugins"], _) => return Err(BY_NAME),
        (["plugins", name], settings) => {
            plugins.insert((*name).to_owned(), settings);
        }
        (["plugins", name, ..], _) => remarks.push(format!(
            "{} was not checked: only a part of its settings is changed.",
            crate::http::one_line(name, 64)
        )),
        _ => {}
    }
    Ok(())
}
