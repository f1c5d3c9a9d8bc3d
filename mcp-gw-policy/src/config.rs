//! A policy as people write it. The doc comments are the reference documentation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

pub use crate::ip::IpConfig;
pub use crate::pattern::NamePattern;
pub use crate::rbac::{GroupConfig, RoleConfig, ScopesConfig, WhoConfig};

/// Who may use what.
///
/// A request is allowed when every layer that it falls into allows it: the rules here, those of the
/// server, and those of each group of consumers that the caller is in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// What happens to a request that no rule here decides.
    pub default: DefaultEffect,
    /// `shadow`: nothing is refused; what would have been is counted and logged.
    pub mode: Mode,
    /// How a refusal looks to the client.
    pub on_denied: OnDenied,
    /// Constants for conditions, under `vars`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// Addresses that may come at all. Looked at before the rules.
    #[serde(skip_serializing_if = "IpConfig::is_empty")]
    pub ip: IpConfig,
    /// Roles, under their names: which inherit which, and who has them besides those whose credential
    /// says so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RoleConfig>,
    /// Groups, under their names: which are part of which, and who is in them besides those whose
    /// credential says so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupConfig>,
    /// OAuth scopes: which imply which, and what needs them.
    #[serde(skip_serializing_if = "ScopesConfig::is_empty")]
    pub scopes: ScopesConfig,
    /// Methods that MCP does not know and that are let through, such as `vendor/thing`: for gateways
    /// that are built in code and serve some. The two servers pass on only methods of MCP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_methods: Vec<String>,
    /// The rules for everything and everybody. Their order means nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConfig>,
    /// Rules for what one server offers, under its name. They take away from what the rules above
    /// allow, and add nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, LayerConfig>,
    /// Rules for some callers. They take away from what the rules above allow, and add nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<ConsumerConfig>,
}

impl PolicyConfig {
    /// A policy that allows what no rule decides.
    pub fn allow() -> Self {
        Self {
            default: DefaultEffect::Allow,
            ..Self::default()
        }
    }

    /// Adds a rule for everything and everybody.
    #[must_use]
    pub fn with_rule(mut self, rule: RuleConfig) -> Self {
        self.rules.push(rule);
        self
    }
}

/// What happens to a request that no rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum DefaultEffect {
    /// It is refused.
    #[default]
    Deny,
    /// It goes through.
    Allow,
}

/// Whether something refuses, or only says that it would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Mode {
    /// It counts.
    #[default]
    Enforce,
    /// It is evaluated, counted and logged, and changes no answer.
    Shadow,
}

impl Mode {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// How a refusal looks to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum OnDenied {
    /// As if the thing did not exist.
    #[default]
    Hide,
    /// HTTP 403 with the scopes that are missing, where scopes would help (RFC 6750 §3.1).
    Challenge,
}

/// The rules of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LayerConfig {
    /// What happens to a request that no rule of this layer decides.
    pub default: DefaultEffect,
    /// `shadow`: this layer refuses nothing; what it would have refused is counted and logged.
    pub mode: Mode,
    /// The rules. Their order means nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConfig>,
}

/// The rules of some callers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// A name for explanations.
    pub name: String,
    /// The callers. Somebody may be in several such layers, which must all allow.
    pub who: WhoConfig,
    /// What happens to a request that no rule of this layer decides.
    #[serde(default)]
    pub default: DefaultEffect,
    /// `shadow`: this layer refuses nothing; what it would have refused is counted and logged.
    #[serde(default)]
    pub mode: Mode,
    /// The rules. Their order means nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConfig>,
}

impl ConsumerConfig {
    /// A layer for these callers, which allows nothing yet.
    pub fn new(name: impl Into<String>, who: WhoConfig) -> Self {
        Self {
            name: name.into(),
            who,
            default: DefaultEffect::default(),
            mode: Mode::default(),
            rules: Vec::new(),
        }
    }
}

/// One rule.
///
/// `methods`, `tools`, `resources`, `resource_templates`, `prompts` and `servers` say what it is
/// about. For `allow` and `deny`, `who`, `from` and `when` say when it applies; for `require` they
/// say what must hold, whoever asks. What is absent says nothing: a rule without all of them is about
/// everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RuleConfig {
    /// The rule's name in explanations, the audit and metrics; the only one of that name in the file.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// What it does.
    pub effect: RuleEffect,
    /// The methods; absent: all methods of the features that the rule names.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub methods: Option<Vec<Method>>,
    /// Names of tools. A plain text is a glob: `*` is any run of characters, `?` one, `\` takes the
    /// next one as it is; the text `any` is every name.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub tools: Option<Vec<NamePattern>>,
    /// URIs of resources.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub resources: Option<Vec<NamePattern>>,
    /// URI templates.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub resource_templates: Option<Vec<NamePattern>>,
    /// Names of prompts.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub prompts: Option<Vec<NamePattern>>,
    /// The servers that offer it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub servers: Option<Vec<NamePattern>>,
    /// Which of its two names is compared.
    #[serde(default, rename = "match")]
    pub match_on: MatchOn,
    /// The callers.
    #[serde(
        default,
        skip_serializing_if = "WhoConfig::is_open",
        deserialize_with = "somebody"
    )]
    pub who: WhoConfig,
    /// The addresses that the request comes from, such as `10.0.0.0/8`. A request without a known
    /// address is treated as one whose condition fails.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub from: Option<Vec<String>>,
    /// A condition.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub when: Option<String>,
    /// `shadow`: the rule changes no answer; what it would have changed is counted and logged.
    #[serde(default)]
    pub mode: Mode,
}

impl RuleConfig {
    /// A rule about everything, for everybody.
    pub fn new(id: impl Into<String>, effect: RuleEffect) -> Self {
        Self {
            id: id.into(),
            effect,
            methods: None,
            tools: None,
            resources: None,
            resource_templates: None,
            prompts: None,
            servers: None,
            match_on: MatchOn::default(),
            who: WhoConfig::default(),
            from: None,
            when: None,
            mode: Mode::default(),
        }
    }

    /// Sets the methods.
    #[must_use]
    pub fn with_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Sets the tools.
    #[must_use]
    pub fn with_tools(mut self, tools: impl IntoIterator<Item = NamePattern>) -> Self {
        self.tools = Some(tools.into_iter().collect());
        self
    }

    /// Sets the resources, by their URIs.
    #[must_use]
    pub fn with_resources(mut self, resources: impl IntoIterator<Item = NamePattern>) -> Self {
        self.resources = Some(resources.into_iter().collect());
        self
    }

    /// Sets the URI templates.
    #[must_use]
    pub fn with_resource_templates(
        mut self,
        templates: impl IntoIterator<Item = NamePattern>,
    ) -> Self {
        self.resource_templates = Some(templates.into_iter().collect());
        self
    }

    /// Sets the prompts.
    #[must_use]
    pub fn with_prompts(mut self, prompts: impl IntoIterator<Item = NamePattern>) -> Self {
        self.prompts = Some(prompts.into_iter().collect());
        self
    }

    /// Sets the servers.
    #[must_use]
    pub fn with_servers(mut self, servers: impl IntoIterator<Item = NamePattern>) -> Self {
        self.servers = Some(servers.into_iter().collect());
        self
    }

    /// Sets which of the two names is compared.
    #[must_use]
    pub const fn with_match_on(mut self, match_on: MatchOn) -> Self {
        self.match_on = match_on;
        self
    }

    /// Sets the addresses, as blocks such as `10.0.0.0/8`.
    #[must_use]
    pub fn with_from<S: Into<String>>(mut self, blocks: impl IntoIterator<Item = S>) -> Self {
        self.from = Some(blocks.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the callers.
    #[must_use]
    pub fn with_who(mut self, who: WhoConfig) -> Self {
        self.who = who;
        self
    }

    /// Sets the condition.
    #[must_use]
    pub fn with_when(mut self, when: impl Into<String>) -> Self {
        self.when = Some(when.into());
        self
    }

    /// Sets the mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

/// A key that is there has a value. One without would be the same as no key, and a guard be gone.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Callers who are not everybody.
fn somebody<'de, D: Deserializer<'de>>(value: D) -> Result<WhoConfig, D::Error> {
    let who = WhoConfig::deserialize(value)?;
    if who.is_open() {
        return Err(de::Error::custom(
            "this says nothing of the callers; remove the key for everybody",
        ));
    }
    Ok(who)
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum RuleEffect {
    /// It lets through, unless a `deny` applies or a `require` fails.
    Allow,
    /// It refuses, whatever else there is. It also does so when its condition cannot be evaluated.
    Deny,
    /// It refuses what it is about unless `who`, `from` and `when` hold. It allows nothing by itself.
    Require,
}

impl RuleEffect {
    /// The name used in metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Require => "require",
        }
    }
}

/// Which of the two names of a thing is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum MatchOn {
    /// The name that clients see at the main endpoint.
    #[default]
    Name,
    /// The name that its server knows it by.
    UpstreamName,
}

/// A method, or several in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub enum Method {
    /// To see a tool in the list.
    #[serde(rename = "tools/list")]
    ToolsList,
    /// To call a tool, and to ask about its tasks.
    #[serde(rename = "tools/call")]
    ToolsCall,
    /// To see a resource in the list.
    #[serde(rename = "resources/list")]
    ResourcesList,
    /// To read a resource, and to complete the arguments of a template.
    #[serde(rename = "resources/read")]
    ResourcesRead,
    /// To be told of changes of a resource.
    #[serde(rename = "resources/subscribe")]
    ResourcesSubscribe,
    /// To see a template in the list.
    #[serde(rename = "resources/templates/list")]
    ResourcesTemplatesList,
    /// To see a prompt in the list.
    #[serde(rename = "prompts/list")]
    PromptsList,
    /// To get a prompt, and to complete its arguments.
    #[serde(rename = "prompts/get")]
    PromptsGet,
    /// All methods that list.
    #[serde(rename = "list")]
    List,
    /// All methods that use.
    #[serde(rename = "call")]
    Call,
}

impl Method {
    /// The word in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::ResourcesList => "resources/list",
            Self::ResourcesRead => "resources/read",
            Self::ResourcesSubscribe => "resources/subscribe",
            Self::ResourcesTemplatesList => "resources/templates/list",
            Self::PromptsList => "prompts/list",
            Self::PromptsGet => "prompts/get",
            Self::List => "list",
            Self::Call => "call",
        }
    }
}
