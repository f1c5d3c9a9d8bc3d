//! REST APIs in sentences.

use std::fmt::{self, Write as _};

use super::{Allowance, ApiConfig, ApiMethod, Base, RedirectMode};
use crate::config::{Config, origin};

/// The APIs behind the gateway, and what reaches them.
pub(in crate::config) fn write(out: &mut String, config: &Config) -> fmt::Result {
    for (name, api) in &config.apis {
        let shown = match Base::parse(&api.url, Allowance::of(api)) {
            Ok(base) if !config.marks.is_from_env(&api.url) => base.to_string(),
            _ => origin(&api.url),
        };
        let methods: Vec<_> = api.methods.iter().copied().map(ApiMethod::as_str).collect();
        write!(out, "  {name}: the API at {shown}, {}", methods.join(" "))?;
        if let Some(credential) = &api.credential {
            write!(out, ", with {}", credential.explain())?;
        }
        writeln!(out, ", answers in {}", api.timeout)?;
        for line in details(config, api) {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

/// What is special about an API, one line each.
fn details(config: &Config, api: &ApiConfig) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |is_so: bool, line: String| {
        if is_so {
            lines.push(line);
        }
    };
    let list = |names: &[String]| names.join(", ");
    say(
        api.gateway_tool,
        format!("reached by the tool `{}`", config.rest.tool_name),
    );
    if let Some(openapi) = &api.openapi {
        let write = if openapi.write { "all" } else { "only reading" };
        say(
            true,
            format!("operations of its description are tools, {write}"),
        );
    }
    let tools: Vec<_> = api.tools.iter().map(|tool| tool.name.clone()).collect();
    say(!tools.is_empty(), format!("tools: {}", list(&tools)));
    if let Some(paths) = &api.paths {
        say(true, format!("only {}", list(paths)));
    }
    say(
        !api.deny_paths.is_empty(),
        format!("never {}", list(&api.deny_paths)),
    );
    if let Some(callers) = &api.callers {
        let names = callers.lists().into_iter();
        let names = names.filter(|(_, names)| !names.is_empty());
        let names: Vec<_> = names
            .map(|(what, names)| format!("{what} {}", list(names)))
            .collect();
        say(true, format!("only for {}", names.join("; ")));
    }
    let own = api.credentials_by_caller.iter();
    let own = own.map(|(id, credential)| match credential.issuer.as_deref() {
        Some("") => format!("{id} of tokens without issuer"),
        Some(issuer) => format!("{id} of {issuer}"),
        None if matches!(id.as_str(), "local" | "anonymous") => id.clone(),
        None => format!("the API key {id}"),
    });
    let own: Vec<String> = own.collect();
    say(
        !own.is_empty(),
        format!("credentials of their own: {}", list(&own)),
    );
    say(
        api.allow_auth_token,
        "callers may give a token of their own".to_owned(),
    );
    say(
        api.allow_private,
        "addresses that are not public are allowed".to_owned(),
    );
    say(
        !api.allow_addresses.is_empty(),
        format!("allowed besides: {}", list(&api.allow_addresses)),
    );
    say(
        api.follow_redirects == RedirectMode::SameOrigin,
        "follows redirects within the same origin".to_owned(),
    );
    lines
}
