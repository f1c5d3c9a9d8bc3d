//! Settings of plugins are held against the schemas of the API before they are sent.

use mcp_gw_core::{RawJson, ToolError};
use serde_json::{Map, Value};

use crate::api7::{Kind, Place};
use crate::http::{Error, Target};
use crate::tools::api7::shared::{Api7, unbuilt};
use crate::tools::schema;

/// More plugins than that are not looked at.
const MOST: usize = 32;

/// What stands beside a plugin's own settings in every plugin.
const META: &str = "_meta";

impl Api7 {
    /// Holds the plugins in `body` against their schemas. What could not be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings do not fit: nothing was sent then.
    pub(crate) async fn validate(
        &self,
        kind: Kind,
        place: &Place,
        body: &RawJson,
    ) -> Result<Vec<String>, ToolError> {
        let mut remarks = Vec::new();
        let plugins = body.member("plugins").ok().flatten();
        let plugins = plugins.and_then(|raw| raw.decode_owned::<Map<String, Value>>().ok());
        let Some(plugins) = plugins.filter(|plugins| kind.has_plugins() && !plugins.is_empty())
        else {
            return Ok(remarks);
        };
        let Some(group) = &place.gateway_group_id else {
            remarks.push(
                "The settings of plugins were not checked: their schemas are those of a gateway group; give \
                 gateway_group_id to have them checked."
                    .to_owned(),
            );
            return Ok(remarks);
        };
        let mut faults = Vec::new();
        for (name, settings) in plugins.iter().take(MOST) {
            match self.schema(kind, group, name).await {
                Ok(Some(found)) => judge(name, &found, settings, &mut faults, &mut remarks),
                Ok(None) => remarks.push(format!(
                    "{name} was not checked: the API has no schema of it."
                )),
                Err(Failed::Unbuilt(error)) => return Err(error),
                Err(Failed::Api(error)) if error.is_not_found() => {
                    faults.push(format!(
                        "there is no plugin {name:?}; read_resource with kind plugin lists them"
                    ));
                }
                Err(Failed::Api(error)) => {
                    remarks.push(format!("{name} was not checked: {error}."));
                }
            }
        }
        if plugins.len() > MOST {
            remarks.push(format!("Only the first {MOST} plugins were checked."));
        }
        if faults.is_empty() {
            Ok(remarks)
        } else {
            Err(ToolError::invalid_arguments(format!(
                "{}. Nothing was sent. read_resource with kind pluginSchema shows how a plugin is set up; with \
                 validate: false the settings are sent unchecked",
                faults.join("; ")
            )))
        }
    }

    async fn schema(&self, kind: Kind, group: &str, plugin: &str) -> Result<Option<Value>, Failed> {
        let target = Target::at("/apisix/admin/plugins")
            .segment("plugins", plugin)
            .and_then(|target| target.query("gateway_group_id", group));
        // What a consumer has of a plugin is not what a route has.
        let target = match kind {
            Kind::Consumer | Kind::Credential => {
                target.and_then(|target| target.query("schema_type", "consumer"))
            }
            _ => target,
        };
        let request = target
            .and_then(Target::get)
            .map_err(|error| Failed::Unbuilt(unbuilt(error)))?;
        let answer = self.client.raw(request).await.map_err(Failed::Api)?;
        let tree = answer.body.and_then(|body| body.to_value().ok());
        Ok(tree.and_then(inner))
    }
}

enum Failed {
    Unbuilt(ToolError),
    Api(Error),
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

fn judge(
    name: &str,
    found: &Value,
    settings: &Value,
    faults: &mut Vec<String>,
    remarks: &mut Vec<String>,
) {
    let Ok(validator) = jsonschema::validator_for(found) else {
        remarks.push(format!(
            "{name} was not checked: its schema cannot be used."
        ));
        return;
    };
    let mut settings = settings.clone();
    if let Value::Object(members) = &mut settings {
        members.remove(META);
    }
    if let Err(problem) = schema::check(&validator, &settings) {
        faults.push(format!("plugin {name}: {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
