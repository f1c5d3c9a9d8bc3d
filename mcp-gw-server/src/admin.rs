//! Admin APIs of API gateways as backends.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_admin_client::tools;
use mcp_gw_core::{Backend, BoxError};

use crate::config::{Api7Fault, Api7Section};

/// The tools of a dashboard of API7 Enterprise. Nothing is connected to yet.
///
/// # Errors
/// When the section cannot be used; no secret is in it.
pub(crate) fn api7(
    name: &str,
    section: &Api7Section,
    timeout: Duration,
) -> Result<Arc<dyn Backend>, BoxError> {
    let config = section.resolve(name, timeout).map_err(sentence)?;
    Ok(tools::api7::backend(&config)?)
}

fn sentence(faults: Vec<Api7Fault>) -> String {
    let faults = faults.into_iter();
    let faults = faults.map(|fault| format!("{}: {}; {}", fault.key, fault.message, fault.help));
    faults.collect::<Vec<_>>().join("; ")
}

/// Asks the dashboard for something small, to say whether it is there and takes the token: a sentence for
/// people.
#[cfg(feature = "cli")]
pub(crate) async fn ask_api7(name: &str, section: &Api7Section, timeout: Duration) -> String {
    match asked(name, section, timeout).await {
        Ok(()) => format!("{name}: the dashboard answers, and takes the token"),
        Err(error) => format!("{name}: the dashboard cannot be used: {error}"),
    }
}

#[cfg(feature = "cli")]
async fn asked(name: &str, section: &Api7Section, timeout: Duration) -> Result<(), BoxError> {
    use mcp_gw_admin_client::api7::{Client, ClientConfig, Kind, ListParams, Place};
    use mcp_gw_admin_client::http::{RetryPolicy, Trust};

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let mut client = ClientConfig::new(config.dashboard_url.parse()?);
    client.trust = config.ca_pem.map_or(Trust::System, Trust::Pem);
    client.proxy = config.proxy;
    client.timeout = timeout;
    client.retries = RetryPolicy::never();
    let client = Client::with_config(client, config.token)?;
    let few = ListParams::default().with_page(1).with_page_size(1);
    match client
        .raw(Kind::GatewayGroup.list(&Place::global(), &few)?)
        .await
    {
        // The token is known; this is not what it is for.
        Err(error) if !error.is_forbidden() => Err(error.into()),
        _ => Ok(()),
    }
}
