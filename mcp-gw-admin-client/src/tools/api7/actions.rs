//! The resource that says which actions and resources permission policies can name.

use mcp_gw_core::{Feature, ItemSpec, ObjectWriter, RawJson, SpecError};

/// Its address.
pub(crate) const URI: &str = "text://policy-resources-actions.json";

/// Its text.
pub(crate) const TEXT: &str = include_str!("policy_actions.json");

const KIND: &str = "application/json";

/// As `resources/list` shows it.
pub(crate) fn spec() -> Result<ItemSpec, SpecError> {
    let definition = ObjectWriter::default()
        .string("uri", URI)
        .string("name", "policy-resources-actions")
        .string("title", "Actions and resources of permission policies")
        .string(
            "description",
            "What the statements of a permission policy can name. Read it before create_permission_policy and \
             update_permission_policy.",
        )
        .string("mimeType", KIND)
        .finish();
    ItemSpec::from_definition(Feature::Resource, definition)
}

/// A `ReadResourceResult`.
pub(crate) fn contents() -> RawJson {
    let content = ObjectWriter::default()
        .string("uri", URI)
        .string("mimeType", KIND)
        .string("text", TEXT)
        .finish();
    ObjectWriter::default()
        .array("contents", [&content])
        .finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_is_there_once_with_its_resource() {
        let list: serde_json::Value = serde_json::from_str(TEXT).unwrap();
        let entries = list["entries"].as_array().unwrap();
        let mut actions = BTreeSet::new();
        for entry in entries {
            let action = entry["action"].as_str().unwrap();
            assert!(action.starts_with("gateway:") || action.starts_with("iam:"));
            assert!(entry["resource"].as_str().unwrap().starts_with("arn:api7:"));
            assert!(actions.insert(action), "{action}");
        }
        assert_eq!(actions.len(), 81);
        assert_eq!(actions.iter().filter(|a| a.starts_with("iam:")).count(), 26);
    }
}
