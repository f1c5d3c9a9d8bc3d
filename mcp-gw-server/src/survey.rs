//! What the configuration says and the servers do not know.

pub(crate) mod renamed;
#[cfg(feature = "cli")]
mod replicas;
mod undecided;

use mcp_gw_core::{Feature, Gateway, Glob, ServerChoice, ToolSpec};
use mcp_gw_policy::{CatalogueName, LintKind, lint_names};
use mcp_gw_ratelimit::LimitSet;

use crate::config::Config;

/// Items about which no rule can be asked, and rules and endpoints that match nothing there is: one
/// sentence for each. As long as a server is not up
/// whose items they may mean, only those that refuse what is called something else by now.
pub(crate) fn idle_rules(gateway: &Gateway, config: &Config, limits: &LimitSet) -> Vec<String> {
    let mut sentences = renamed::misnamed(gateway, &config.policy);
    sentences.extend(undecided::undecided(&gateway.catalogue()));
    if gateway.status().iter().any(|server| !server.is_up) {
        return sentences;
    }
    let catalogue = gateway.catalogue();
    let names: Vec<_> = catalogue
        .entries(Feature::Tool)
        .iter()
        .map(|tool| &*tool.key)
        .collect();
    let example = names
        .first()
        .map_or_else(String::new, |name| format!(", such as `{name}`"));
    sentences.extend(idle_tools(config, &names).into_iter().map(|(id, glob)| {
        format!(
            "`{glob}` among the tools of key `{id}` matches no tool; write names as clients see \
             them{example}"
        )
    }));
    sentences.extend(idle_patterns(config, gateway));
    let servers = gateway.status();
    let servers = servers.iter().map(|server| &*server.name);
    let servers: Vec<_> = servers.chain(config.server_names()).collect();
    let idle = limits.unmatched(&names, &servers);
    sentences.extend(idle.iter().map(ToString::to_string));
    for (name, endpoint) in &config.endpoints {
        let kinds = [
            (Feature::Tool, &endpoint.tools),
            (Feature::Prompt, &endpoint.prompts),
        ];
        for (feature, globs) in kinds {
            let entries = catalogue.entries(feature);
            let names: Vec<_> = entries.iter().map(|entry| &*entry.canonical).collect();
            let idle = globs.iter().filter(|glob| !matches_any(glob, &names));
            let kind = feature.as_str();
            sentences.extend(idle.map(|glob| {
                format!("`{glob}` among the {kind}s of endpoint `{name}` matches no {kind}")
            }));
        }
    }
    sentences
}

fn matches_any(glob: &str, names: &[&str]) -> bool {
    Glob::parse(glob).is_some_and(|glob| names.iter().any(|name| glob.matches(name)))
}

/// The globs of keys that match no tool, with the key they belong to.
fn idle_tools<'a>(config: &'a Config, names: &[&str]) -> Vec<(&'a str, &'a str)> {
    let keys = config.auth.api_keys.iter();
    let all = keys.flat_map(|key| {
        let globs = key.tools.iter().flatten();
        globs.map(|glob| (key.id.as_str(), glob.as_str()))
    });
    let mut idle: Vec<_> = all.filter(|(_, glob)| !matches_any(glob, names)).collect();
    idle.sort_unstable();
    idle
}

/// Everything that is offered, by name.
pub(crate) fn names_of(gateway: &Gateway) -> Vec<CatalogueName> {
    let catalogue = gateway.catalogue();
    let features = [
        Feature::Tool,
        Feature::Resource,
        Feature::ResourceTemplate,
        Feature::Prompt,
    ];
    let names = features.into_iter().flat_map(|feature| {
        catalogue.entries(feature).iter().flat_map(move |entry| {
            // A tool that leads to several servers is one of each of them.
            let choice = entry.tool.as_ref().and_then(ToolSpec::choice);
            let chosen = choice.into_iter().flat_map(ServerChoice::options);
            let servers = chosen.map(|(_, server)| server).chain([&entry.server]);
            servers.map(move |server| {
                CatalogueName::new(feature, &**server, &*entry.canonical)
                    .with_upstream_name(&*entry.own_name)
            })
        })
    });
    names.collect()
}

/// The patterns of the policy that match nothing.
fn idle_patterns(config: &Config, gateway: &Gateway) -> Vec<String> {
    // What is wrong with the policy itself was said when it was loaded.
    let lints = lint_names(&config.policy, &names_of(gateway)).unwrap_or_default();
    let lints = lints.into_iter();
    lints
        .filter(|lint| lint.kind == LintKind::MatchesNothing)
        .map(|lint| format!("policy.{lint}"))
        .collect()
}

/// Asks the servers of a configuration what they offer, once and without holding them to their pins.
/// What cannot be asked is in the status of the gateway; close it.
///
/// # Errors
/// When a part cannot be made.
#[cfg(feature = "cli")]
pub(crate) async fn gateway_of(
    config: &crate::config::Config,
    env: &[(std::ffi::OsString, std::ffi::OsString)],
) -> Result<Gateway, crate::LaunchError> {
    Ok(ask(config, env).await?.0)
}

/// A server that runs in several places, by its name.
#[cfg(feature = "cli")]
type Spread<'a> = (&'a String, std::sync::Arc<mcp_gw_upstream::Balanced>);

/// The same, and the servers that run in several places.
#[cfg(feature = "cli")]
async fn ask<'a>(
    config: &'a crate::config::Config,
    env: &[(std::ffi::OsString, std::ffi::OsString)],
) -> Result<(Gateway, Vec<Spread<'a>>), crate::LaunchError> {
    let mut builder = Gateway::builder();
    let mut spread = Vec::new();
    for (name, server) in &config.servers {
        let backend = crate::compose::bare_backend(
            config,
            (name, server),
            env,
            None,
            config.call_timeout.get(),
        )?;
        if backend.status().len() > 1 {
            spread.push((name, std::sync::Arc::clone(&backend)));
        }
        let backend = crate::reshape::Reshape::new(backend, &server.tools);
        builder = builder.mount(backend, config.mounting(name, server));
    }
    let gateway = builder.build().map_err(crate::LaunchError::Build)?;
    // What cannot be asked is in the status.
    let _ = gateway.refresh().await;
    Ok((gateway, spread))
}

/// Asks the servers of a configuration what they offer, once and without holding them to their pins,
/// and says how the configuration fits: sentences for people.
///
/// # Errors
/// When a part cannot be made.
#[cfg(feature = "cli")]
pub(crate) async fn survey(
    config: &crate::config::Config,
    env: &[(std::ffi::OsString, std::ffi::OsString)],
) -> Result<Vec<String>, crate::LaunchError> {
    let (gateway, spread) = ask(config, env).await?;
    let mut lines = crate::cli::status_lines(&gateway.status());
    for (name, server) in spread {
        lines.extend(replicas::differences(name, &server.offers().await));
    }
    for (name, server) in &config.servers {
        if let Some(api) = server.admin_api() {
            lines.push(crate::admin::ask(name, &api, server.timeout.get()).await);
        }
    }
    lines.extend(idle_rules(
        &gateway,
        config,
        &crate::limits::set_of(&config.limits)?,
    ));
    gateway.close().await;
    Ok(lines)
}
