//! `get_resource`: reads resources of seventeen kinds, several in one call.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api7::{Kind, ListParams, Place};
use crate::tools::advice;
use crate::tools::answer::{Failure, Outcome, Sent};
use crate::tools::api7::input::{Id, Name, Paging};
use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Effect, Operation};
use crate::tools::spoken::Spoken;
use crate::tools::view::View;

/// So many requests are under way at the same time.
const TOGETHER: usize = 4;

macro_rules! inputs {
    ($($name:ident as |$input:ident| $place:expr, $id:expr; {
        $($(#[doc = $doc:literal])* $(#[serde($serde:meta)])? $field:ident: $type:ty,)*
    })*) => {$(
        #[derive(Deserialize, JsonSchema)]
        #[schemars(inline)]
        struct $name {
            $($(#[doc = $doc])* $(#[serde($serde)])? $field: $type,)*
            #[serde(flatten)]
            #[schemars(with = "Pages")]
            paging: Paging,
            /// Other query parameters of a list.
            #[serde(flatten)]
            rest: Map<String, Value>,
        }

        impl $name {
            fn wanted(self, kind: Kind) -> Wanted {
                let $input = self;
                let list = $input.paging.params(&$input.rest);
                Wanted { kind, place: $place, id: $id, list }
            }
        }
    )*};
}

/// The part of [`Paging`] that every kind names; the tool's description has the rest, and what it means.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "made for its schema")]
struct Pages {
    #[schemars(range(min = 1))]
    page: Option<u32>,
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    search: Option<String>,
}

inputs! {
    PublishedServiceInput as |i| group(i.gateway_group_id), text(i.service_id); {
        gateway_group_id: Id,
        service_id: Option<Id>,
    }
    ServiceTemplateInput as |i| Place::global(), text(i.service_template_id); {
        service_template_id: Option<Id>,
    }
    RouteInput as |i| of_service(i.gateway_group_id, i.service_id), text(i.route_id); {
        gateway_group_id: Id,
        /// The published service whose routes are listed; needed without `route_id`.
        service_id: Option<Id>,
        route_id: Option<Id>,
    }
    SecretProviderInput as |i| group(i.gateway_group_id).with_provider(i.kind.as_str()), text(i.secret_provider_id); {
        gateway_group_id: Id,
        #[serde(rename = "type")]
        kind: Provider,
        secret_provider_id: Option<Id>,
    }
    CertificateInput as |i| group(i.gateway_group_id), text(i.certificate_id); {
        gateway_group_id: Id,
        certificate_id: Option<Id>,
    }
    ConsumerInput as |i| group(i.gateway_group_id), i.username.map(|name| name.0); {
        gateway_group_id: Id,
        username: Option<Name>,
    }
    CredentialInput as |i| group(i.gateway_group_id).with_username(i.username.0), text(i.credential_id); {
        gateway_group_id: Id,
        username: Id,
        credential_id: Option<Id>,
    }
    GatewayGroupInput as |i| Place::global(), text(i.gateway_group_id); {
        gateway_group_id: Option<Id>,
    }
    CaCertificateInput as |i| group(i.gateway_group_id), text(i.ca_certificate_id); {
        gateway_group_id: Id,
        ca_certificate_id: Option<Id>,
    }
    SniInput as |i| group(i.gateway_group_id), text(i.sni_id); {
        gateway_group_id: Id,
        sni_id: Option<Id>,
    }
    GlobalRulesInput as |i| group(i.gateway_group_id), text(i.rule_id); {
        gateway_group_id: Id,
        rule_id: Option<Id>,
    }
    PluginMetadataInput as |i| group(i.gateway_group_id), i.plugin_name.map(|name| name.0); {
        gateway_group_id: Id,
        plugin_name: Option<Name>,
    }
    GatewayInstanceInput as |i| anywhere(i.gateway_group_id), None; {
        /// The gateway group; the instances of all groups without it.
        gateway_group_id: Option<Id>,
    }
    ServiceRegistryInput as |i| group(i.gateway_group_id), text(i.service_registry_id); {
        gateway_group_id: Id,
        service_registry_id: Option<Id>,
    }
    CustomPluginInput as |i| anywhere(i.gateway_group_id), text(i.custom_plugin_id); {
        /// A gateway group; custom plugins belong to none, so it may be left out.
        gateway_group_id: Option<Id>,
        custom_plugin_id: Option<Id>,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(clippy::struct_field_names, reason = "these are the names on the wire")]
struct UpstreamInput {
    gateway_group_id: Id,
    published_service_id: Id,
    upstream_id: Option<Id>,
}

/// A kind of secret provider.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Provider {
    Vault,
    Kubernetes,
    Aws,
    Gcp,
    Azure,
}

impl Provider {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Kubernetes => "kubernetes",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Args {
    /// Services that run in a gateway group.
    published_service: Option<PublishedServiceInput>,
    /// Services before they are published.
    service_template: Option<ServiceTemplateInput>,
    /// Upstreams of a published service.
    upstream: Option<UpstreamInput>,
    /// Routes of a published service.
    route: Option<RouteInput>,
    /// TCP and UDP routes of a published service.
    stream_route: Option<RouteInput>,
    /// Where the gateway gets secrets from.
    secret_provider: Option<SecretProviderInput>,
    /// Certificates.
    certificate: Option<CertificateInput>,
    /// Who calls APIs.
    consumer: Option<ConsumerInput>,
    /// What a consumer proves itself with.
    credential: Option<CredentialInput>,
    /// Gateway groups.
    gateway_group: Option<GatewayGroupInput>,
    /// Certificates of authorities.
    ca_certificate: Option<CaCertificateInput>,
    /// Which certificate a host name has.
    sni: Option<SniInput>,
    /// Plugins that run for every request.
    global_rules: Option<GlobalRulesInput>,
    /// Settings of plugins for a whole gateway group.
    plugin_metadata: Option<PluginMetadataInput>,
    /// Running gateway processes.
    gateway_instance: Option<GatewayInstanceInput>,
    /// Where upstream nodes are looked up.
    service_registry: Option<ServiceRegistryInput>,
    /// Plugins of your own.
    custom_plugin: Option<CustomPluginInput>,
    #[serde(flatten)]
    view: View,
}

/// What is to be read of one kind.
struct Wanted {
    kind: Kind,
    place: Place,
    id: Option<String>,
    list: Result<ListParams, ToolError>,
}

fn group(id: Id) -> Place {
    Place::group(id.0)
}

fn anywhere(id: Option<Id>) -> Place {
    id.map_or_else(Place::global, group)
}

fn text(id: Option<Id>) -> Option<String> {
    id.map(|id| id.0)
}

impl UpstreamInput {
    fn wanted(self, kind: Kind) -> Wanted {
        Wanted {
            kind,
            place: group(self.gateway_group_id).with_service(self.published_service_id.0),
            id: text(self.upstream_id),
            list: Ok(ListParams::default()),
        }
    }
}

impl Args {
    /// What is wanted, in the order of the schema.
    fn wanted(self) -> Vec<Wanted> {
        let all = [
            self.published_service
                .map(|i| i.wanted(Kind::PublishedService)),
            self.service_template
                .map(|i| i.wanted(Kind::ServiceTemplate)),
            self.upstream.map(|i| i.wanted(Kind::Upstream)),
            self.route.map(|i| i.wanted(Kind::Route)),
            self.stream_route.map(|i| i.wanted(Kind::StreamRoute)),
            self.secret_provider.map(|i| i.wanted(Kind::SecretProvider)),
            self.certificate.map(|i| i.wanted(Kind::Certificate)),
            self.consumer.map(|i| i.wanted(Kind::Consumer)),
            self.credential.map(|i| i.wanted(Kind::Credential)),
            self.gateway_group.map(|i| i.wanted(Kind::GatewayGroup)),
            self.ca_certificate.map(|i| i.wanted(Kind::CaCertificate)),
            self.sni.map(|i| i.wanted(Kind::Sni)),
            self.global_rules.map(|i| i.wanted(Kind::GlobalRules)),
            self.plugin_metadata.map(|i| i.wanted(Kind::PluginMetadata)),
            self.gateway_instance
                .map(|i| i.wanted(Kind::GatewayInstance)),
            self.service_registry
                .map(|i| i.wanted(Kind::ServiceRegistry)),
            self.custom_plugin.map(|i| i.wanted(Kind::CustomPlugin)),
        ];
        all.into_iter().flatten().collect()
    }
}

fn of_service(gateway_group: Id, service: Option<Id>) -> Place {
    let mut place = group(gateway_group);
    place.service_id = text(service);
    place
}

/// What came of one kind.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OneResult {
    /// The kind.
    kind: &'static str,
    /// Whether it could be read.
    ok: bool,
    /// What was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Outcome>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    /// One for each kind that was asked for, in the order of the schema.
    results: Vec<OneResult>,
}

impl Spoken for Output {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        for result in &mut self.results {
            result.answer.each_text(change);
            result.error.each_text(change);
        }
    }
}

pub(crate) struct GetResource;

impl Operation<Api7> for GetResource {
    const NAME: &'static str = "get_resource";
    const TITLE: &'static str = "Read resources";
    const DESCRIPTION: &'static str = "Reads resources of API7 Enterprise: one by its id, or a list. Each member of the \
        arguments names a kind (publishedService, route, consumer …); several kinds can be read in one call, and one \
        that fails does not spoil the others. Start with gatewayGroup {} for the ids of gateway groups. Without the last \
        id of a kind (route_id, username, plugin_name …) there is a list, which takes page (from 1), page_size, search \
        (a part of the name), order_by (created_at, updated_at, last_published), direction (desc when it is missing), \
        labels, and other query parameters. An answer that is cut says in `cut.next` what to call again with. Other kinds: \
        read_resource.";
    const EFFECT: Effect = Effect::Reads;
    type Args = Args;
    type Output = Output;

    async fn run(shared: &Api7, args: Args) -> Result<Output, ToolError> {
        let view = args.view.clone();
        let mut jobs = Vec::new();
        for wanted in args.wanted() {
            let list = wanted.list?;
            let request = match &wanted.id {
                Some(id) => wanted.kind.get(&wanted.place, Some(id)),
                None => wanted.kind.list(&wanted.place, &list),
            };
            let request = request.map_err(|error| {
                ToolError::invalid_arguments(format!("{}: {error}", wanted.kind.name()))
            })?;
            jobs.push((wanted.kind, request));
        }
        if jobs.is_empty() {
            return Err(ToolError::invalid_arguments(
                "name at least one kind of resource, for example {\"gatewayGroup\": {}}",
            ));
        }
        let budget = shared.budget(&view) / jobs.len();
        // They come in the order of the jobs. Dropping this gives all of them up.
        let results: Vec<_> = stream::iter(jobs)
            .map(|(kind, request)| one(shared, kind, request, &view, budget))
            .buffered(TOGETHER)
            .collect()
            .await;
        together(results)
    }
}

async fn one(
    shared: &Api7,
    kind: Kind,
    request: Request<Bytes>,
    view: &View,
    budget: usize,
) -> Result<(Kind, Outcome), (Kind, Failure)> {
    let mut outcome = Outcome::new(Sent::line(&request));
    let answer = shared.client.raw(request).await;
    let answer = answer.map_err(|error| (kind, advice::failure(&error)))?;
    match shared.show(&mut outcome, answer, view, budget).await {
        Ok(()) => Ok((kind, outcome)),
        Err(error) => {
            let (what, message) = match error {
                ToolError::InvalidArguments { message } => ("invalid_arguments", message),
                error => ("not_shown", error.to_string()),
            };
            let failure = Failure {
                kind: what.to_owned(),
                status: outcome.status,
                message,
            };
            Err((kind, failure))
        }
    }
}

/// All of them; a failure when there is nothing else.
fn together(results: Vec<Result<(Kind, Outcome), (Kind, Failure)>>) -> Result<Output, ToolError> {
    if results.iter().all(Result::is_err) {
        let all: Vec<String> = results
            .into_iter()
            .filter_map(Result::err)
            .map(|(kind, failure)| format!("{}: {}", kind.name(), failure.message))
            .collect();
        return Err(ToolError::failed(all.join("\n")));
    }
    let results = results
        .into_iter()
        .map(|result| match result {
            Ok((kind, outcome)) => OneResult {
                kind: kind.name(),
                ok: true,
                answer: Some(outcome),
                error: None,
            },
            Err((kind, failure)) => OneResult {
                kind: kind.name(),
                ok: false,
                answer: None,
                error: Some(failure),
            },
        })
        .collect();
    Ok(Output { results })
}
