//! Settings of plugins are held against the schemas of the API before they are sent.

use bytes::Bytes;
use http::Request;
use mcp_gw_core::{RawJson, ToolError};
use serde_json::{Map, Value};

use crate::http::{Error, RequestError, Transport};
use crate::tools::advice::says;
use crate::tools::desk::{Desk, aside, member, unbuilt};
use crate::tools::redact::{Place, clean};
use crate::tools::schema;

/// More plugins than that are not looked at.
const MOST: usize = 32;

/// What stands beside a plugin's own settings in every plugin.
const META: &str = "_meta";

/// How the plugins of one body are checked.
pub(crate) struct Check<'a, F> {
    /// Asks for the schema of a plugin by its name.
    pub(crate) schema: F,
    /// Where the names of plugins are found.
    pub(crate) names: &'a str,
    /// Where schemas are found.
    pub(crate) schemas: &'a str,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong.
    pub(crate) faults: Vec<String>,
    /// What could not be checked.
    pub(crate) remarks: Vec<String>,
}

/// The plugins in a body, when there are any.
///
/// # Errors
/// When they are no plugins, or given twice: nothing was sent then.
pub(crate) fn plugins_of(body: &RawJson) -> Result<Option<Map<String, Value>>, ToolError> {
    let plugins = member(body, "plugins")?;
    let Some(plugins) = plugins.filter(|plugins| !plugins.is_null()) else {
        return Ok(None);
    };
    let plugins: Map<String, Value> = plugins.decode_owned().map_err(|_| {
        ToolError::invalid_arguments(
            "`plugins` must be an object of settings by name, like {\"key-auth\": {}}. Nothing was sent",
        )
    })?;
    Ok((!plugins.is_empty()).then_some(plugins))
}

impl<F: Fn(&str) -> Result<Request<Bytes>, RequestError>> Check<'_, F> {
    /// Holds plugins against their schemas. What could not be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings do not fit: nothing was changed then.
    pub(crate) async fn run(
        &self,
        desk: &Desk,
        plugins: &Map<String, Value>,
    ) -> Result<Vec<String>, ToolError> {
        let found = self.find(desk, plugins).await?;
        if found.faults.is_empty() {
            Ok(found.remarks)
        } else {
            Err(ToolError::invalid_arguments(format!(
                "{}. Nothing was changed. {} shows how a plugin is set up; with validate: false the settings are sent \
                 unchecked",
                found.faults.join("; "),
                self.schemas
            )))
        }
    }

    /// What is wrong with plugins, and what could not be checked.
    ///
    /// # Errors
    /// When a plugin has a name that nothing can have.
    pub(crate) async fn find(
        &self,
        desk: &Desk,
        plugins: &Map<String, Value>,
    ) -> Result<Findings, ToolError> {
        let mut all = Findings::default();
        let transport = desk.first();
        for (name, settings) in plugins.iter().take(MOST) {
            let request = (self.schema)(name).map_err(unbuilt)?;
            match found(&transport, request).await {
                Ok(Some(found)) => judge(name, &found, settings, &mut all),
                Ok(None) => all.remarks.push(format!(
                    "{name} was not checked: the API has no schema of it."
                )),
                Err(error) if error.is_not_found() => {
                    all.faults
                        .push(format!("there is no plugin {name:?}; {}", self.names));
                }
                // The others would wait as long, or be refused in the same way.
                Err(error) if error.is_transient() || is_refused(&error) => {
                    all.remarks.push(format!(
                        "{name} and the plugins after it were not checked: {}.",
                        says(&error)
                    ));
                    return Ok(all);
                }
                Err(error) => all
                    .remarks
                    .push(format!("{name} was not checked: {}.", says(&error))),
            }
        }
        if plugins.len() > MOST {
            all.remarks
                .push(format!("Only the first {MOST} plugins were checked."));
        }
        Ok(all)
    }
}

fn is_refused(error: &Error) -> bool {
    error.is_unauthorized() || error.is_forbidden()
}

async fn found(transport: &Transport, request: Request<Bytes>) -> Result<Option<Value>, Error> {
    let answer = transport.send(request).await?;
    let body = answer.body.unwrap_or_default();
    let length = body.len();
    let read = move || body.to_value().ok().and_then(inner);
    Ok(aside(length, read).await.ok().flatten())
}

/// The schema itself, out of what the API wraps it in.
fn inner(tree: Value) -> Option<Value> {
    let is_schema = |value: &Value| {
        ["type", "properties", "oneOf", "anyOf", "allOf"]
            .iter()
            .any(|name| value.get(name).is_some())
    };
    let value = tree.get("value").filter(|value| value.is_object()).cloned();
    let tree = value.unwrap_or(tree);
    let below = tree
        .get("schema")
        .filter(|schema| is_schema(schema))
        .cloned();
    below.or_else(|| is_schema(&tree).then_some(tree))
}

fn judge(name: &str, found: &Value, settings: &Value, all: &mut Findings) {
    let Ok(validator) = jsonschema::validator_for(found) else {
        all.remarks.push(format!(
            "{name} was not checked: its schema cannot be used."
        ));
        return;
    };
    let mut settings = settings.clone();
    if let Value::Object(members) = &mut settings {
        members.remove(META);
    }
    let raw = RawJson::from_serialize(&settings).unwrap_or_default();
    let has_secrets = clean(&raw, &Place::at(name), false).redacted > 0;
    let checked = if has_secrets {
        schema::check_secretly(&validator, &settings)
    } else {
        schema::check(&validator, &settings)
    };
    if let Err(problem) = checked {
        all.faults.push(format!("plugin {name}: {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        let schema = json!({"properties": {"key": {"minLength": 99}, "n": {"type": "string"}}});
        let mut all = Findings::default();
        judge(
            "key-auth",
            &schema,
            &json!({"key": "hidden", "n": 7}),
            &mut all,
        );
        assert_eq!(all.faults.len(), 1);
        assert!(all.faults[0].contains("at /key: "), "{:?}", all.faults);
        assert!(!all.faults[0].contains("hidden"), "{:?}", all.faults);
    }

    #[test]
    fn a_schema_is_found_in_what_it_is_wrapped_in() {
        let schema = json!({"type": "object"});
        for wrapped in [
            schema.clone(),
            json!({"value": schema}),
            json!({"schema": schema, "priority": 7}),
            json!({"value": {"schema": schema}}),
        ] {
            assert_eq!(inner(wrapped), Some(schema.clone()));
        }
        assert_eq!(inner(json!({"error": "no"})), None);
        assert_eq!(inner(json!([])), None);
    }
}
