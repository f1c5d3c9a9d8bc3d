//! Reading resources, plugins and their schemas.

use std::collections::BTreeMap;

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::apisix::plugin::{self, Settings};
use crate::apisix::{Kind, ListParams, Place};
use crate::tools::apisix::input::{Manager, PluginType, Type};
use crate::tools::apisix::shared::{Apisix, Told};
use crate::tools::input::{Id, Name};
use crate::tools::operation::{Effect, Operation};
use crate::tools::view::View;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Paging {
    /// The page, from 1; 1 when it is not given.
    #[schemars(range(min = 1))]
    page: Option<u32>,
    /// Items a page; 50 when it is not given.
    #[schemars(range(min = 10, max = 500))]
    page_size: Option<u32>,
}

impl Paging {
    fn params(&self) -> ListParams {
        ListParams::default()
            .with_page(self.page.unwrap_or(1))
            .with_page_size(self.page_size.unwrap_or(50))
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct GetArgs {
    /// The id; of a consumer its username. Without it there is a list.
    id: Option<Id>,
    /// The type of resource.
    #[serde(rename = "type")]
    kind: Type,
    #[serde(flatten)]
    paging: Paging,
    /// Of a list: a regular expression that the name holds to.
    name: Option<String>,
    /// Of a list: labels that must all be there, with these values.
    labels: Option<BTreeMap<String, String>>,
    /// Of a list of routes: a regular expression that a path holds to.
    uri: Option<String>,
    /// Of a list: members and their values, as far as APISIX can filter by them, such as `service_id` of routes.
    filter: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetResource;

impl Operation<Apisix> for GetResource {
    const NAME: &'static str = "get_resource";
    const TITLE: &'static str = "Read resources";
    const DESCRIPTION: &'static str = "Reads a resource of APISIX by its type and id, or lists those of a type, page by page: \
        filtered by name, labels, path (uri) or a member (filter). An answer that is cut says in `cut.next` what to call \
        again with. Credentials: get_credential; secrets: get_secret_by_id; plugin metadata: get_plugin_metadata.";
    const EFFECT: Effect = Effect::Reads;
    type Args = GetArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: GetArgs) -> Result<Told, ToolError> {
        let (kind, place) = (args.kind.kind(), Place::root());
        if let Some(id) = &args.id {
            return shared.look(kind.get(&place, &id.0), &args.view).await;
        }
        let mut params = args.paging.params();
        params.name = args.name;
        params.uri = args.uri;
        params.filter = args.filter.unwrap_or_default();
        let labels = args.labels.unwrap_or_default();
        params.label = labels.keys().next().cloned();
        let request = kind.list(&place, &params);
        if labels.is_empty() {
            return shared.look(request, &args.view).await;
        }
        let says = "APISIX filters by the key of one label only; the rest was done here:";
        let is_wanted = move |item: &RawJson| carries(item, &labels);
        shared
            .look_through(request, &args.view, says, is_wanted)
            .await
    }
}

/// Whether a stored item has all these labels.
fn carries(item: &RawJson, wanted: &BTreeMap<String, String>) -> bool {
    let value = item.member("value").ok().flatten();
    let labels = value.and_then(|value| value.member("labels").ok().flatten());
    let labels: Option<BTreeMap<String, String>> =
        labels.and_then(|labels| labels.decode_owned().ok());
    let Some(labels) = labels else { return false };
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CredentialArgs {
    /// The consumer.
    username: Name,
    /// The credential; all of the consumer without it.
    id: Option<Id>,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetCredential;

impl Operation<Apisix> for GetCredential {
    const NAME: &'static str = "get_credential";
    const TITLE: &'static str = "Read credentials";
    const DESCRIPTION: &'static str = "Reads a credential of a consumer by its id, or lists all that the consumer has. Keys and \
        passwords are not shown unless show_secrets is true.";
    const EFFECT: Effect = Effect::Reads;
    type Args = CredentialArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: CredentialArgs) -> Result<Told, ToolError> {
        let place = Place::of_consumer(args.username.0);
        let request = match &args.id {
            Some(id) => Kind::Credential.get(&place, &id.0),
            None => Kind::Credential.list(&place, &ListParams::default()),
        };
        shared.look(request, &args.view).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct NamesArgs {
    /// What the plugins work on; http when it is not given.
    #[serde(rename = "type")]
    kind: Option<PluginType>,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetPluginNames;

impl Operation<Apisix> for GetPluginNames {
    const NAME: &'static str = "get_all_plugin_names";
    const TITLE: &'static str = "List the names of plugins";
    const DESCRIPTION: &'static str = "Lists the names of all plugins that this APISIX has, those that run first at the \
        beginning. get_plugin_schema shows how one is set up.";
    const EFFECT: Effect = Effect::Reads;
    type Args = NamesArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: NamesArgs) -> Result<Told, ToolError> {
        let request = plugin::names(PluginType::subsystem(args.kind));
        shared.look(request, &args.view).await
    }
}

/// Whose settings of a plugin.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SchemaType {
    Consumer,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SchemaArgs {
    /// The name of the plugin; all plugins, in a long answer, without it.
    name: Option<Name>,
    /// What the plugin works on; http when it is not given.
    #[serde(rename = "type")]
    kind: Option<PluginType>,
    /// With consumer: what a consumer or a credential has of the plugin, not a route.
    schema_type: Option<SchemaType>,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetPluginSchema;

impl Operation<Apisix> for GetPluginSchema {
    const NAME: &'static str = "get_plugin_schema";
    const TITLE: &'static str = "Read the schema of a plugin";
    const DESCRIPTION: &'static str = "Reads the JSON Schema of a plugin's settings: look at it before you set up a plugin. \
        Without a name all plugins are read with their schemas; the answer is cut, and says how to read on.";
    const EFFECT: Effect = Effect::Reads;
    type Args = SchemaArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: SchemaArgs) -> Result<Told, ToolError> {
        let subsystem = PluginType::subsystem(args.kind);
        let settings = match args.schema_type {
            Some(SchemaType::Consumer) => Settings::Consumer,
            None => Settings::Usual,
        };
        let request = match &args.name {
            Some(name) => plugin::schema(&name.0, subsystem, settings),
            None => plugin::all(subsystem),
        };
        shared.look(request, &args.view).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct MetadataArgs {
    /// The name of the plugin.
    name: Name,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetPluginMetadata;

impl Operation<Apisix> for GetPluginMetadata {
    const NAME: &'static str = "get_plugin_metadata";
    const TITLE: &'static str = "Read plugin metadata";
    const DESCRIPTION: &'static str = "Reads the metadata of a plugin: settings that hold for all who use it, such as the format \
        of a log. Not found means that there are none.";
    const EFFECT: Effect = Effect::Reads;
    type Args = MetadataArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: MetadataArgs) -> Result<Told, ToolError> {
        let request = Kind::PluginMetadata.get(&Place::root(), &args.name.0);
        shared.look(request, &args.view).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SecretArgs {
    /// The id; without it there is a list.
    id: Option<Id>,
    /// The manager of the secret.
    manager: Manager,
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetSecret;

impl Operation<Apisix> for GetSecret {
    const NAME: &'static str = "get_secret_by_id";
    const TITLE: &'static str = "Read where secrets come from";
    const DESCRIPTION: &'static str = "Reads how APISIX gets secrets from a manager, by its id, or lists all of that manager. \
        Tokens and keys are not shown unless show_secrets is true.";
    const EFFECT: Effect = Effect::Reads;
    type Args = SecretArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: SecretArgs) -> Result<Told, ToolError> {
        let manager = args.manager.as_str();
        let place = Place::of_manager(manager);
        if let Some(id) = &args.id {
            return shared
                .look(Kind::Secret.get(&place, &id.0), &args.view)
                .await;
        }
        let request = Kind::Secret.list(&place, &args.paging.params());
        let says = format!(
            "APISIX lists the secrets of all managers; those of {manager} were chosen here:"
        );
        let below = format!("/secrets/{manager}/");
        let is_wanted = move |item: &RawJson| {
            let key = item.member("key").ok().flatten();
            let key: Option<String> = key.and_then(|key| key.decode_owned().ok());
            key.is_none_or(|key| key.contains(&below))
        };
        shared
            .look_through(request, &args.view, &says, is_wanted)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_compared_with_their_values() {
        let wanted = BTreeMap::from([
            ("env".to_owned(), "prod".to_owned()),
            ("a".to_owned(), "b".to_owned()),
        ]);
        for (item, is_wanted) in [
            (
                r#"{"value":{"labels":{"env":"prod","a":"b","c":"d"}}}"#,
                true,
            ),
            (r#"{"value":{"labels":{"env":"test","a":"b"}}}"#, false),
            (r#"{"value":{"labels":{"env":"prod"}}}"#, false),
            (r#"{"value":{"labels":[]}}"#, false),
            (r#"{"value":{}}"#, false),
            ("7", false),
        ] {
            let item = RawJson::parse(item).unwrap();
            assert_eq!(carries(&item, &wanted), is_wanted, "{item}");
        }
    }
}
