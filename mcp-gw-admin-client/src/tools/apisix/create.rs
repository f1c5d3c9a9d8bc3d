//! Making resources, or putting others in their place.

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::apisix::{Kind, Place};
use crate::tools::apisix::bodies::{
    ConsumerGroupBody, ProtoBody, RouteBody, ServiceBody, SslBody, StreamRouteBody, UpstreamBody,
};
use crate::tools::apisix::input::{Saving, Shaped};
use crate::tools::apisix::shared::{Apisix, Told};
use crate::tools::input::Id;
use crate::tools::operation::{Effect, Operation};

macro_rules! creates {
    ($($operation:ident($args:ident): $kind:ident, $tool:literal, $title:literal, $says:literal,
        #[doc = $doc:literal] $(#[serde($serde:meta)])? $field:ident: $body:ty, #[doc = $id_doc:literal] id;)*) => {$(
        #[derive(Deserialize, JsonSchema)]
        pub(crate) struct $args {
            #[doc = $id_doc]
            id: Option<Id>,
            #[doc = $doc]
            $(#[serde($serde)])?
            $field: Shaped<$body>,
            #[serde(flatten)]
            saving: Saving,
        }

        pub(crate) struct $operation;

        impl Operation<Apisix> for $operation {
            const NAME: &'static str = $tool;
            const TITLE: &'static str = $title;
            const DESCRIPTION: &'static str = $says;
            const EFFECT: Effect = Effect::Changes;
            type Args = $args;
            type Output = Told;

            async fn run(shared: &Apisix, args: $args) -> Result<Told, ToolError> {
                let (place, body) = (Place::root(), &args.$field.raw);
                let request = match &args.id {
                    Some(id) => Kind::$kind.put(&place, Some(&id.0), body),
                    None => Kind::$kind.post(&place, body),
                };
                shared.save(Kind::$kind, request, body, &args.saving).await
            }
        }
    )*};
}

creates! {
    CreateRoute(CreateRouteArgs): Route, "create_route", "Make a route",
        "Makes a route: which requests go to which upstream, and through which plugins. With an `id` a route of that id is \
        replaced, as a whole. Settings of plugins are checked first.",
        #[doc = "The route, as the Admin API describes it."] route: RouteBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
    CreateService(CreateServiceArgs): Service, "create_service", "Make a service",
        "Makes a service: what several routes have in common. With an `id` a service of that id is replaced, as a whole. \
        Settings of plugins are checked first.",
        #[doc = "The service, as the Admin API describes it."] service: ServiceBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
    CreateUpstream(CreateUpstreamArgs): Upstream, "create_upstream", "Make an upstream",
        "Makes an upstream: nodes that requests go to, and how one is chosen. With an `id` an upstream of that id is \
        replaced, as a whole.",
        #[doc = "The upstream, as the Admin API describes it."] upstream: UpstreamBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
    CreateSsl(CreateSslArgs): Ssl, "create_ssl", "Make a certificate",
        "Makes a certificate for host names. With an `id` the certificate of that id is replaced, as a whole. dry_run shows \
        the private key, too.",
        #[doc = "The certificate, as the Admin API describes it."] ssl: SslBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
    CreateConsumerGroup(CreateConsumerGroupArgs): ConsumerGroup, "create_consumer_group", "Make a consumer group",
        "Makes a consumer group: plugins that several consumers have in common. Needs an `id`: a group of that id is \
        replaced, as a whole. Settings of plugins are checked first.",
        #[doc = "The consumer group, as the Admin API describes it."]
        #[serde(rename = "consumerGroup")] consumer_group: ConsumerGroupBody,
        #[doc = "Its id. APISIX wants one."] id;
    SaveProto(SaveProtoArgs): Proto, "create_or_update_proto", "Make or replace a protobuf definition",
        "Makes a protobuf definition, which grpc-transcode needs. With an `id` the definition of that id is replaced.",
        #[doc = "The protobuf definition."] proto: ProtoBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
    SaveStreamRoute(SaveStreamRouteArgs): StreamRoute, "create_or_update_stream_route", "Make or replace a TCP or UDP route",
        "Makes a route for TCP or UDP connections; APISIX must run with stream mode. With an `id` the route of that id is \
        replaced, as a whole. Settings of plugins are checked first.",
        #[doc = "The route, as the Admin API describes it."] route: StreamRouteBody,
        #[doc = "Its id; without it APISIX chooses one."] id;
}
