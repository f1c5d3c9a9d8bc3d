//! Holding resources against the schemas of APISIX.

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::apisix::plugin::{self, Settings, Subsystem};
use crate::apisix::{Kind, Place};
use crate::http::ErrorKind;
use crate::tools::advice::says;
use crate::tools::apisix::input::{Object, Type};
use crate::tools::apisix::shared::Apisix;
use crate::tools::desk::unbuilt;
use crate::tools::operation::{Effect, Operation};
use crate::tools::plugins::{Check, Findings, plugins_of};
use crate::tools::redact::without_secrets;
use crate::tools::spoken::Spoken;

impl Apisix {
    /// Holds the plugins in `body` against their schemas. What could not be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings do not fit: nothing was changed then.
    pub(crate) async fn check(&self, kind: Kind, body: &RawJson) -> Result<Vec<String>, ToolError> {
        if !kind.has_plugins() {
            return Ok(Vec::new());
        }
        match plugins_of(body)? {
            Some(plugins) => check(kind).run(self, &plugins).await,
            None => Ok(Vec::new()),
        }
    }
}

impl Apisix {
    /// Holds the plugins that a merge patch changes against their schemas, as they are when it is done. What could not
    /// be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings would not fit: nothing was changed then.
    pub(crate) async fn check_change(
        &self,
        kind: Kind,
        id: &str,
        change: &RawJson,
    ) -> Result<Vec<String>, ToolError> {
        if !kind.has_plugins() {
            return Ok(Vec::new());
        }
        let Some(mut changed) = plugins_of(change)? else {
            return Ok(Vec::new());
        };
        // These are removed.
        changed.retain(|_, settings| !settings.is_null());
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let request = kind.get(&Place::root(), id).map_err(unbuilt)?;
        let known = match self.first().send(request).await {
            Ok(answer) => answer.body.and_then(|body| body.to_value().ok()),
            Err(error) if error.is_not_found() => return Err(self.failed(&error)),
            Err(error) => {
                return Ok(vec![format!(
                    "The settings of plugins were not checked, as what is there could not be read: {}.",
                    says(&error)
                )]);
            }
        };
        let Some(known) = known.as_ref().and_then(|known| known.get("value")) else {
            return Ok(vec![
                "The settings of plugins were not checked, as what is there could not be read: the answer has no `value`."
                    .to_owned(),
            ]);
        };
        let plugins: Map<String, Value> = changed
            .into_iter()
            .map(|(name, settings)| {
                let known = known.get("plugins").and_then(|all| all.get(&name));
                let mut merged = known.cloned().unwrap_or_default();
                merge(&mut merged, settings);
                (name, merged)
            })
            .collect();
        check(kind).run(self, &plugins).await
    }
}

/// Changes `known` as a JSON Merge Patch says (RFC 7396).
fn merge(known: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *known = change;
        return;
    };
    if !known.is_object() {
        *known = Value::Object(Map::new());
    }
    let Value::Object(members) = known else {
        return;
    };
    for (name, value) in change {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn check(
    kind: Kind,
) -> Check<'static, impl Fn(&str) -> Result<http::Request<bytes::Bytes>, crate::http::RequestError>>
{
    let subsystem = match kind {
        Kind::StreamRoute => Subsystem::Stream,
        _ => Subsystem::Http,
    };
    // What a consumer has of a plugin is not what a route has.
    let settings = match kind {
        Kind::Consumer | Kind::Credential => Settings::Consumer,
        _ => Settings::Usual,
    };
    Check {
        schema: move |name: &str| plugin::schema(name, subsystem, settings),
        names: "get_all_plugin_names lists them",
        schemas: "get_plugin_schema",
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// The type of resource.
    #[serde(rename = "type")]
    kind: Type,
    /// The whole resource, as it would be sent.
    body: Object,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Verdict {
    /// Whether it is valid; missing when nothing wrong was found and not all could be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    /// What is wrong.
    problems: Vec<String>,
    /// What could not be checked.
    remarks: Vec<String>,
}

pub(crate) struct ValidateResource;

impl Spoken for Verdict {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.problems.iter_mut().for_each(&mut *change);
        self.remarks.iter_mut().for_each(change);
    }
}

impl Operation<Apisix> for ValidateResource {
    const NAME: &'static str = "validate_resource";
    const TITLE: &'static str = "Check a resource";
    const DESCRIPTION: &'static str = "Checks a whole resource, and the settings of its plugins, against the schemas of this \
        APISIX, and stores nothing. Whether ids in it exist is not checked.";
    const EFFECT: Effect = Effect::Reads;
    type Args = Args;
    type Output = Verdict;

    async fn run(shared: &Apisix, args: Args) -> Result<Verdict, ToolError> {
        let kind = args.kind.kind();
        let request = kind.validate(&args.body.raw).map_err(unbuilt)?;
        let mut found = Findings::default();
        match shared.transport.send(request).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Invalid => {
                found
                    .faults
                    .push(without_secrets(&error.message).into_owned());
            }
            Err(error) => return Err(shared.failed(&error)),
        }
        if kind.has_plugins()
            && let Some(plugins) = plugins_of(&args.body.raw)?
        {
            let more = check(kind).find(shared, &plugins).await?;
            found.faults.extend(more.faults);
            found.remarks.extend(more.remarks);
        }
        let is_known = !found.faults.is_empty() || found.remarks.is_empty();
        Ok(Verdict {
            valid: is_known.then_some(found.faults.is_empty()),
            problems: found.faults,
            remarks: found.remarks,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_merged_as_the_standard_has_it() {
        for (known, change, merged) in [
            (
                json!({"a": {"b": 1, "c": 2}}),
                json!({"a": {"b": null, "d": [1]}}),
                json!({"a": {"c": 2, "d": [1]}}),
            ),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!(null), json!({"a": {"b": null}}), json!({"a": {}})),
            (json!({"a": 1}), json!(7), json!(7)),
        ] {
            let mut value = known;
            merge(&mut value, change);
            assert_eq!(value, merged);
        }
    }
}
