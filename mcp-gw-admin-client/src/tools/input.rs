//! What inputs of all APIs have in common. What a doc comment says of a type here stands in the schemas of many tools.

use schemars::JsonSchema;
use serde::Deserialize;

// An id of the API: never dots alone, which are no id but a way through a path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Id(
    #[schemars(length(max = 256), regex(pattern = r"^\.*[\w-][\w.-]*$"))] pub(crate) String,
);

// A name of the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Name(#[schemars(length(min = 1, max = 256))] pub(crate) String);

/// How a write is made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Writing {
    /// Send nothing; show the exact request.
    pub(crate) dry_run: Option<bool>,
    /// Show secrets in the answer.
    pub(crate) show_secrets: Option<bool>,
}
