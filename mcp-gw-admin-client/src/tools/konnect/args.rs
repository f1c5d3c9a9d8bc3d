//! What arguments of these tools have in common.

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::konnect::Uuid;
use crate::konnect::ids::ScopedId;
use crate::tools::schema::UUID;

// A UUID, alone or behind that of its control plane.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Uid(#[schemars(regex(pattern = UUID))] pub(crate) String);

impl Uid {
    /// # Errors
    /// When it is no id; `what` is the argument.
    pub(crate) fn scoped(&self, what: &str) -> Result<ScopedId, ToolError> {
        ScopedId::parse(&self.0).map_err(|error| {
            let text = crate::http::one_line(&self.0, 80);
            ToolError::invalid_arguments(format!(
                "`{what}` is {text:?}, which {error}. Take the id out of the result of an earlier call"
            ))
        })
    }

    /// Without the control plane that may be before it.
    ///
    /// # Errors
    /// As [`Uid::scoped`].
    pub(crate) fn bare(&self, what: &str) -> Result<Uuid, ToolError> {
        let id = self.scoped(what)?.id;
        id.parse()
            .map_err(|error| ToolError::invalid_arguments(format!("`{what}` {error}")))
    }
}

/// An argument that an operation cannot do without.
///
/// # Errors
/// When it is missing.
pub(crate) fn needed<T>(value: Option<T>, what: &str, operation: &str) -> Result<T, ToolError> {
    value.ok_or_else(|| {
        ToolError::invalid_arguments(format!(
            "`{what}` is missing: the operation {operation} wants it. Nothing was asked"
        ))
    })
}

/// Refuses an argument that an operation does not look at: it would seem to filter.
///
/// # Errors
/// When it is there.
pub(crate) fn unused<T>(value: Option<&T>, what: &str, operation: &str) -> Result<(), ToolError> {
    if value.is_none() {
        return Ok(());
    }
    Err(ToolError::invalid_arguments(format!(
        "`{what}` is not for the operation {operation}: leave it out, or choose another operation. Nothing was asked"
    )))
}
