//! What inputs of all APIs have in common.

use schemars::JsonSchema;
use serde::Deserialize;

/// An id of the API: never dots alone, which are no id but a way through a path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Id(
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    )]
    pub(crate) String,
);

/// A name of the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Name(#[schemars(length(min = 1, max = 256))] pub(crate) String);

/// How a write is made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Writing {
    /// Send nothing; answer with the exact request that would be sent.
    pub(crate) dry_run: Option<bool>,
    /// Show keys, passwords and tokens in the answer instead of "[redacted]".
    pub(crate) show_secrets: Option<bool>,
}
