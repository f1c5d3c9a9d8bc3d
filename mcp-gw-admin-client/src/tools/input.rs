//! What inputs of all APIs have in common. What a doc comment says of a type here stands in the schemas of many tools.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::tools::schema::ID;

// An id of the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Id(#[schemars(length(max = 256), regex(pattern = ID))] pub(crate) String);

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
