//! Who may call, and what the gateway shows to APIs.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_gw_core::Secret;

use super::apis::Listed;
use super::env::Variables;
use super::file::{AuthMethod, Authentication, KeyForm, SeedFile, SeedKey, TokenValidation};
use super::report;
use super::translate::{Found, Translation};
use crate::config::apis::{Base, CredentialConfig};
use crate::config::auth::JwtConfig;
use crate::config::fault::{Fault, short};
use crate::config::path::ConfigPath;
use crate::config::text::DurationText;
use crate::config::types::ApiKeyConfig;

/// How callers' tokens are checked: signed with a shared secret (HS256).
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) hs256_secret: Secret<String>,
    /// How old a token may be, by its `iat`.
    pub(super) max_age: Option<Duration>,
}

/// APIs whose keys are not bearer tokens, by host, with the parameter of the query that takes them.
const QUERY_KEYS: [(&str, &str); 1] = [("api.openweathermap.org", "appid")];

impl Translation<'_, '_> {
    pub(super) fn authentication<'f>(
        &mut self,
        file: &'f SeedFile,
        auth: Option<&Found<'f, Authentication>>,
        listed: &[Listed],
        left_out: &[Base],
    ) {
        let (tokens, keys) = self.parts(file, auth);
        let root = ConfigPath::root().key("authentication");
        let path = auth.map_or(root, |auth| auth.path.clone());
        let methods = auth.map_or(&[][..], |auth| &auth.value.methods);
        for (index, method) in methods.iter().enumerate() {
            let at = path.key("methods").index(index);
            report::method(self.checker, *method, &at);
        }
        if let Some(keys) = &keys {
            self.keys(keys, methods, listed, left_out);
        }
        let of_keys = methods.iter().position(|it| *it == AuthMethod::ApiKey);
        if let Some(index) = of_keys
            && self.config.auth.api_keys.is_empty()
        {
            let at = path.key("methods").index(index);
            let message = "this method lets nobody in: every key in `api_keys` names the APIs that it \
                           is shown to, and callers show those without";
            let help = "add a key without `allowed_apis` for each caller, or remove the method";
            self.checker.remark(&at, message, help);
        }
        let takes_tokens = methods.contains(&AuthMethod::BearerToken);
        let tokens = self.tokens(tokens.as_ref(), takes_tokens, &path);
        let has_way_in = tokens.is_some() || !self.config.auth.api_keys.is_empty();
        let of_file = auth.is_some_and(|auth| auth.value.required);
        let is_required = self.variables.is_required.unwrap_or(of_file);
        match self.variables.is_required {
            Some(true) if methods.is_empty() && !has_way_in => self.asked_by_variable(),
            _ if is_required && !has_way_in => self.no_way_in(methods, &path),
            _ => {}
        }
        // Whoever shows something is known by it all the same.
        self.config.auth.anonymous = has_way_in && !is_required;
        if let Some(tokens) = tokens {
            self.connect(tokens);
        }
    }

    /// Lets callers in who show tokens. The file names no issuer and no audience, so neither is looked at:
    /// only who issues for this gateway has the secret.
    fn connect(&mut self, tokens: Tokens) {
        let mut issuer = JwtConfig::hs256(tokens.hs256_secret);
        if let Some(max_age) = tokens.max_age {
            issuer = issuer.with_max_age(DurationText::new(max_age));
        }
        issuer.any_audience = true;
        self.config.auth.jwt.push(issuer);
    }

    fn asked_by_variable(&mut self) {
        let message = "authentication is required, and no method is named";
        let help = "say in a file how callers are known: `authentication: { methods: … }`; or leave \
                    the variable out";
        let path = Variables::path("AUTH_REQUIRED");
        self.of_env.push(Fault::new(path, message).with_help(help));
    }

    /// Nobody could call.
    fn no_way_in(&mut self, methods: &[AuthMethod], path: &ConfigPath) {
        let at = path.key("methods");
        let values = ["required", "methods", "token_validation", "api_keys"];
        let mut values: Vec<_> = values.iter().map(|key| path.key(key)).collect();
        let root = ConfigPath::root();
        values.extend([root.key("token_validation"), root.key("api_keys")]);
        let (message, help) = match methods {
            [] => (
                "authentication is required, and no method is named",
                "add `methods: [bearer_token]` with `token_validation: { jwt_secret: ${JWT_SECRET} }`",
            ),
            // What it lacks is said there.
            methods if methods.contains(&AuthMethod::BearerToken) => return,
            _ => (
                "authentication is required, and nobody can show anything that is accepted",
                "add `bearer_token` to the methods, with `token_validation: { jwt_secret: … }`, or \
                 `api_key`, with a key in `api_keys` without `allowed_apis`",
            ),
        };
        self.checker.fault_of(&at, values, message, help);
    }

    fn tokens(
        &mut self,
        tokens: Option<&Found<'_, TokenValidation>>,
        is_method: bool,
        auth: &ConfigPath,
    ) -> Option<Tokens> {
        let default = auth.key("token_validation");
        let path = tokens.map_or(default, |tokens| tokens.path.clone());
        let at = path.key("jwt_secret");
        let value = tokens.map(|tokens| tokens.value);
        let secret = value.and_then(|value| value.jwt_secret.clone());
        match secret {
            Some(secret) if secret.expose().len() < SHORTEST_SECRET => {
                let message = "the secret is shorter than 32 bytes: tokens could be forged";
                let help = "make one with `openssl rand -hex 32`";
                self.checker.fault(&at, message, help);
                None
            }
            Some(hs256_secret) if is_method => Some(Tokens {
                hs256_secret,
                max_age: value
                    .and_then(|it| it.token_expiry)
                    .map(Duration::from_secs),
            }),
            Some(_) => {
                let message = "no token is accepted: `methods` does not have `bearer_token`";
                self.checker
                    .remark(&at, message, "add it there, or remove this");
                None
            }
            None if is_method => {
                let message = "the method `bearer_token` needs a secret to check tokens with";
                let help = "add `jwt_secret: ${JWT_SECRET}`";
                let values = vec![at.clone(), auth.key("methods")];
                self.checker.fault_of(&at, values, message, help);
                None
            }
            None => None,
        }
    }

    fn keys(
        &mut self,
        keys: &Found<'_, Vec<SeedKey>>,
        methods: &[AuthMethod],
        listed: &[Listed],
        left_out: &[Base],
    ) {
        let mut names = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        for (index, key) in keys.value.iter().enumerate() {
            let path = keys.path.index(index);
            if let Some(first) = names.insert(key.name.as_str(), index) {
                let message = format!("the name of `{}` is used again", keys.path.index(first));
                let help = "give each key its own name";
                self.checker.fault(&path.key("name"), message, help);
            }
            if let Some(first) = secrets.insert(key.key.expose().as_str(), index) {
                let message = format!("the key of `{}` is used again", keys.path.index(first));
                let help = "name all its APIs in one `allowed_apis`";
                self.checker.fault(&path.key("key"), message, help);
            }
            let Some(apis) = &key.allowed_apis else {
                self.caller(key, methods, &path);
                continue;
            };
            if apis.is_empty() {
                let at = path.key("allowed_apis");
                let help = "name some; without the key, callers show it to the gateway";
                self.checker.fault(&at, "the key is for no API", help);
            }
            let mut of_key = Vec::new();
            for (index, text) in apis.iter().enumerate() {
                let at = path.key("allowed_apis").index(index);
                let name = self.name_of(text, &at, false, listed, left_out);
                let Some(api) = listed.iter().find(|api| Some(&api.name) == name.as_ref()) else {
                    continue;
                };
                if of_key.contains(&&api.name) {
                    continue;
                }
                of_key.push(&api.name);
                if let Some(other) = shown.insert(api.name.clone(), key.name.clone()) {
                    let message = format!("the API gets the key `{}` already", short(&other));
                    self.checker
                        .fault(&at, message, "keep one key for each API");
                    continue;
                }
                self.credential(key, api, &path);
            }
        }
    }

    /// A key that callers show to the gateway.
    fn caller(&mut self, key: &SeedKey, methods: &[AuthMethod], path: &ConfigPath) {
        if !methods.contains(&AuthMethod::ApiKey) {
            let message = "this key has no effect: it names no `allowed_apis`, and `methods` does not \
                           have `api_key`";
            let help = "add the APIs that it is shown to, or the method by which callers show it";
            self.checker.fault(path, message, help);
            return;
        }
        for (what, is_there) in [
            ("as", key.form.is_some()),
            ("parameter", key.parameter.is_some()),
        ] {
            if is_there {
                let message = "a key without `allowed_apis` is shown to no API";
                self.checker
                    .key_fault(&path.key(what), message, "remove it");
            }
        }
        let at = self.config.auth.api_keys.len();
        let ours = ConfigPath::root().key("auth").key("api_keys").index(at);
        self.places.put(ours.key("id"), path.key("name"));
        self.places.put(ours.key("key"), path.key("key"));
        self.places.put(ours, path.clone());
        let caller = ApiKeyConfig::new(key.name.as_str(), key.key.clone());
        self.config.auth.api_keys.push(caller);
    }

    /// What the gateway shows to `api`.
    fn credential(&mut self, key: &SeedKey, api: &Listed, path: &ConfigPath) {
        let ours = ConfigPath::root()
            .key("apis")
            .key(&api.name)
            .key("credential");
        let Some(config) = self.config.apis.get_mut(&api.name) else {
            return;
        };
        if config.credential.is_some() {
            let message = "the API has a `credential` in `allowed_apis`";
            return self.checker.fault(path, message, "keep one of the two");
        }
        let usual = QUERY_KEYS.iter().find(|(host, _)| *host == api.base.host());
        let usual = usual.filter(|_| key.form.is_none() && key.parameter.is_none());
        let (form, parameter) = match (key.form, usual) {
            (None, Some((_, parameter))) => (KeyForm::Query, Some((*parameter).to_owned())),
            (form, _) => (form.unwrap_or(KeyForm::Bearer), key.parameter.clone()),
        };
        let secret = key.key.clone();
        let section = match form {
            KeyForm::Bearer => "bearer",
            KeyForm::Header => "header",
            KeyForm::Query => "query",
        };
        let credential = match (form, parameter) {
            (KeyForm::Bearer, None) => CredentialConfig::bearer(secret),
            (KeyForm::Header, name) => {
                CredentialConfig::header(name.as_deref().unwrap_or("X-API-Key"), secret)
            }
            (KeyForm::Query, Some(name)) => CredentialConfig::query(name, secret),
            (KeyForm::Bearer, Some(_)) => {
                let at = path.key("parameter");
                let message = "a bearer token has a name already: it stands in `Authorization`";
                let help = "add `as: header` or `as: query`, or remove it";
                return self.checker.fault(&at, message, help);
            }
            (KeyForm::Query, None) => {
                let message = "the parameter of the query has no name";
                let help = "add `parameter:` with the one that the API asks for, such as `appid`";
                return self.checker.fault(&path.key("as"), message, help);
            }
        };
        let at = ours.key(section);
        self.places.put(at.key("name"), path.key("parameter"));
        self.places.put(at.key("value"), path.key("key"));
        self.places.put(at, path.key("key"));
        self.places.put(ours, path.clone());
        config.credential = Some(credential);
    }
}

/// As long as what HMAC-SHA256 makes (RFC 7518 §3.2), in bytes.
const SHORTEST_SECRET: usize = 32;
