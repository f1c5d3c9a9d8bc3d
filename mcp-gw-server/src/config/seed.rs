//! The configuration of API Gateway MCP, `api-gateway-mcp-config.yaml`, and its environment variables: read
//! as they stand and made into a [`Config`].

mod apis;
mod env;
mod file;
mod keys;
mod map;
mod report;
mod translate;

use std::path::Path;

use serde_json::{Map, Value, json};

use super::check::Checker;
use super::fault::{ConfigFaults, Fault};
use super::marks::Marks;
use super::path::{ConfigPath, Spans};
use super::platform;
use super::source;
use super::tree;
use super::types::Config;
pub(super) use map::Places;

use env::Variables;
use file::SeedFile;
use translate::translate;

/// The variable without which the others mean nothing.
const APIS: &str = "ALLOWED_APIS";

/// Keys at the top of such a file, besides `api_gateway` and `server`.
const KEYS: [&str; 9] = [
    "rate_limits",
    "authentication",
    "token_validation",
    "api_keys",
    "security",
    "request_validation",
    "audit_logging",
    "monitoring",
    "alerts",
];

/// True for a file of API Gateway MCP.
pub(super) fn is_seed(text: &str) -> bool {
    let Ok(Value::Object(file)) = tree::parse(text).map(|root| root.to_json()) else {
        return false;
    };
    if file.contains_key("api_gateway") {
        return true;
    }
    // A single `server` may be a misspelling of `servers`.
    let is_server = file.get("server").is_some_and(|server| {
        let keys = ["name", "version", "port", "host"];
        keys.iter().any(|key| server.get(key).is_some())
    });
    if !is_server && !KEYS.iter().any(|key| file.contains_key(*key)) {
        return false;
    }
    let ours = source::schema_of::<Config>();
    let is_ours = |key: &String| ours.pointer(&format!("/properties/{key}")).is_some();
    !file.keys().any(is_ours)
}

impl Config {
    /// What the variables of API Gateway MCP say without a file: `ALLOWED_APIS`, the addresses of the
    /// APIs with commas between them; `RATE_LIMIT`, how many requests a caller may send to each in a minute
    /// (100 if not set); `AUTH_REQUIRED`, `true` or `false`. Otherwise what those of MCP Platform say, if there
    /// is one, such as `GATEWAY_DATABASE_URL` or `GATEWAY_PORT`. `None` if none is set, or all are empty.
    ///
    /// # Errors
    /// Every fault at once. None repeats what a variable holds.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Option<Result<Self, ConfigFaults>> {
        if env(APIS).is_none_or(|apis| apis.trim().is_empty()) {
            return platform::from_env(env);
        }
        let config = made("environment", &SeedFile::default(), None, env, &|_| true);
        Some(config.map(|mut config| {
            config.marks = marks(&Value::Null, env);
            config
        }))
    }
}

/// Reads such a file; variables of the environment are stronger than what it says.
pub(super) fn load(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigFaults> {
    let all = |faults| ConfigFaults::new(file_name, faults);
    let read = source::Read::of::<SeedFile>(file_name, text, env)?.with_numbers();
    let found_marks = marks(read.value(), env);
    let found = read.salvage::<SeedFile>().map_err(all)?;
    let is_certain = |fault: &Fault| found.faults.is_empty() || found.is_certain(fault);
    let spans = Some(&found.spans);
    let made = made(file_name, &found.value, spans, env, &is_certain);
    let mut config = match made {
        Ok(_) if !found.faults.is_empty() => return Err(all(found.faults)),
        Ok(config) => config,
        Err(faults) => {
            let mut faults = faults.faults().to_vec();
            faults.extend(found.faults);
            return Err(all(faults));
        }
    };
    config.marks = found_marks;
    let path = Path::new(file_name);
    config.pins.or_beside(path);
    Ok(config)
}

/// The configuration that this means, looked over as any other; faults that `is_certain` refuses come
/// from other faults. Without `spans` there is no file.
fn made(
    file_name: &str,
    file: &SeedFile,
    spans: Option<&Spans>,
    env: &dyn Fn(&str) -> Option<String>,
    is_certain: &dyn Fn(&Fault) -> bool,
) -> Result<Config, ConfigFaults> {
    let (variables, mut faults) = Variables::read(env);
    let mut checker = spans.map_or(Checker::nowhere(), Checker::new);
    let translated = translate(&mut checker, file, &variables);
    let (mut config, places) = (translated.config, translated.places);
    faults.extend(translated.of_env);
    if let Some(folder) = Path::new(file_name).parent() {
        config.anchor(folder);
    }
    report::not_active(&mut checker, file);
    let (of_file, mut remarks) = checker.into_parts();
    faults.extend(of_file.into_iter().filter(is_certain));
    let (found, told) = Checker::nowhere().run(&config);
    let nothing = Spans::default();
    let spans = spans.unwrap_or(&nothing);
    let mut found = places.of_theirs(found, spans, !faults.is_empty());
    // Nothing is behind the gateway where its list has faults, which are told of; and this file has no
    // such key.
    let servers = ConfigPath::root().key("servers");
    found.retain(|fault| *fault.path() != servers);
    for fault in found.into_iter().filter(is_certain) {
        if !faults.iter().any(|known| known.path() == fault.path()) {
            faults.push(fault);
        }
    }
    if faults.is_empty() {
        remarks.extend(places.of_theirs(told, spans, false));
        config.remarks = Some(remarks);
        return Ok(config);
    }
    let mut once: Vec<Fault> = Vec::with_capacity(faults.len());
    for fault in faults {
        if !once.contains(&fault) {
            once.push(fault);
        }
    }
    Err(ConfigFaults::new(file_name, once))
}

/// What stands for each section of ours, to know what a later file says differently.
fn marks(file: &Value, env: &dyn Fn(&str) -> Option<String>) -> Marks {
    let file = file.as_object().cloned().unwrap_or_default();
    let at = |key: &str| file.get(key).cloned().unwrap_or_default();
    let in_all = |keys: &[&str]| {
        let all = keys.iter().map(|key| ((*key).to_owned(), at(key)));
        Value::Object(all.collect::<Map<_, _>>())
    };
    let variables = ["ALLOWED_APIS", "RATE_LIMIT", "AUTH_REQUIRED"].map(env);
    let gateway = at("api_gateway");
    let server = at("server");
    let of = |holder: &Value, key: &str| holder.get(key).cloned().unwrap_or_default();
    let inner = |keys: &[&str]| {
        let all = keys.iter().map(|key| of(&gateway, key));
        all.collect::<Vec<_>>()
    };
    let auth = in_all(&["authentication", "token_validation", "api_keys"]);
    let security = in_all(&["security", "request_validation"]);
    let rates = json!([
        at("rate_limits"),
        of(&gateway, "rate_limits"),
        of(&gateway, "allowed_apis")
    ]);
    Marks::of(&json!({
        "name": of(&server, "name"),
        "version": of(&server, "version"),
        "http": [server, security, inner(&["security", "request_validation"])],
        "auth": [
            auth,
            inner(&["authentication", "token_validation", "api_keys"]),
            variables[2],
        ],
        "policy": [security, gateway.get("security")],
        "limits": [rates, variables],
        "metrics": [at("monitoring"), of(&gateway, "monitoring")],
        "apis": [of_apis(&file), variables[0]],
    }))
}

/// What of a file makes its APIs what they are: neither limits nor callers begin them anew.
fn of_apis(file: &Map<String, Value>) -> Value {
    let nothing = Map::new();
    let within = |holder: &'_ Map<String, Value>, key: &str| -> Map<String, Value> {
        let inner = holder.get(key).and_then(Value::as_object);
        inner.unwrap_or(&nothing).clone()
    };
    let gateway = within(file, "api_gateway");
    let holders = [file.clone(), gateway.clone()];
    let inner = |key: &str| holders.each_ref().map(|holder| within(holder, key));
    let is_shown_to_apis = |key: &&Value| key.get("allowed_apis").is_some();
    let of_authentication = inner("authentication");
    let keys = holders
        .iter()
        .chain(&of_authentication)
        .filter_map(|holder| {
            let keys = holder.get("api_keys")?.as_array()?;
            Some(keys.iter().filter(is_shown_to_apis).cloned().collect())
        });
    let keys: Vec<Vec<Value>> = keys.collect();
    let of_security = inner("security");
    let bodies = holders.iter().chain(&of_security);
    let bodies: Vec<Option<Value>> = bodies
        .map(|holder| holder.get("request_validation").cloned())
        .collect();
    json!([gateway.get("allowed_apis"), keys, bodies])
}

#[cfg(test)]
mod tests;
