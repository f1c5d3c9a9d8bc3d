//! What inputs have in common.

use std::borrow::Cow;
use std::marker::PhantomData;

use mcp_gw_core::RawJson;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::apisix::Kind;
use crate::apisix::plugin::Subsystem;
use crate::tools::input::Writing;
use crate::tools::operation::Checked;

/// Any object.
pub(crate) type Object = Checked<Map<String, Value>>;

/// JSON that looks like a `T`: the schema says so, and arguments are held to it before a tool runs. It is sent on as it
/// came.
#[derive(Debug, Clone)]
pub(crate) struct Shaped<T> {
    pub(crate) raw: RawJson,
    shape: PhantomData<fn() -> T>,
}

impl<'de, T> Deserialize<'de> for Shaped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            raw: RawJson::deserialize(deserializer)?,
            shape: PhantomData,
        })
    }
}

impl<T: JsonSchema> JsonSchema for Shaped<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// How something is made or replaced.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Saving {
    /// Whether to check settings of plugins first; true when it is not given.
    pub(crate) validate: Option<bool>,
    #[serde(flatten)]
    pub(crate) writing: Writing,
}

/// A type of resource, as it stands in paths.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Type {
    Routes,
    Services,
    Upstreams,
    Consumers,
    Ssls,
    ConsumerGroups,
    PluginConfigs,
    GlobalRules,
    StreamRoutes,
    Protos,
}

impl Type {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Routes => Kind::Route,
            Self::Services => Kind::Service,
            Self::Upstreams => Kind::Upstream,
            Self::Consumers => Kind::Consumer,
            Self::Ssls => Kind::Ssl,
            Self::ConsumerGroups => Kind::ConsumerGroup,
            Self::PluginConfigs => Kind::PluginConfig,
            Self::GlobalRules => Kind::GlobalRule,
            Self::StreamRoutes => Kind::StreamRoute,
            Self::Protos => Kind::Proto,
        }
    }
}

/// A manager of secrets.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Manager {
    Vault,
    Aws,
    Gcp,
}

impl Manager {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
        }
    }
}

/// What plugins work on.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum PluginType {
    Http,
    Stream,
}

impl PluginType {
    pub(crate) fn subsystem(kind: Option<Self>) -> Subsystem {
        match kind {
            Some(Self::Stream) => Subsystem::Stream,
            _ => Subsystem::Http,
        }
    }
}
