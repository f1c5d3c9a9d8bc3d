//! Whether there are the tool and the server that are asked about.

use mcp_gw_core::Feature;

use super::About;
use crate::cli;
use crate::config::Config;

/// Says when the configuration has no such server. When the servers are to be asked, fails if none
/// offers such a tool, and tells which does.
pub(super) async fn check(config: &Config, about: About<'_>) -> Result<Option<String>, String> {
    let is_known = |name: &&str| config.server_names().any(|server| server == *name);
    if let Some(server) = about.server.filter(|name| !is_known(name)) {
        cli::tell(&format!("note: the configuration has no server `{server}`"));
    }
    let Some(tool) = about.tool else {
        return Ok(None);
    };
    if !about.ask {
        cli::tell(&format!(
            "note: whether there is a tool `{tool}` the servers know; --ask asks them"
        ));
        return Ok(None);
    }
    let gateway = cli::asked(config).await?;
    let catalogue = gateway.catalogue();
    let tools = catalogue.entries(Feature::Tool);
    let found = tools.iter().find(|entry| *entry.key == *tool);
    let found = found.map(|entry| entry.server.to_string());
    let away: Vec<_> = gateway
        .status()
        .into_iter()
        .filter(|server| !server.is_up)
        .map(|server| server.name)
        .collect();
    gateway.close().await;
    match found {
        Some(server) => Ok(Some(server)),
        None if away.is_empty() => Err(format!("no server offers a tool `{tool}`")),
        None => Err(format!(
            "no server that is up offers a tool `{tool}`; not up: {}",
            away.join(", ")
        )),
    }
}
