//! Reading what `get_resource` does not know.

use std::collections::BTreeMap;

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use crate::api7::{Kind, Place, Verb};
use crate::http::{RequestError, Target};
use crate::tools::advice;
use crate::tools::answer::Outcome;
use crate::tools::api7::get_resource::Provider;
use crate::tools::api7::input::{Id, Name, Paging};
use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Effect, Operation};
use crate::tools::view::View;

/// The name of a kind, with all names in its schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindName<const WRITTEN: bool>(pub(crate) Kind);

impl<'de, const WRITTEN: bool> Deserialize<'de> for KindName<WRITTEN> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Kind::of_name(&name)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no kind {name:?}")))
    }
}

impl<const WRITTEN: bool> JsonSchema for KindName<WRITTEN> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let verbs = if WRITTEN {
            [Verb::Create, Verb::Replace, Verb::Patch, Verb::Delete].as_slice()
        } else {
            [Verb::List, Verb::Get].as_slice()
        };
        let kinds = Kind::ALL
            .iter()
            .filter(|kind| verbs.iter().any(|&verb| kind.can(verb)));
        let names: Vec<&str> = kinds.map(|kind| kind.name()).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

/// Where a resource is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct PlaceArgs {
    /// The gateway group, for what belongs to one.
    pub(crate) gateway_group_id: Option<Id>,
    /// The service, for its upstreams and for lists of its routes.
    pub(crate) service_id: Option<Id>,
    /// The consumer, for its credentials.
    pub(crate) username: Option<Name>,
    /// The kind of secret provider.
    pub(crate) provider: Option<Provider>,
}

impl PlaceArgs {
    pub(crate) fn place(&self) -> Place {
        let mut place = Place::global();
        place.gateway_group_id = self.gateway_group_id.as_ref().map(|id| id.0.clone());
        place.service_id = self.service_id.as_ref().map(|id| id.0.clone());
        place.username = self.username.as_ref().map(|name| name.0.clone());
        place.provider = self.provider.map(|provider| provider.as_str().to_owned());
        place
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReadArgs {
    /// What is read.
    kind: KindName<false>,
    /// The id; for a consumer its username, for plugins their name. Without it there is a list.
    id: Option<Name>,
    #[serde(flatten)]
    place: PlaceArgs,
    /// Other query parameters of a list, such as `portal_id` for `apiProduct`.
    query: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct ReadResource;

impl Operation<Api7> for ReadResource {
    const NAME: &'static str = "read_resource";
    const TITLE: &'static str = "Read any resource";
    const DESCRIPTION: &'static str = "Reads a resource of any kind by its id, or lists them: also those that get_resource \
        does not know, such as plugin (the names of plugins), pluginSchema (how a plugin is set up), coreSchema, version, \
        ssl, proto, alertPolicy, auditLog, user, role and the developer portal. What has no kind (contact points of \
        alerts, developers of the portal): get_admin_api. An answer that is cut says in `cut.next` what to call again \
        with.";
    const EFFECT: Effect = Effect::Reads;
    type Args = ReadArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: ReadArgs) -> Result<Outcome, ToolError> {
        let kind = args.kind.0;
        let place = args.place.place();
        let id = args.id.as_ref().map(|id| &*id.0);
        let request = if id.is_some() || !kind.can(Verb::List) {
            kind.get(&place, id)
        } else {
            let mut params = args.paging.params(&Map::new())?;
            params.more.extend(args.query.unwrap_or_default());
            kind.list(&place, &params)
        };
        shared.read(request, &args.view).await
    }
}

/// Any path of the Admin API.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct RawPath {
    /// Which API: api (the dashboard) or apisix/admin (what is in a gateway group).
    api: RawApi,
    /// The path below it, as a list of segments: `["audit_logs", "export"]` is `/audit_logs/export`.
    #[schemars(length(min = 1, max = 16))]
    segments: Vec<String>,
    /// The query.
    #[serde(default)]
    query: BTreeMap<String, String>,
}

impl RawPath {
    pub(crate) fn target(&self) -> Result<Target, RequestError> {
        let mut target = Target::at(match self.api {
            RawApi::Api => "/api",
            RawApi::ApisixAdmin => "/apisix/admin",
        });
        for segment in &self.segments {
            target = target.segment("segments", segment)?;
        }
        for (name, value) in &self.query {
            target = target.query(name, value)?;
        }
        Ok(target)
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct RawArgs {
    #[serde(flatten)]
    path: RawPath,
    #[serde(flatten)]
    view: View,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
enum RawApi {
    #[serde(rename = "api")]
    Api,
    #[serde(rename = "apisix/admin")]
    ApisixAdmin,
}

pub(crate) struct GetRaw;

impl Operation<Api7> for GetRaw {
    const NAME: &'static str = "get_admin_api";
    const TITLE: &'static str = "Send any GET to the Admin API";
    const DESCRIPTION: &'static str = "Sends a GET to any path of the Admin API, for what neither get_resource nor \
        read_resource knows, such as the contact points of alerts and the developers of the portal. Only for paths that \
        are documented for this version of the dashboard: ask the user for its API reference, do not guess. Lists take \
        page, page_size and search in `query`.";
    const EFFECT: Effect = Effect::Reads;
    type Args = RawArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: RawArgs) -> Result<Outcome, ToolError> {
        let request = args.path.target().and_then(Target::get);
        let desk = shared.with_words(&advice::ANY_PATH);
        desk.read(request, &args.view).await
    }
}
