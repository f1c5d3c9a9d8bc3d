//! REST APIs behind the gateway: what a model reaches of them, and with whose credentials.

mod base;
mod check;
mod check_tools;
mod credential;
mod explain;
mod policy;
mod rest;
mod tools;

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_gw_core::CallerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::federation::PrefixMode;
use super::text::{ByteSize, DurationText};
use super::types::seconds;
pub(super) use base::{Allowance, Base};
pub(super) use check::check;
pub use credential::{
    ApiCredential, BasicCredential, CredentialConfig, CredentialError, NamedCredential,
    OAuth2Credential,
};
pub(super) use explain::write as explain;
pub(super) use policy::{of_rule, rules};
pub use rest::{LargeAnswersSection, RestConfig};
pub use tools::{
    ApiInputConfig, ApiToolConfig, BodyForm, InputPlace, InputType, OpenApiSection, OperationFilter,
};

/// A REST API that callers reach through the gateway: at `url` and below, and nowhere else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a permission of its own in the file"
)]
pub struct ApiConfig {
    /// Where the API is, such as `https://api.example.com` or `https://api.example.com/v2`: scheme,
    /// host, perhaps a port, perhaps a path under which every request stays.
    pub url: String,
    /// What it is for; models are told.
    pub description: Option<String>,
    /// Whether the tool `rest.tool_name` reaches it. An API with `openapi` or `tools` needs it for
    /// nothing.
    #[serde(default = "yes")]
    #[schemars(extend("default" = true))]
    pub gateway_tool: bool,
    /// The methods that requests may have.
    #[serde(default = "methods")]
    #[schemars(extend("default" = ["GET", "POST", "PUT", "DELETE"]))]
    pub methods: Vec<ApiMethod>,
    /// The only paths that requests may have, below that of `url`; all if not given. `*` stands for any
    /// characters, `/` among them, `?` for one, and `\` takes the next as it is.
    pub paths: Option<Vec<String>>,
    /// Paths that no request may have, also when they are in `paths`. Case does not count here.
    #[serde(default)]
    pub deny_paths: Vec<String>,
    /// Allows an `http` address: requests and credentials are read by everybody on the way.
    #[serde(default)]
    pub allow_http: bool,
    /// Allows addresses that are not public: those of this machine, of private networks, of links.
    #[serde(default)]
    pub allow_private: bool,
    /// Allows an IP address in `url` instead of a name.
    #[serde(default)]
    pub allow_ip: bool,
    /// Single addresses that are allowed besides, even those from which clouds tell machines their
    /// secrets.
    #[serde(default)]
    pub allow_addresses: Vec<String>,
    /// Allows paths with empty segments, as `/a//b`.
    #[serde(default)]
    pub allow_empty_segments: bool,
    /// Headers that callers may send besides `accept`, `accept-language`, `content-type`, `if-*`, `range`,
    /// `prefer` and `x-request-id`.
    #[serde(default)]
    pub request_headers: Vec<String>,
    /// Headers of answers that callers see although they are kept from them otherwise, such as
    /// `www-authenticate`.
    #[serde(default)]
    pub response_headers: Vec<String>,
    /// The largest body of a request.
    #[serde(default = "mebibyte")]
    pub max_body_size: ByteSize,
    /// The media types that a request's body may have.
    #[serde(default = "content_types")]
    pub content_types: Vec<String>,
    /// How much of an answer is passed on, once it is unpacked; `rest.large_answers` says what becomes
    /// of the rest.
    #[serde(default = "mebibyte")]
    pub max_response_size: ByteSize,
    /// How long a request may take, from its first attempt to the end of the answer; at most `10m`.
    #[serde(default = "half_a_minute")]
    pub timeout: DurationText,
    /// What becomes of an answer that points elsewhere.
    #[serde(default)]
    pub follow_redirects: RedirectMode,
    /// What the gateway shows the API. Callers neither see nor choose it.
    pub credential: Option<CredentialConfig>,
    /// What the gateway shows the API instead, by the id of the caller: that of an API key, or `local`, or
    /// `anonymous`; with `issuer` the subject of a token.
    #[serde(default)]
    pub credentials_by_caller: BTreeMap<String, CredentialConfig>,
    /// Lets callers give a token of their own as the argument `authToken`, which is sent instead of
    /// `credential`. A model sees it, and so do those who keep what a model sees.
    #[serde(default)]
    pub allow_auth_token: bool,
    /// Who may use it; without it the policy alone decides. The policy holds in any case.
    pub callers: Option<ApiCallers>,
    /// Makes a query of the `body` that comes with `GET`, `HEAD` or `DELETE`, where its members are texts,
    /// numbers, `true` or `false`. Otherwise it is refused.
    #[serde(default = "yes")]
    #[schemars(extend("default" = true))]
    pub get_body_as_query: bool,
    /// When a request is sent again.
    #[serde(default)]
    pub retries: ApiRetriesSection,
    /// When the API is left alone for a while.
    #[serde(default)]
    pub circuit_breaker: BreakerSection,
    /// How many requests may be under way at a time; without it there is no limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_concurrent: Option<u32>,
    /// Keeps answers as RFC 9111 allows; without it none is kept. A caller never gets an answer that was
    /// made for another, unless the API calls it public.
    pub cache: Option<CacheSection>,
    /// A description of the API, whose operations become tools.
    pub openapi: Option<OpenApiSection>,
    /// Tools that are described here.
    #[serde(default)]
    pub tools: Vec<ApiToolConfig>,
    /// When the names of its tools get a prefix and two underscores; if not given, `never` where it
    /// is the only one and there is no server, and `always` otherwise.
    pub prefix: Option<PrefixMode>,
    /// The prefix, if it is not the name of the API.
    pub prefix_name: Option<String>,
    /// A file of the certificates of authorities, in PEM, that are believed instead of those of the
    /// system.
    pub ca_file: Option<PathBuf>,
}

impl ApiConfig {
    /// The API at `url`, with the defaults: public addresses, `https`, every path, no credential.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            description: None,
            gateway_tool: true,
            methods: methods(),
            paths: None,
            deny_paths: Vec::new(),
            allow_http: false,
            allow_private: false,
            allow_ip: false,
            allow_addresses: Vec::new(),
            allow_empty_segments: false,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            max_body_size: mebibyte(),
            content_types: content_types(),
            max_response_size: mebibyte(),
            timeout: half_a_minute(),
            follow_redirects: RedirectMode::default(),
            credential: None,
            credentials_by_caller: BTreeMap::new(),
            allow_auth_token: false,
            callers: None,
            get_body_as_query: true,
            retries: ApiRetriesSection::default(),
            circuit_breaker: BreakerSection::default(),
            max_concurrent: None,
            cache: None,
            openapi: None,
            tools: Vec::new(),
            prefix: None,
            prefix_name: None,
            ca_file: None,
        }
    }

    /// Sets what the gateway shows the API.
    #[must_use]
    pub fn with_credential(mut self, credential: CredentialConfig) -> Self {
        self.credential = Some(credential);
        self
    }

    /// `url` in the one form in which APIs are compared: lower-case scheme and host, no port that goes
    /// without saying, no `/` at the end. `None` if it is none that may be used, which a loaded
    /// configuration never has.
    pub fn canonical_url(&self) -> Option<String> {
        let base = Base::parse(&self.url, Allowance::of(self)).ok()?;
        Some(base.to_string())
    }

    /// The credential for a caller: its own, or that of all.
    pub fn credential_for(&self, caller: &CallerName) -> Option<&CredentialConfig> {
        let mut all = self.credentials_by_caller.iter();
        let own = all.find(|(id, credential)| credential.whose(id) == *caller);
        own.map(|(_, own)| own).or(self.credential.as_ref())
    }

    /// True when it has tools of its own, beside the one that reaches all APIs.
    pub fn has_tools(&self) -> bool {
        self.openapi.is_some() || !self.tools.is_empty()
    }

    /// Every credential there is.
    fn credentials_mut(&mut self) -> impl Iterator<Item = &mut CredentialConfig> {
        let all = self.credential.iter_mut();
        all.chain(self.credentials_by_caller.values_mut())
    }

    /// The files that are read with it.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let credentials = self.credential.iter();
        let credentials = credentials.chain(self.credentials_by_caller.values());
        let openapi = self.openapi.iter().filter_map(|it| it.file.as_ref());
        let secrets = credentials.filter_map(CredentialConfig::file);
        secrets.chain(openapi).chain(&self.ca_file)
    }

    /// The same, to be changed.
    pub(super) fn anchor(&mut self, mut anchor: impl FnMut(&mut PathBuf)) {
        self.credentials_mut()
            .filter_map(CredentialConfig::file_mut)
            .for_each(&mut anchor);
        let openapi = self.openapi.iter_mut().filter_map(|it| it.file.as_mut());
        openapi.chain(&mut self.ca_file).for_each(anchor);
    }
}

/// A method of HTTP. `CONNECT` and `TRACE` are never sent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
#[non_exhaustive]
pub enum ApiMethod {
    /// Reads.
    Get,
    /// Reads what there is to say about it, without the thing itself.
    Head,
    /// Does what the API says.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl ApiMethod {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// True for methods that change nothing (RFC 9110 §9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// What becomes of an answer that points elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum RedirectMode {
    /// The caller gets it, with its `location`.
    #[default]
    Never,
    /// It is followed up to three times, as long as it points to the same scheme, host and port and
    /// stays under the path of `url`.
    SameOrigin,
}

/// Who may use an API: a caller who is in one of the lists `ids`, `roles`, `groups` and `scopes`, and of
/// one of the `issuers` and `kinds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ApiCallers {
    /// Ids of callers, whoever gave them: with tokens (`auth.jwt`), say `issuers` or `kinds`, too.
    pub ids: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Only callers with tokens of these issuers; of any, and of none, if empty.
    pub issuers: Vec<String>,
    /// Only callers of these kinds, as in `policy.rules[].who.kinds`, such as `api_key`; of any if empty.
    pub kinds: Vec<String>,
}

impl ApiCallers {
    /// True when nobody is named.
    pub fn is_empty(&self) -> bool {
        self.lists().into_iter().all(|(_, names)| names.is_empty())
    }

    fn lists(&self) -> [(&'static str, &Vec<String>); 6] {
        [
            ("ids", &self.ids),
            ("roles", &self.roles),
            ("groups", &self.groups),
            ("scopes", &self.scopes),
            ("issuers", &self.issuers),
            ("kinds", &self.kinds),
        ]
    }
}

/// When a request is sent again: if it certainly did not reach the API, or if its method is one of which
/// two do what one does (`GET`, `HEAD`, `PUT`, `DELETE`) and the API could not be reached or answered 429,
/// 502, 503 or 504.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ApiRetriesSection {
    /// How many times in all the API may get the same request; `1` means that nothing is sent again.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// So many percent of all requests may be sent again although the API may have got them; ten a second
    /// always may.
    #[schemars(range(min = 0, max = 100))]
    pub budget: u32,
    /// How long a request waits at most for its next attempt. If `Retry-After` says longer, the caller gets
    /// the answer.
    pub max_wait: DurationText,
}

impl Default for ApiRetriesSection {
    fn default() -> Self {
        Self {
            attempts: 2,
            budget: 20,
            max_wait: seconds(5),
        }
    }
}

/// When an API that fails is left alone: requests to it fail at once, until one that is sent to try it is
/// answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BreakerSection {
    /// So many failed requests in a row (no answer, or a status from 500 on); `0` switches it off.
    #[schemars(range(min = 0, max = 10_000))]
    pub failures: u32,
    /// For how long.
    pub open_for: DurationText,
    /// How many requests may try it at a time afterwards.
    #[schemars(range(min = 1, max = 100))]
    pub probes: u32,
}

impl Default for BreakerSection {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: seconds(30),
            probes: 1,
        }
    }
}

/// Answers that are kept, by the rules of RFC 9111.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheSection {
    /// How many answers.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_entries: u32,
    /// How large all of them are together.
    pub max_size: ByteSize,
    /// How long an answer is good at most, whatever the API says.
    pub max_age: DurationText,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self {
            max_entries: 1_000,
            max_size: ByteSize::new(16 << 20),
            max_age: seconds(3600),
        }
    }
}

const fn yes() -> bool {
    true
}

fn methods() -> Vec<ApiMethod> {
    vec![
        ApiMethod::Get,
        ApiMethod::Post,
        ApiMethod::Put,
        ApiMethod::Delete,
    ]
}

fn content_types() -> Vec<String> {
    ["application/json", "application/x-www-form-urlencoded"]
        .map(str::to_owned)
        .into()
}

const fn mebibyte() -> ByteSize {
    ByteSize::new(1 << 20)
}

const fn half_a_minute() -> DurationText {
    seconds(30)
}

#[cfg(test)]
mod tests;
