//! Admin APIs of API gateways as backends.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend, BoxError};

use crate::config::{AdminApi, AdminFault};

/// The tools of an admin API. Nothing is connected to yet.
///
/// # Errors
/// When its section cannot be used; no secret is in it.
pub(crate) fn tools(
    name: &str,
    api: &AdminApi,
    timeout: Duration,
) -> Result<Arc<dyn Backend>, BoxError> {
    Ok(api.tools(name, timeout).map_err(sentence)?)
}

fn sentence(faults: Vec<AdminFault>) -> String {
    let faults = faults.iter().map(AdminFault::to_string);
    faults.collect::<Vec<_>>().join("; ")
}

/// Asks the API for something small, to say whether it is there and takes the token: a sentence for
/// people.
#[cfg(feature = "cli")]
pub(crate) async fn ask(name: &str, api: &AdminApi, timeout: Duration) -> String {
    let (asked, what, credential) = match api {
        AdminApi::Api7(section) => (ask_api7(name, section, timeout).await, "dashboard", "token"),
        AdminApi::Apisix(section) => (ask_apisix(name, section, timeout).await, "Admin API", "key"),
    };
    match asked {
        Ok(()) => format!("{name}: the {what} answers, and takes the {credential}"),
        Err(error) => format!("{name}: the {what} cannot be used: {error}"),
    }
}

#[cfg(feature = "cli")]
async fn ask_api7(
    name: &str,
    section: &crate::config::Api7Section,
    timeout: Duration,
) -> Result<(), BoxError> {
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
    let few = Kind::GatewayGroup.list(&Place::global(), &few)?;
    known(client.raw(few).await)
}

#[cfg(feature = "cli")]
async fn ask_apisix(
    name: &str,
    section: &crate::config::ApisixSection,
    timeout: Duration,
) -> Result<(), BoxError> {
    use mcp_gw_admin_client::apisix::{Client, ClientConfig, Kind, ListParams, Place};
    use mcp_gw_admin_client::http::{RetryPolicy, Trust};

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let mut client = ClientConfig::new(config.admin_url.parse()?);
    client.trust = config.ca_pem.map_or(Trust::System, Trust::Pem);
    client.proxy = config.proxy;
    client.timeout = timeout;
    client.retries = RetryPolicy::never();
    let client = Client::with_config(client, config.admin_key)?;
    let few = ListParams::default().with_page(1).with_page_size(10);
    let few = Kind::Route.list(&Place::default(), &few)?;
    known(client.raw(few).await)
}

/// Whoever is refused one thing is known, and may do others.
#[cfg(feature = "cli")]
fn known<T>(answer: Result<T, mcp_gw_admin_client::http::Error>) -> Result<(), BoxError> {
    match answer {
        Err(error) if !error.is_forbidden() => Err(error.into()),
        _ => Ok(()),
    }
}
