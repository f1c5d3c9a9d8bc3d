//! What the configuration says and the servers do not know.

use std::collections::BTreeMap;

use mcp_gw_core::{Feature, Gateway, glob_matches};
use mcp_gw_ratelimit::LimitSet;

use crate::access::ToolRules;
use crate::config::EndpointConfig;

/// Rules and endpoints that match nothing there is: one sentence for each. Nothing, as long as a
/// server is not up whose items they may mean.
pub(crate) fn idle_rules(
    gateway: &Gateway,
    rules: &ToolRules,
    limits: &LimitSet,
    endpoints: &BTreeMap<String, EndpointConfig>,
) -> Vec<String> {
    if gateway.status().iter().any(|server| !server.is_up) {
        return Vec::new();
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
    let idle = rules.idle(&names);
    let mut sentences: Vec<_> = idle
        .into_iter()
        .map(|(id, glob)| {
            format!(
                "`{glob}` among the tools of key `{id}` matches no tool; write names as clients \
                 see them{example}"
            )
        })
        .collect();
    let servers = gateway.status();
    let servers: Vec<_> = servers.iter().map(|server| &*server.name).collect();
    let idle = limits.unmatched(&names, &servers);
    sentences.extend(idle.iter().map(ToString::to_string));
    for (name, endpoint) in endpoints {
        let kinds = [
            (Feature::Tool, &endpoint.tools),
            (Feature::Prompt, &endpoint.prompts),
        ];
        for (feature, globs) in kinds {
            let entries = catalogue.entries(feature);
            let idle = globs.iter().filter(|glob| {
                !entries
                    .iter()
                    .any(|entry| glob_matches(glob, &entry.canonical))
            });
            let kind = feature.as_str();
            sentences.extend(idle.map(|glob| {
                format!("`{glob}` among the {kind}s of endpoint `{name}` matches no {kind}")
            }));
        }
    }
    sentences
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
    let mut builder = Gateway::builder();
    for (name, server) in &config.servers {
        let backend = crate::compose::bare_backend(config, (name, server), env, None)?;
        let backend = crate::reshape::Reshape::new(backend, &server.tools);
        builder = builder.mount(backend, config.mounting(name, server));
    }
    let gateway = builder.build().map_err(crate::LaunchError::Build)?;
    // What cannot be asked is in the status.
    let _ = gateway.refresh().await;
    let mut lines = crate::cli::status_lines(&gateway.status());
    for (name, server) in &config.servers {
        if let Some(api) = server.admin_api() {
            lines.push(crate::admin::ask(name, &api, server.timeout.get()).await);
        }
    }
    lines.extend(idle_rules(
        &gateway,
        &ToolRules::of(config),
        &crate::compose::limits_of(config)?,
        &config.endpoints,
    ));
    gateway.close().await;
    Ok(lines)
}
