//! The REST APIs of a configuration, made into backends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use mcp_gw_core::{Backend, Clock, Glob, Mounting, Secret, ToolAnnotations};
use mcp_gw_upstream::egress::{
    AddressRules, ApiRules, Base, BaseRules, Client, FixedUrl, Redirects, Trust,
};
use mcp_gw_upstream::rest::openapi::{Filter, Options};
use mcp_gw_upstream::rest::{
    Api, ApiConfig as Settings, ApiGateway, ApiGatewayConfig, ApiRetries, ApiTools, BodyForm,
    BreakerConfig, CacheConfig, ClientCredentials, Credential, DescribedApi, InputConfig,
    InputPlace, Keeper, KeptAnswers, KeptConfig, ToolConfig,
};

use crate::config as said;
use crate::config::{ApiConfig, ApiCredential, ByteSize, Config};

/// Descriptions are not read beyond this.
const MAX_DESCRIPTION: usize = 16 << 20;

/// Why an API of a configuration cannot be made. A checked configuration has no such fault, unless a file
/// that it names changed since.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiFault {
    message: String,
}

fn fault(error: impl std::fmt::Display) -> ApiFault {
    ApiFault {
        message: error.to_string(),
    }
}

/// A backend for one API, or for the tool that reaches many.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) mounting: Mounting,
    /// A call takes no longer.
    pub(crate) longest: Duration,
}

/// The names of the backends that [`backends`] makes.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = &str> {
    let servers = config.apis.iter().filter(|(_, api)| api.has_tools());
    let tool = config.apis.values().any(|api| api.gateway_tool);
    let servers = servers.map(|(name, _)| name.as_str());
    servers.chain(tool.then_some(config.rest.tool_name.as_str()))
}

/// True when what was made for the APIs of `before` serves those of `after`. What a description elsewhere
/// says now nobody knows: that is read again.
pub(crate) fn is_same(before: &Config, after: &Config) -> bool {
    let is_elsewhere = |api: &ApiConfig| {
        let openapi = api.openapi.as_ref();
        openapi.is_some_and(|openapi| openapi.url.is_some())
    };
    let differ = |section| before.marks.differ(&after.marks, section);
    let has_none = before.apis.is_empty() && after.apis.is_empty();
    has_none || !(differ("apis") || differ("rest") || after.apis.values().any(is_elsewhere))
}

/// How one of them is put into the gateway.
pub(crate) fn mounting(config: &Config, name: &str) -> Mounting {
    match config.apis.get(name) {
        Some(api) => config.api_mounting(name, api),
        None => Mounting::plain(),
    }
}

/// Backends for all APIs: one for each that has tools of its own, and one for the tool that reaches those
/// with `gateway_tool`. What is common to an API is shared between them.
///
/// # Errors
/// With the name of the API that cannot be made.
pub(crate) fn backends(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Made>, (String, ApiFault)> {
    if config.apis.is_empty() {
        return Ok(Vec::new());
    }
    let client = Client::new();
    let large = &config.rest.large_answers;
    let kept = large.keep.then(|| {
        let limits = KeptConfig::default()
            .with_bytes(bytes(large.max_size), bytes(large.max_total_size))
            .with_max_per_caller(count(large.max_per_caller))
            .with_max_age(large.max_age.get());
        KeptAnswers::new(limits, Arc::clone(clock))
    });
    let maker = Maker {
        config,
        client,
        kept,
        clock,
    };
    let mut made = Vec::new();
    let mut reached = Vec::new();
    for (name, api) in &config.apis {
        let wrong = |fault| (name.clone(), fault);
        let common = maker.api(name, api).map_err(wrong)?;
        if api.has_tools() {
            made.push(Made {
                name: name.clone(),
                backend: maker.tools(&common, api).map_err(wrong)?,
                mounting: mounting(config, name),
                longest: api.timeout.get(),
            });
        }
        if api.gateway_tool {
            reached.push((common, api.timeout.get()));
        }
    }
    if !reached.is_empty() {
        let name = &config.rest.tool_name;
        let mut tool = ApiGatewayConfig::new(name);
        if let Some(description) = &config.rest.description {
            tool = tool.with_description(description);
        }
        let longest = reached.iter().map(|(_, timeout)| *timeout).max();
        let apis = reached.into_iter().map(|(api, _)| api);
        let backend = ApiGateway::new(tool, apis, maker.kept.clone());
        made.push(Made {
            name: name.clone(),
            backend: Arc::new(backend.map_err(|error| (name.clone(), fault(error)))?),
            mounting: mounting(config, name),
            longest: longest.unwrap_or_default(),
        });
    }
    Ok(made)
}

struct Maker<'c> {
    config: &'c Config,
    client: Client,
    kept: Option<KeptAnswers>,
    clock: &'c Arc<dyn Clock>,
}

impl Maker<'_> {
    fn api(&self, name: &str, api: &ApiConfig) -> Result<Api, ApiFault> {
        let own = api.credential.as_ref();
        let own = own.map(|credential| credential_of(api, credential));
        let own = own.transpose()?;
        let mut all: Vec<Credential> = own.iter().cloned().collect();
        let mut by_caller = HashMap::new();
        for (caller, credential) in &api.credentials_by_caller {
            let name = credential.whose(caller);
            let credential = credential_of(api, credential)?;
            by_caller.insert(name, self.keeper(Some(&credential))?);
            all.push(credential);
        }
        let rules = self.rules(api, &all)?;
        self.client.prepare(&rules).map_err(fault)?;
        let retries = &api.retries;
        let breaker = &api.circuit_breaker;
        let cache = api.cache.as_ref().map(|cache| {
            CacheConfig::new(
                count(cache.max_entries),
                bytes(cache.max_size),
                cache.max_age.get(),
            )
        });
        let mut settings = Settings::new(name, rules)
            .with_timeout(api.timeout.get())
            .with_max_shown(bytes(api.max_response_size))
            .with_auth_token(api.allow_auth_token)
            .with_get_body_as_query(api.get_body_as_query)
            .with_retries(ApiRetries::new(
                retries.attempts,
                retries.budget,
                retries.max_wait.get(),
            ))
            .with_breaker(BreakerConfig::new(
                breaker.failures,
                breaker.open_for.get(),
                breaker.probes,
            ))
            .with_max_concurrent(api.max_concurrent.map(count))
            .with_cache(cache);
        if let Some(description) = &api.description {
            settings = settings.with_description(description);
        }
        let keeper = self.keeper(own.as_ref())?;
        let client = self.client.clone();
        Ok(Api::new(
            settings,
            client,
            keeper,
            by_caller,
            Arc::clone(self.clock),
        ))
    }

    fn keeper(&self, credential: Option<&Credential>) -> Result<Keeper, ApiFault> {
        Keeper::new(credential, &self.client, Arc::clone(self.clock)).map_err(fault)
    }

    fn rules(&self, api: &ApiConfig, credentials: &[Credential]) -> Result<ApiRules, ApiFault> {
        let rest = &self.config.rest;
        let base = Base::parse(&api.url, base_rules(api)).map_err(fault)?;
        let methods = api.methods.iter();
        let methods = methods.filter_map(|method| method.as_str().parse::<Method>().ok());
        let redirects = match api.follow_redirects {
            said::RedirectMode::SameOrigin => Redirects::SameOrigin,
            said::RedirectMode::Never => Redirects::Never,
        };
        // The rest of an answer is read on from what is kept of it, or something is selected from all of it.
        let shown = bytes(api.max_response_size);
        let read = bytes(rest.large_answers.max_size).max(shown);
        let queries = credentials.iter().filter_map(Credential::query);
        Ok(ApiRules::new(base)
            .with_methods(methods)
            .with_paths(
                api.paths
                    .iter()
                    .flatten()
                    .map(|path| glob(path))
                    .collect::<Result<Vec<_>, _>>()?,
            )
            .with_denied_paths(
                api.deny_paths
                    .iter()
                    .map(|path| glob(path))
                    .collect::<Result<Vec<_>, _>>()?,
            )
            .with_request_headers(headers(&api.request_headers)?)
            .with_response_headers(headers(&api.response_headers)?)
            .with_credential_headers(credentials.iter().filter_map(Credential::headers))
            .with_credential_query(queries.map(str::to_owned))
            .with_content_types(api.content_types.iter().cloned())
            .with_max_body(bytes(api.max_body_size))
            .with_max_response(read)
            .with_max_endpoint(count(rest.max_endpoint_length))
            .with_timeout(api.timeout.get())
            .with_connect_timeout(rest.connect_timeout.get())
            .with_idle_timeout(rest.idle_timeout.get())
            .with_redirects(redirects)
            .with_addresses(addresses(api)?)
            .with_allow_empty_segments(api.allow_empty_segments)
            .with_trust(trust(api)?))
    }

    /// The tools of one API.
    fn tools(&self, common: &Api, api: &ApiConfig) -> Result<Arc<dyn Backend>, ApiFault> {
        let by_hand = api.tools.iter().map(tool).collect();
        let Some(openapi) = &api.openapi else {
            let server = ApiTools::new(by_hand, Options::default());
            let server = server.server(common.clone(), None, self.kept.clone());
            return Ok(Arc::new(server.map_err(fault)?));
        };
        let mut options = Options::new()
            .with_include(filter(&openapi.include)?)
            .with_exclude(filter(&openapi.exclude)?)
            .with_write(openapi.write)
            .with_deprecated(openapi.deprecated)
            .with_max_bytes(MAX_DESCRIPTION);
        if let Some(most) = openapi.max_tools {
            options = options.with_max_operations(count(most));
        }
        let tools = ApiTools::new(by_hand, options);
        if let Some(file) = &openapi.file {
            let bytes = std::fs::read(file).map_err(|error| ApiFault {
                message: format!("the description {} cannot be read: {error}", file.display()),
            })?;
            let server = tools.server(common.clone(), Some(&bytes), self.kept.clone());
            return Ok(Arc::new(server.map_err(|error| fault(whole(&error)))?));
        }
        let url = openapi.url.as_deref().unwrap_or_default();
        let url = fixed(api, url)?.with_max_response(MAX_DESCRIPTION);
        Ok(Arc::new(DescribedApi::new(
            common.clone(),
            tools,
            url,
            self.client.clone(),
            self.kept.clone(),
        )))
    }
}

/// An address beside the API's own, which is under the same rules.
fn fixed(api: &ApiConfig, url: &str) -> Result<FixedUrl, ApiFault> {
    let fixed = FixedUrl::parse(url, base_rules(api)).map_err(fault)?;
    Ok(fixed
        .with_addresses(addresses(api)?)
        .with_trust(trust(api)?)
        .with_timeout(api.timeout.get()))
}

/// What an API is shown.
fn credential_of(
    api: &ApiConfig,
    credential: &said::CredentialConfig,
) -> Result<Credential, ApiFault> {
    Ok(match credential.resolve().map_err(fault)? {
        ApiCredential::Bearer { token } => Credential::Bearer(token),
        ApiCredential::Header { name, value } => Credential::Header {
            name: header(&name)?,
            value,
        },
        ApiCredential::Basic { username, password } => Credential::Basic { username, password },
        ApiCredential::Query { name, value } => Credential::Query { name, value },
        ApiCredential::OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
            audience,
        } => {
            let url = fixed(api, &token_url)?;
            let secret: Secret<String> = client_secret;
            let mut tokens = ClientCredentials::new(url, client_id, secret).with_scopes(scopes);
            if let Some(audience) = audience {
                tokens = tokens.with_parameter("audience", audience);
            }
            Credential::OAuth2ClientCredentials(tokens)
        }
    })
}

/// An error with what it comes from.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", whole(source)),
        None => error.to_string(),
    }
}

const fn base_rules(api: &ApiConfig) -> BaseRules {
    BaseRules::new()
        .with_http(api.allow_http)
        .with_ip(api.allow_ip)
}

fn addresses(api: &ApiConfig) -> Result<AddressRules, ApiFault> {
    let rules = AddressRules::new().with_private(api.allow_private);
    api.allow_addresses.iter().try_fold(rules, |rules, text| {
        let address: IpAddr = text.parse().map_err(fault)?;
        Ok(rules.with_address(address))
    })
}

fn trust(api: &ApiConfig) -> Result<Trust, ApiFault> {
    let Some(file) = &api.ca_file else {
        return Ok(Trust::System);
    };
    let pem = std::fs::read_to_string(file).map_err(|error| ApiFault {
        message: format!("the file {} cannot be read: {error}", file.display()),
    })?;
    Ok(Trust::Pem(pem))
}

fn header(name: &str) -> Result<HeaderName, ApiFault> {
    HeaderName::from_bytes(name.as_bytes()).map_err(fault)
}

fn headers(names: &[String]) -> Result<Vec<HeaderName>, ApiFault> {
    names.iter().map(|name| header(name)).collect()
}

fn glob(text: &str) -> Result<Glob, ApiFault> {
    Glob::parse(text).ok_or_else(|| ApiFault {
        message: format!("{text:?} is no pattern"),
    })
}

fn globs(texts: &[String]) -> Result<Vec<Glob>, ApiFault> {
    texts.iter().map(|text| glob(text)).collect()
}

fn filter(filter: &said::OperationFilter) -> Result<Filter, ApiFault> {
    let methods = filter.methods.iter().map(|method| method.as_str());
    Ok(Filter::new()
        .with_tags(globs(&filter.tags)?)
        .with_operations(globs(&filter.operations)?)
        .with_methods(methods)
        .with_paths(globs(&filter.paths)?))
}

/// A tool that is written by hand.
fn tool(said: &said::ApiToolConfig) -> ToolConfig {
    let mut tool = ToolConfig::new(
        &said.name,
        &said.description,
        said.method.as_str(),
        &said.path,
    );
    tool.title.clone_from(&said.title);
    tool.body = match said.body {
        said::BodyForm::Json => BodyForm::Json,
        said::BodyForm::Form => BodyForm::Form,
    };
    for (name, input) in &said.inputs {
        let place = match said.place_of(name) {
            said::InputPlace::Path => InputPlace::Path,
            said::InputPlace::Query => InputPlace::Query,
            said::InputPlace::Header => InputPlace::Header,
            said::InputPlace::Body => InputPlace::Body,
        };
        let mut made = InputConfig::default().with_place(place);
        made.name.clone_from(&input.name);
        made.description.clone_from(&input.description);
        // A schema stands in place of a type, also of the one that nobody wrote.
        let kind = input.schema.is_none().then(|| input.kind.as_str());
        made.kind = kind.map(str::to_owned);
        made.required = input.required;
        made.values.clone_from(&input.values);
        made.default.clone_from(&input.default);
        made.schema.clone_from(&input.schema);
        tool = tool.with_input(name, made);
    }
    // What is not said here is as the method says.
    let shape = &said.annotations;
    let mut hints = ToolAnnotations::default();
    hints.read_only_hint = shape.read_only;
    hints.destructive_hint = shape.destructive;
    hints.idempotent_hint = shape.idempotent;
    hints.open_world_hint = shape.open_world;
    tool.annotations = Some(hints);
    tool
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a check takes can be made.
    #[test]
    fn an_input_may_have_a_schema_of_its_own() {
        let yaml = "policy: { default: allow }\napis:\n  a:\n    url: https://a.example\n    tools:\n    - name: t\n      description: d\n      path: /t\n      method: POST\n      inputs:\n        a: { schema: { type: object, properties: { x: { type: integer } }, required: [x] } }\n        b: { schema: { type: [string, 'null'] }, in: query }\n        c: { enum: [x, y] }\n";
        let config = Config::load("x", yaml, &|_| None).unwrap();
        let operation = tool(&config.apis["a"].tools[0]).build().unwrap();
        let schema = operation.input_schema().to_value().unwrap();
        let properties = &schema["properties"];
        assert_eq!(properties["a"]["properties"]["x"]["type"], "integer");
        assert_eq!(properties["b"]["type"][1], "null");
        assert_eq!(properties["c"]["type"], "string");
    }
}
