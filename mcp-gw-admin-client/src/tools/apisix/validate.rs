//! Holding resources against the schemas of APISIX.

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apisix::Kind;
use crate::apisix::plugin::{self, Settings, Subsystem};
use crate::http::ErrorKind;
use crate::tools::apisix::input::{Object, Type};
use crate::tools::apisix::shared::Apisix;
use crate::tools::desk::unbuilt;
use crate::tools::operation::{Effect, Operation};
use crate::tools::plugins::{Check, Findings, plugins_of};

impl Apisix {
    /// Holds the plugins in `body` against their schemas. What could not be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings do not fit: nothing was sent then.
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
    /// Nothing wrong was found.
    valid: bool,
    /// What is wrong.
    problems: Vec<String>,
    /// What could not be checked.
    remarks: Vec<String>,
}

pub(crate) struct ValidateResource;

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
            Err(error) if error.kind == ErrorKind::Invalid => found.faults.push(error.message),
            Err(error) => return Err(shared.failed(&error)),
        }
        if kind.has_plugins()
            && let Some(plugins) = plugins_of(&args.body.raw)?
        {
            let more = check(kind).find(shared, &plugins).await?;
            found.faults.extend(more.faults);
            found.remarks.extend(more.remarks);
        }
        Ok(Verdict {
            valid: found.faults.is_empty(),
            problems: found.faults,
            remarks: found.remarks,
        })
    }
}
