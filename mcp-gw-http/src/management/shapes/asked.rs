//! The bodies of requests.

#![expect(
    clippy::option_option,
    reason = "a member may be missing, `null`, or there"
)]

use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use mcp_gw_server::store::{HostKind, ServerTransport, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

const fn yes() -> bool {
    true
}

/// A member that is there, `null` too where that is a value.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

#[derive(JsonSchema)]
#[schemars(rename = "Login")]
#[expect(dead_code, reason = "describes a form")]
pub(crate) struct LoginForm {
    username: String,
    password: String,
    #[schemars(extend("enum" = ["password"]))]
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewUser")]
pub(crate) struct NewUser {
    /// 1 to 128 bytes of plain text; no other user has it, in whichever case.
    #[schemars(length(min = 1))]
    pub(crate) username: String,
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) full_name: Option<String>,
    #[serde(default = "yes")]
    pub(crate) is_active: bool,
    #[serde(default)]
    pub(crate) is_superuser: bool,
    /// For the policy, and for scopes that the configuration gives to roles.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserChange")]
pub(crate) struct UserPatch {
    /// Ends all tokens of the user.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    pub(crate) password: Option<String>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) email: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) full_name: Option<Option<String>>,
    /// `false` ends all tokens, and keys are not good until it is `true` again.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "bool")]
    pub(crate) is_active: Option<bool>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "bool")]
    pub(crate) is_superuser: Option<bool>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Vec<String>")]
    pub(crate) roles: Option<Vec<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Vec<String>")]
    pub(crate) groups: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PasswordChange")]
pub(crate) struct PasswordChange {
    pub(crate) old_password: String,
    pub(crate) new_password: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
pub(crate) struct NewKey {
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// What it may do; `scopes` is another name for it.
    #[serde(default)]
    pub(crate) permissions: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    /// Whose it is: of who asks if not given.
    #[serde(default)]
    pub(crate) user_id: Option<i64>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default = "yes")]
    pub(crate) is_active: bool,
    /// An ISO time, of UTC if it names no zone; 30 days from now, or as configured, if not given.
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}

/// The program and its arguments; a text is a program without any.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Command")]
pub(crate) enum Command {
    One(String),
    Many(Vec<Word>),
}

/// A part of a command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "CommandWord")]
pub(crate) enum Word {
    Text(String),
    Whole(i64),
}

impl Command {
    pub(crate) fn into_words(self) -> Vec<String> {
        match self {
            Self::One(program) => vec![program],
            Self::Many(words) => words
                .into_iter()
                .map(|word| match word {
                    Word::Text(text) => text,
                    Word::Whole(number) => number.to_string(),
                })
                .collect(),
        }
    }
}

/// How a server is reached: beside `template_name`, or in `config`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "ServerPlace")]
pub(crate) struct Place {
    #[serde(default)]
    pub(crate) endpoint: Option<String>,
    #[serde(default)]
    pub(crate) command: Option<Command>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) transport: Option<ServerTransport>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) backend: Option<HostKind>,
    #[serde(default)]
    pub(crate) container_id: Option<String>,
    #[serde(default)]
    pub(crate) deployment_id: Option<String>,
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    #[serde(default)]
    pub(crate) working_dir: Option<String>,
    #[serde(default)]
    pub(crate) env_vars: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) is_active: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewServer")]
pub(crate) struct NewServer {
    #[schemars(length(min = 1))]
    pub(crate) template_name: String,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) instance_metadata: Option<RawJson>,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) config: Option<RawJson>,
    /// Its id; one is made if not given.
    #[serde(default)]
    pub(crate) id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewInstance")]
pub(crate) struct NewInstance {
    #[schemars(length(min = 1))]
    pub(crate) id: String,
    /// Read and left: the path says it.
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked")]
    pub(crate) template_name: Option<String>,
    /// Read and left: it is looked at when it is registered.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    #[expect(dead_code, reason = "its type is checked")]
    pub(crate) status: Option<mcp_gw_server::store::ServerStatus>,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) instance_metadata: Option<RawJson>,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) config: Option<RawJson>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServerChange")]
pub(crate) struct ServerPatch {
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) endpoint: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<Command>")]
    pub(crate) command: Option<Option<Command>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    pub(crate) transport: Option<ServerTransport>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    pub(crate) backend: Option<HostKind>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) container_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) deployment_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) namespace: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) working_dir: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(crate) env_vars: Option<Option<BTreeMap<String, String>>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "bool")]
    pub(crate) is_active: Option<bool>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) instance_metadata: Option<Option<RawJson>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) config: Option<Option<RawJson>>,
}

/// How the calls of a template are spread over its instances.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TemplateChange")]
pub(crate) struct TemplatePatch {
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Option<String>")]
    pub(crate) description: Option<Option<String>>,
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "String")]
    pub(crate) strategy: Option<Strategy>,
    /// Seconds, 5 to 300.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "u32")]
    pub(crate) health_check_interval: Option<u32>,
    /// 1 to 10.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "u32")]
    pub(crate) max_retries: Option<u32>,
    /// 1 to 20.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "u32")]
    pub(crate) pool_size: Option<u32>,
    /// Seconds, 5 to 300.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "u32")]
    pub(crate) timeout: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ServerCall")]
pub(crate) struct ServerCall {
    #[schemars(length(min = 1))]
    pub(crate) server_id: String,
    #[schemars(length(min = 1))]
    pub(crate) tool_name: String,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) arguments: Option<RawJson>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NamedCall")]
pub(crate) struct NamedCall {
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) arguments: Option<RawJson>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ResourceOf")]
pub(crate) struct ResourceOf {
    #[schemars(length(min = 1))]
    pub(crate) uri: String,
}
