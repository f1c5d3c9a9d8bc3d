//! Settings of plugins are held against the schemas of a gateway group before they are sent.

use mcp_gw_core::{RawJson, ToolError};

use crate::api7::{Kind, Place};
use crate::http::Target;
use crate::tools::api7::shared::Api7;
use crate::tools::plugins::{Check, plugins_of};

impl Api7 {
    /// Holds the plugins in `body` against their schemas. What could not be checked is said in remarks.
    ///
    /// # Errors
    /// When a plugin does not exist or its settings do not fit: nothing was changed then.
    pub(crate) async fn validate(
        &self,
        kind: Kind,
        place: &Place,
        body: &RawJson,
    ) -> Result<Vec<String>, ToolError> {
        if !kind.has_plugins() {
            return Ok(Vec::new());
        }
        let Some(plugins) = plugins_of(body)? else {
            return Ok(Vec::new());
        };
        let Some(group) = &place.gateway_group_id else {
            return Ok(vec![
                "The settings of plugins were not checked: their schemas are those of a gateway group; give \
                 gateway_group_id to have them checked."
                    .to_owned(),
            ]);
        };
        let check = Check {
            schema: |name: &str| {
                let target = Target::at("/apisix/admin/plugins")
                    .segment("plugins", name)?
                    .query("gateway_group_id", group)?;
                // What a consumer has of a plugin is not what a route has.
                let target = match kind {
                    Kind::Consumer | Kind::Credential => target.query("schema_type", "consumer")?,
                    _ => target,
                };
                target.get()
            },
            names: "read_resource with kind plugin lists them",
            schemas: "read_resource with kind pluginSchema",
        };
        check.run(self, &plugins).await
    }
}
