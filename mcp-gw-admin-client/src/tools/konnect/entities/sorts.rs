//! The kinds of entities: what their tools take, and what is told of them.

use mcp_gw_core::{ObjectWriter, RawJson, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Asked, EntitySort, Found, Question, text_of};
use crate::konnect::Kind;
use crate::tools::konnect::args::Uid;
use crate::tools::konnect::listing::Sort;
use crate::tools::konnect::shared::Konnect;
use crate::tools::operation::{Effect, Operation};

/// What some entities can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum AskedById {
    /// All.
    List,
    /// The one with an id.
    GetById,
}

/// What other entities can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum AskedForAll {
    /// All.
    List,
}

impl From<AskedById> for Asked {
    fn from(asked: AskedById) -> Self {
        match asked {
            AskedById::List => Self::List,
            AskedById::GetById => Self::GetById,
        }
    }
}

impl From<AskedForAll> for Asked {
    fn from(_: AskedForAll) -> Self {
        Self::List
    }
}

macro_rules! entity {
    ($tool:ident, $sort:ident, $args:ident: $one:literal, $many:literal, $title:literal, $says:literal;
        operation: $asked:ty; $(id: $id:ident;)? $(name: $name:ident = $member:literal, $name_says:literal;)?) => {
        #[derive(Deserialize, JsonSchema)]
        pub(crate) struct $args {
            /// The control plane: `GetControlPlane` has the ids.
            control_plane_id: Uid,
            /// What is asked for.
            operation: $asked,
            $(#[doc = concat!("For `get_by_id`: the id of the ", $one, ".")]
            $id: Option<Uid>,)?
            $(#[doc = $name_says]
            #[schemars(length(min = 1, max = 512))]
            $name: Option<String>,)?
            /// Leave out so many of a long list, to read on.
            skip: Option<u32>,
        }

        #[derive(Debug)]
        pub(crate) struct $sort;

        pub(crate) struct $tool;

        impl Operation<Konnect> for $tool {
            const NAME: &'static str = stringify!($tool);
            const TITLE: &'static str = $title;
            const DESCRIPTION: &'static str = $says;
            const EFFECT: Effect = Effect::Reads;
            type Args = $args;
            type Output = Found<$sort>;

            async fn run(shared: &Konnect, args: $args) -> Result<Found<$sort>, ToolError> {
                let question = Question {
                    plane: args.control_plane_id,
                    asked: args.operation.into(),
                    id: None $(.or(args.$id))?,
                    name: None $(.or(args.$name))?,
                    name_argument: concat!("", $(stringify!($name))?),
                    skip: args.skip,
                };
                shared.entities(question).await
            }

            fn text(found: &Found<$sort>) -> Option<String> {
                Some(found.text())
            }
        }
    };
}

entity! {
    GetService, Services, ServiceArgs: "service", "services", "Read services",
    "Reads the services of a control plane, which are what requests are handed on to: host, port, protocol, path, \
     timeouts, retries, enabled, certificates. Operations: list, get_by_id (service_id), get_by_name (service_name). When \
     no service has the name, the result is empty and has near_names.";
    operation: Asked; id: service_id;
    name: service_name = "name", "For `get_by_name`: the whole name.";
}

entity! {
    GetRoute, Routes, RouteArgs: "route", "routes", "Read routes",
    "Reads the routes of a control plane: which paths, methods and hosts lead to which service (service_id). Operations: \
     list, get_by_id (route_id), get_by_name (route_name). When no route has the name, the result is empty and has \
     near_names.";
    operation: Asked; id: route_id;
    name: route_name = "name", "For `get_by_name`: the whole name.";
}

entity! {
    GetConsumer, Consumers, ConsumerArgs: "consumer", "consumers", "Read consumers",
    "Reads the consumers of a control plane, which are who sends requests: username, custom_id, tags. Operations: list, \
     get_by_id (consumer_id), get_by_name (consumer_name). When no consumer has the name, the result is empty and has \
     near_names.";
    operation: Asked; id: consumer_id;
    name: consumer_name = "username", "For `get_by_name`: the whole username.";
}

entity! {
    GetConsumerGroup, ConsumerGroups, ConsumerGroupArgs: "consumer group", "consumer groups", "Read consumer groups",
    "Reads the consumer groups of a control plane: id, name, created_at, tags. The only operation is list.";
    operation: AskedForAll;
}

entity! {
    GetPlugin, Plugins, PluginArgs: "plugin", "plugins", "Read plugins",
    "Reads the plugins of a control plane: name, enabled, config, and scope, which says what they are for (service_id, \
     route_id, consumer_id, consumer_group_id; global is for all). Secrets in config are not shown. Operations: list, \
     get_by_id (plugin_id).";
    operation: AskedById; id: plugin_id;
}

entity! {
    GetVault, Vaults, VaultArgs: "vault", "vaults", "Read vaults",
    "Reads the vaults of a control plane, which are where secrets come from: provider, prefix, config without secrets. \
     Operations: list, get_by_id (vault_id), get_by_name (vault_name: the prefix, or else the provider).";
    operation: Asked; id: vault_id;
    name: vault_name = "prefix", "For `get_by_name`: the prefix; or else the provider, such as aws.";
}

impl Sort for Services {
    const ONE: &'static str = "service";
    const MANY: &'static str = "services";
    const ID: &'static str = "service_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("name", "The name."),
        ("enabled", "False when it answers nothing."),
        ("protocol", "The protocol."),
        ("host", "The host."),
        ("port", "The port."),
        ("path", "What paths begin with there."),
        ("retries", "How often a request is sent again."),
        ("connect_timeout", "In milliseconds."),
        ("read_timeout", "In milliseconds."),
        ("write_timeout", "In milliseconds."),
        ("tags", "Tags."),
    ];

    fn add(_: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        writer
    }
}

impl EntitySort for Services {
    const KIND: Kind = Kind::Service;

    fn is_off(item: &RawJson) -> bool {
        is_false(item, "enabled")
    }
}

impl Sort for Routes {
    const ONE: &'static str = "route";
    const MANY: &'static str = "routes";
    const ID: &'static str = "route_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("name", "The name."),
        ("service_id", "The service; missing when it has none."),
        (
            "paths",
            "What paths begin with; after `~` a regular expression.",
        ),
        ("methods", "Methods; all without it."),
        ("hosts", "Hosts; all without it."),
        ("expression", "Instead of paths, methods and hosts."),
        (
            "regex_priority",
            "Regular expressions with a greater one come first.",
        ),
        ("strip_path", "The path that matched is not handed on."),
        ("protocols", "Protocols."),
        ("tags", "Tags."),
    ];

    fn add(item: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        refer(item, "service", "service_id", writer)
    }
}

impl EntitySort for Routes {
    const KIND: Kind = Kind::Route;
}

impl Sort for Consumers {
    const ONE: &'static str = "consumer";
    const MANY: &'static str = "consumers";
    const ID: &'static str = "consumer_id";
    const NAME: &'static str = "username";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("username", "The name."),
        ("custom_id", "The id that somebody else gives it."),
        ("tags", "Tags."),
    ];

    fn add(_: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        writer
    }
}

impl EntitySort for Consumers {
    const KIND: Kind = Kind::Consumer;
}

impl Sort for ConsumerGroups {
    const ONE: &'static str = "consumer group";
    const MANY: &'static str = "consumer groups";
    const ID: &'static str = "consumer_group_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("name", "The name."),
        ("created_at", "Unix time, in seconds."),
        ("tags", "Tags."),
    ];

    fn add(_: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        writer
    }
}

impl EntitySort for ConsumerGroups {
    const KIND: Kind = Kind::ConsumerGroup;
}

impl Sort for Plugins {
    const ONE: &'static str = "plugin";
    const MANY: &'static str = "plugins";
    const ID: &'static str = "plugin_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("name", "What it does, such as rate-limiting."),
        ("instance_name", "The name of this one."),
        ("enabled", "False when it does nothing."),
        (
            "scope",
            "global, or what it is for: service, route, consumer, consumer_group.",
        ),
        ("service_id", "The service that it is for."),
        ("route_id", "The route that it is for."),
        ("consumer_id", "The consumer that it is for."),
        ("consumer_group_id", "The consumer group that it is for."),
        ("tags", "Tags."),
    ];

    fn add(item: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        const SCOPES: [(&str, &str); 4] = [
            ("service", "service_id"),
            ("route", "route_id"),
            ("consumer", "consumer_id"),
            ("consumer_group", "consumer_group_id"),
        ];
        let has = |name: &str| id_in(item, name).is_some();
        let scopes: Vec<&str> = SCOPES
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| has(name))
            .collect();
        let scope = if scopes.is_empty() {
            "global".to_owned()
        } else {
            scopes.join("+")
        };
        let writer = writer.string("scope", &scope);
        SCOPES
            .iter()
            .fold(writer, |writer, (name, id)| refer(item, name, id, writer))
    }
}

impl EntitySort for Plugins {
    const KIND: Kind = Kind::Plugin;

    fn is_off(item: &RawJson) -> bool {
        is_false(item, "enabled")
    }
}

impl Sort for Vaults {
    const ONE: &'static str = "vault";
    const MANY: &'static str = "vaults";
    const ID: &'static str = "vault_id";
    const NAME: &'static str = "prefix";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        (
            "prefix",
            "What references to its secrets begin with: {vault://<prefix>/…}.",
        ),
        (
            "provider",
            "Who keeps the secrets: env, aws, gcp, hcv, azure, conjur, konnect.",
        ),
        ("description", "A description."),
        ("tags", "Tags."),
    ];

    fn add(item: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        match text_of(item, "name") {
            Some(provider) => writer.string("provider", &provider),
            None => writer,
        }
    }
}

impl EntitySort for Vaults {
    const KIND: Kind = Kind::Vault;

    fn is_meant(item: &RawJson, name: &str) -> bool {
        text_of(item, "name").as_deref() == Some(name)
    }
}

/// The id of what an entity belongs to.
fn id_in(item: &RawJson, name: &str) -> Option<String> {
    text_of(&item.member(name).ok()??, "id")
}

/// The id of what an entity belongs to, under the name that other tools want it as.
fn refer(item: &RawJson, name: &str, id_name: &str, writer: ObjectWriter) -> ObjectWriter {
    match id_in(item, name) {
        Some(id) => writer.string(id_name, &id),
        None => writer,
    }
}

fn is_false(item: &RawJson, name: &str) -> bool {
    matches!(item.member(name), Ok(Some(value)) if value.as_str() == "false")
}
