//! One server in another client's file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_gw_core::Secret;

use super::super::expand::{self, Resolved};
use super::super::fault::{Fault, short};
use super::super::path::ConfigPath;
use super::super::server::ServerConfig;
use super::super::tree::{Entry, Kind, Node};
use super::Importer;

/// Whether the client itself would not start it.
pub(super) fn is_disabled(node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    entries
        .iter()
        .any(|entry| match (entry.key.as_str(), &entry.value.kind) {
            ("disabled", Kind::Bool(value)) => *value,
            ("enabled", Kind::Bool(value)) => !*value,
            _ => false,
        })
}

/// Expands the keys that are used; a `${…}` elsewhere is nobody's concern.
pub(super) fn expand(
    node: &mut Node,
    path: &ConfigPath,
    resolve: &dyn Fn(&str) -> Resolved,
    faults: &mut Vec<Fault>,
) {
    let Kind::Map(entries) = &mut node.kind else {
        return;
    };
    for entry in entries
        .iter_mut()
        .filter(|entry| USED.contains(&entry.key.as_str()))
    {
        expand::expand_tree(&mut entry.value, &path.key(&entry.key), resolve, faults);
    }
}

/// The server; `None` if there is a fault.
pub(super) fn read(
    importer: &mut Importer,
    node: &Node,
    path: &ConfigPath,
) -> Option<ServerConfig> {
    let Kind::Map(entries) = &node.kind else {
        let help = "write `{ \"command\": … }` or `{ \"url\": … }`";
        importer.fault(path, node.position, "expected an object", help);
        return None;
    };
    let before = importer.faults.len();
    let mut server = ServerConfig::default();
    let mut kind = None;
    for entry in entries {
        let at = path.key(&entry.key);
        match entry.key.as_str() {
            "type" | "transport" => kind = text(importer, &entry.value, &at),
            "command" => server.command = text(importer, &entry.value, &at),
            "url" | "serverUrl" | "httpUrl" => server.url = text(importer, &entry.value, &at),
            "cwd" => server.cwd = text(importer, &entry.value, &at).map(PathBuf::from),
            "args" => server.args = texts(importer, &entry.value, &at),
            "env" => server.env = mapping(importer, &entry.value, &at),
            "headers" => server.headers = mapping(importer, &entry.value, &at),
            "envFile" => importer.fault(
                &at,
                entry.key_position,
                "an environment file is not read",
                "set its variables before the gateway starts, and name them in `env` as \
                 `\"NAME\": \"${NAME}\"`",
            ),
            "oauth" | "headersHelper" => importer.warning(
                &at,
                entry.key_position,
                format!("`{}` is how this client signs in, which a gateway does not do", entry.key),
                Some("send a token instead: `\"headers\": { \"Authorization\": \"Bearer ${TOKEN}\" }`"),
            ),
            "disabled" | "enabled" => {}
            _ => importer.ignored(&at, entry),
        }
    }
    if let Some(kind) = kind {
        transport(importer, entries, &kind, &server, path);
    }
    (importer.faults.len() == before).then_some(server)
}

/// What `type` says against what the other keys say.
fn transport(
    importer: &mut Importer,
    entries: &[Entry],
    kind: &str,
    server: &ServerConfig,
    path: &ConfigPath,
) {
    let Some(entry) = entries
        .iter()
        .find(|entry| matches!(entry.key.as_str(), "type" | "transport"))
    else {
        return;
    };
    let at = path.key(&entry.key);
    let position = entry.value.position;
    match kind {
        "stdio" | "local" if server.command.is_none() => {
            let help = "add `\"command\"`, or say `\"type\": \"http\"`";
            importer.fault(&at, position, "this type needs a `command`", help);
        }
        "http" | "streamable-http" | "streamableHttp" | "sse" | "remote"
            if server.url.is_none() =>
        {
            let help = "add `\"url\"`, or say `\"type\": \"stdio\"`";
            importer.fault(&at, position, "this type needs a `url`", help);
        }
        "sse" => importer.warning(
            &at,
            position,
            "the transport `sse` is a former one; streamable HTTP is tried instead",
            Some("ask the server's documentation for its streamable HTTP address, often `/mcp`"),
        ),
        "stdio" | "local" | "http" | "streamable-http" | "streamableHttp" | "remote" => {}
        _ => {
            let shown = if entry.value.from_env {
                String::new()
            } else {
                format!(" `{}`", short(kind))
            };
            let message = format!("the transport{shown} is not supported");
            importer.fault(&at, position, message, "use `stdio` or `http`");
        }
    }
}

fn text(importer: &mut Importer, node: &Node, path: &ConfigPath) -> Option<String> {
    let scalar = scalar(node);
    if scalar.is_none() {
        importer.fault(
            path,
            node.position,
            "expected text",
            "put it in double quotes",
        );
    }
    scalar
}

fn texts(importer: &mut Importer, node: &Node, path: &ConfigPath) -> Vec<String> {
    let Kind::List(items) = &node.kind else {
        importer.fault(
            path,
            node.position,
            "expected a list of texts",
            "write `[\"a\", \"b\"]`",
        );
        return Vec::new();
    };
    let items = items.iter().enumerate();
    items
        .filter_map(|(index, item)| text(importer, item, &path.index(index)))
        .collect()
}

fn mapping(
    importer: &mut Importer,
    node: &Node,
    path: &ConfigPath,
) -> BTreeMap<String, Secret<String>> {
    let Kind::Map(entries) = &node.kind else {
        let help = "write `{ \"NAME\": \"value\" }`";
        importer.fault(path, node.position, "expected an object of texts", help);
        return BTreeMap::new();
    };
    let mut values = BTreeMap::new();
    for entry in entries {
        let at = path.key(&entry.key);
        // VS Code removes an inherited variable that is `null`.
        if matches!(entry.value.kind, Kind::Null) {
            let message = "an entry without a value is left out";
            importer.warning(&at, entry.key_position, message, None);
        } else if let Some(value) = text(importer, &entry.value, &at) {
            values.insert(entry.key.clone(), Secret::new(value));
        }
    }
    values
}

/// These clients take numbers for texts, so `"PORT": 8080` is common.
fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The keys that are read, and therefore expanded.
const USED: [&str; 10] = [
    "args",
    "command",
    "cwd",
    "env",
    "headers",
    "httpUrl",
    "serverUrl",
    "transport",
    "type",
    "url",
];
