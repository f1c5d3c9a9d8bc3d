//! Checks of REST APIs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use http::HeaderName;
use mcp_gw_core::Glob;

use super::credential::{CredentialConfig, CredentialError};
use super::{Allowance, ApiConfig, Base, check_tools};
use crate::config::check::{Checker, is_server_name};
use crate::config::fault::short;
use crate::config::path::ConfigPath;
use crate::config::text::{ByteSize, DurationText};
use crate::config::types::{Config, seconds};

/// Reports what is wrong with `apis` and `rest`.
pub(in crate::config) fn check(checker: &mut Checker<'_>, config: &Config, root: &ConfigPath) {
    rest(checker, config, &root.key("rest"));
    let path = root.key("apis");
    let mut taken: BTreeSet<_> = config
        .servers
        .keys()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let tool = config.rest.tool_name.to_ascii_lowercase();
    if config.has_gateway_tool() && !taken.insert(tool) {
        let at = root.key("rest").key("tool_name");
        let message = "a server has the name of the tool that reaches APIs";
        checker.fault(&at, message, "give one of the two another name");
    }
    let mut reached: BTreeMap<Base, &str> = BTreeMap::new();
    for (name, api) in &config.apis {
        let at = path.key(name);
        if !is_server_name(name) {
            let message = format!("`{}` cannot be the name of an API", short(name));
            checker.name_fault(&at, message, "use 1 to 64 of `A-Z a-z 0-9 _ -`");
        }
        if !taken.insert(name.to_ascii_lowercase()) {
            let message = "a server, another API or the tool `rest.tool_name` has this name";
            checker.name_fault(&at, message, "choose names that differ in more than case");
        }
        let base = address(checker, api, &at.key("url"));
        if let Some(base) = base.filter(|_| api.gateway_tool)
            && let Some(other) = reached.insert(base, name)
        {
            let message = format!("`apis.{other}` has the same address");
            let help = "keep one of the two, or say `gateway_tool: false` in one";
            checker.fault(&at.key("url"), message, help);
        }
        one(checker, api, &at);
    }
}

fn rest(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    let rest = &config.rest;
    if !is_server_name(&rest.tool_name) {
        let at = path.key("tool_name");
        let shown = checker.shown(&at, &rest.tool_name);
        let message = format!("{shown} cannot be the name of a tool");
        checker.fault(&at, message, "use 1 to 64 of `A-Z a-z 0-9 _ -`");
    }
    time(checker, &path.key("connect_timeout"), rest.connect_timeout);
    time(checker, &path.key("idle_timeout"), rest.idle_timeout);
    let (large, path) = (&rest.large_answers, path.key("large_answers"));
    checker.duration(&path.key("max_age"), large.max_age);
    size(checker, &path.key("max_size"), large.max_size);
    size(checker, &path.key("max_total_size"), large.max_total_size);
    if large.max_size > large.max_total_size {
        let message = "one answer may be larger than all together";
        let values = vec![path.key("max_size"), path.key("max_total_size")];
        let help = "write less, or a larger `max_total_size`";
        checker.fault_of(&path.key("max_size"), values, message, help);
    }
}

fn address(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) -> Option<Base> {
    match Base::parse(&api.url, Allowance::of(api)) {
        Ok(base) => {
            if base.is_localhost() && !api.allow_private {
                let message = "no request can be sent: this machine is no public address";
                checker.remark(path, message, "add `allow_private: true`");
            }
            Some(base)
        }
        Err(fault) => {
            checker.fault(path, fault.message, fault.help);
            None
        }
    }
}

fn one(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
    if api.methods.is_empty() {
        let help = "name some, or remove the key for GET, POST, PUT and DELETE";
        checker.fault(&path.key("methods"), "no request may be sent", help);
    }
    if !api.gateway_tool && api.openapi.is_none() && api.tools.is_empty() {
        let help = "remove `gateway_tool: false`, or add `openapi` or `tools`";
        let keys = ["gateway_tool", "openapi", "tools"];
        let values = keys.map(|key| path.key(key)).into();
        checker.fault_of(path, values, "nothing reaches this API", help);
    }
    if api.paths.as_ref().is_some_and(Vec::is_empty) {
        let help = "name some, or remove the key for all";
        checker.fault(&path.key("paths"), "no path may be asked for", help);
    }
    for (key, patterns) in [
        ("paths", api.paths.as_deref().unwrap_or_default()),
        ("deny_paths", &api.deny_paths),
    ] {
        path_patterns(checker, patterns, &path.key(key));
    }
    for (index, text) in api.allow_addresses.iter().enumerate() {
        if text.parse::<IpAddr>().is_err() {
            let at = path.key("allow_addresses").index(index);
            let message = format!("{} is not a single address", checker.shown(&at, text));
            checker.fault(&at, message, "write it as `192.168.7.1` or `fd00::1`");
        }
    }
    for (key, headers, is_request) in [
        ("request_headers", &api.request_headers, true),
        ("response_headers", &api.response_headers, false),
    ] {
        for (index, name) in headers.iter().enumerate() {
            header(checker, api, name, is_request, &path.key(key).index(index));
        }
    }
    content_types(checker, &api.content_types, &path.key("content_types"));
    limits(checker, api, path);
    credentials(checker, api, path);
    callers(checker, api, &path.key("callers"));
    check_tools::check(checker, api, path);
    if let Some(file) = &api.ca_file {
        readable(checker, file, &path.key("ca_file"));
    }
}

/// Reports patterns of paths that match none.
pub(super) fn path_patterns(checker: &mut Checker<'_>, patterns: &[String], path: &ConfigPath) {
    for (index, pattern) in patterns.iter().enumerate() {
        let at = path.index(index);
        if !pattern.starts_with(['/', '*', '?']) || pattern.trim() != pattern {
            let shown = checker.shown(&at, pattern);
            let help = "write a path that starts with `/`, such as `/v1/*`";
            checker.fault(&at, format!("{shown} matches no path"), help);
        } else {
            glob(checker, pattern, &at);
        }
    }
}

/// Reports a pattern that cannot be read.
pub(super) fn glob(checker: &mut Checker<'_>, pattern: &str, at: &ConfigPath) {
    if pattern.trim() != pattern || pattern.is_empty() {
        let message = "an empty pattern, or blanks around it, match nothing";
        checker.fault(at, message, "write a name, or a pattern such as `get_*`");
    } else if Glob::parse(pattern).is_none() {
        let message = "the pattern ends in a backslash that escapes nothing";
        checker.fault(at, message, "write two for a backslash");
    }
}

/// Reports a name that is none of a header, or of one that nobody may send.
pub(super) fn header(
    checker: &mut Checker<'_>,
    api: &ApiConfig,
    name: &str,
    is_request: bool,
    at: &ConfigPath,
) {
    let Ok(header) = HeaderName::try_from(name) else {
        let message = format!("{} is not the name of a header", checker.shown(at, name));
        return checker.fault(at, message, "use letters, digits and `-`");
    };
    if !is_request {
        return;
    }
    let lower = header.as_str();
    let all = api.credential.iter();
    let mut all = all.chain(api.credentials_by_caller.values());
    let is_credential = |credential: &CredentialConfig| {
        let header = credential.header.as_ref();
        header.is_some_and(|header| header.name.eq_ignore_ascii_case(lower))
    };
    if is_refused(lower) {
        let message = format!("no caller may send the header `{lower}`");
        let help = "remove it; what the API has to be shown is a matter of `credential`";
        checker.fault(at, message, help);
    } else if all.any(is_credential) {
        let message = format!("the header `{lower}` is that of a credential");
        checker.fault(at, message, "remove it");
    }
}

/// Headers that belong to a connection, say who somebody is, or reroute a request.
fn is_refused(lower: &str) -> bool {
    const NAMES: [&str; 33] = [
        "accept-encoding",
        "authorization",
        "cf-connecting-ip",
        "client-ip",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "expect",
        "fastly-client-ip",
        "forwarded",
        "front-end-https",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "te",
        "trailer",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-method-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-uri",
        "x-rewrite-url",
        "proxy-connection",
    ];
    const PREFIXES: [&str; 5] = ["mcp-", "proxy-", "x-forwarded", "x-http-method", "sec-"];
    // Servers behind CGI do not tell these two apart.
    let name = lower.replace('_', "-");
    NAMES.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Reports what is no media type.
fn content_types(checker: &mut Checker<'_>, types: &[String], path: &ConfigPath) {
    for (index, text) in types.iter().enumerate() {
        let is_token = |part: &str| HeaderName::try_from(part).is_ok() && !part.contains('*');
        let is_type = text
            .split_once('/')
            .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
        if !is_type {
            let at = path.index(index);
            let message = format!("{} is not a media type", checker.shown(&at, text));
            let help = "write it without parameters, such as `application/json`";
            checker.fault(&at, message, help);
        }
    }
}

fn limits(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
    size(checker, &path.key("max_body_size"), api.max_body_size);
    let answer = api.max_response_size;
    size(checker, &path.key("max_response_size"), answer);
    time(checker, &path.key("timeout"), api.timeout);
    let at = path.key("circuit_breaker").key("open_for");
    checker.duration(&at, api.circuit_breaker.open_for);
    if let Some(cache) = &api.cache {
        let path = path.key("cache");
        size(checker, &path.key("max_size"), cache.max_size);
        checker.duration(&path.key("max_age"), cache.max_age);
    }
}

/// Reports a time that is none, or longer than a request may take.
fn time(checker: &mut Checker<'_>, path: &ConfigPath, time: DurationText) {
    checker.duration(path, time);
    if time > LONGEST {
        let help = format!("write at most `{LONGEST}`");
        checker.fault(path, "longer than a request may take", help);
    }
}

/// The longest time of a request.
const LONGEST: DurationText = seconds(600);

fn size(checker: &mut Checker<'_>, path: &ConfigPath, size: ByteSize) {
    if size.bytes() == 0 {
        let help = "write at least `1KiB`, or remove the key";
        checker.fault(path, "a size of zero lets nothing through", help);
    }
}

fn credentials(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
    if let Some(config) = &api.credential {
        credential(checker, api, config, &path.key("credential"));
    }
    if let Some(config) = &api.credential
        && config.issuer.is_some()
    {
        let help = "remove it, or put the credential below `credentials_by_caller`";
        let message = "this credential is for every caller";
        checker.fault(&path.key("credential").key("issuer"), message, help);
    }
    for (caller, config) in &api.credentials_by_caller {
        let at = path.key("credentials_by_caller").key(caller);
        if caller.is_empty() || !caller.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("`{}` is no id of a caller", short(caller));
            checker.key_fault(&at, message, "write the id of one");
        }
        credential(checker, api, config, &at);
    }
}

/// Shorter secrets could be words of an answer, so they are left in it.
const SHORTEST_HIDDEN: usize = 6;

fn credential(
    checker: &mut Checker<'_>,
    api: &ApiConfig,
    config: &CredentialConfig,
    path: &ConfigPath,
) {
    let resolved = config.resolve();
    if let Ok(credential) = &resolved
        && credential.secret().expose().len() < SHORTEST_HIDDEN
    {
        let message = "this secret is so short that it is not looked for in what the API answers";
        let help = "write one of at least 6 bytes, or call only an API that never shows it";
        checker.remark(path, message, help);
    }
    if let Err(error) = resolved {
        let (at, help) = match &error {
            CredentialError::Kind => (
                path.clone(),
                "give one: best `bearer: ${SOME_VARIABLE}`".to_owned(),
            ),
            CredentialError::Source { key } => (
                config.place(path, key),
                format!("give one: best `{key}: ${{SOME_VARIABLE}}`"),
            ),
            CredentialError::File { key, .. } => (
                config.place(path, key),
                "check the path, and that this program may read it".to_owned(),
            ),
            CredentialError::Unsendable { key } => (
                config.place(path, key),
                "check it for blanks, line ends and control characters".to_owned(),
            ),
        };
        checker.fault(&at, error.to_string(), help);
    }
    if let Some(header) = &config.header {
        let at = path.key("header").key("name");
        let name = HeaderName::try_from(header.name.as_str());
        let is_theirs = |name: &HeaderName| {
            // A credential may be what callers must not send.
            let name = name.as_str();
            is_refused(name) && !matches!(name, "authorization" | "cookie" | "proxy-authorization")
                || matches!(name, "content-type" | "accept" | "content-encoding")
        };
        if name.is_err() || name.is_ok_and(|name| is_theirs(&name)) {
            let shown = checker.shown(&at, &header.name);
            let message = format!("{shown} cannot be the header of a credential");
            checker.fault(&at, message, "write the one that the API asks for");
        }
    }
    if let Some(query) = &config.query
        && (query.name.is_empty() || query.name.chars().any(char::is_control))
    {
        let at = path.key("query").key("name");
        let help = "write the one that the API asks for, such as `appid`";
        checker.fault(&at, "this cannot be the name of a parameter", help);
    }
    if let Some(basic) = &config.basic
        && basic
            .username
            .contains(|c: char| c == ':' || c.is_control())
    {
        // RFC 7617 §2.
        let at = path.key("basic").key("username");
        let message = "a user name has no `:` and no control characters";
        checker.fault(&at, message, "remove them");
    }
    if let Some(oauth2) = &config.oauth2 {
        let path = path.key("oauth2");
        if let Err(fault) = Base::parse(&oauth2.token_url, Allowance::of(api)) {
            checker.fault(&path.key("token_url"), fault.message, fault.help);
        }
        if oauth2.client_id.trim().is_empty() {
            let help = "write the id that the token endpoint knows the gateway by";
            checker.fault(&path.key("client_id"), "the id is empty", help);
        }
        for (index, scope) in oauth2.scopes.iter().enumerate() {
            // RFC 6749 §3.3.
            if scope.is_empty() || !scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
                let at = path.key("scopes").index(index);
                checker.fault(&at, "this is not one scope", "write each as an item");
            }
        }
    }
}

fn callers(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
    let Some(callers) = &api.callers else {
        return;
    };
    if callers.is_empty() {
        let help = "name `ids`, `roles`, `groups` or `scopes`, or remove the key: the policy alone \
                    decides then";
        checker.fault(path, "nobody may use this API", help);
    }
    for (key, names) in callers.lists() {
        for (index, name) in names.iter().enumerate() {
            if name.trim() != name || name.is_empty() {
                let at = path.key(key).index(index);
                let message = "an empty name, or blanks around it, is nobody's";
                checker.fault(&at, message, "write the name");
            }
        }
    }
}

/// Reports a file that is not there or cannot be read.
pub(super) fn readable(checker: &mut Checker<'_>, file: &Path, path: &ConfigPath) {
    let found = std::fs::File::open(file).and_then(|file| file.metadata());
    let message = match found {
        Ok(metadata) if metadata.is_dir() => "this is a directory".to_owned(),
        Ok(_) => return,
        Err(error) => format!("the file cannot be read: {}", error.kind()),
    };
    let help = "check the path, and that this program may read it";
    checker.fault(path, message, help);
}
