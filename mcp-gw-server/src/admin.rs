//! Admin APIs of API gateways as backends.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "cli")]
use mcp_gw_admin_client::http::{RetryPolicy, TransportConfig, Trust};
#[cfg(feature = "cli")]
use mcp_gw_core::Secret;
use mcp_gw_core::{Backend, BoxError};

use crate::config::{AdminApi, AdminFault};
#[cfg(feature = "cli")]
use crate::config::{Api7Section, ApisixSection, KongSection, KonnectSection};

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
    let faults = faults.into_iter().map(|fault| fault.to_string());
    faults.collect::<Vec<_>>().join("; ")
}

/// Asks the API for something small, to say whether it is there and takes the token: a sentence for
/// people.
#[cfg(feature = "cli")]
pub(crate) async fn ask(name: &str, api: &AdminApi, timeout: Duration) -> String {
    let (asked, what, credential) = match api {
        AdminApi::Api7(section) => (ask_api7(name, section, timeout).await, "dashboard", "token"),
        AdminApi::Apisix(section) => (ask_apisix(name, section, timeout).await, "Admin API", "key"),
        AdminApi::Konnect(section) => {
            let asked = ask_konnect(name, section, timeout).await;
            (asked, "API of Konnect", "token")
        }
        AdminApi::Kong(section) => (ask_kong(name, section, timeout).await, "Admin API", "token"),
    };
    match asked {
        Ok(()) => format!("{name}: the {what} answers, and takes the {credential}"),
        Err(says) => format!("{name}: the {what} cannot be used: {says}"),
    }
}

#[cfg(feature = "cli")]
async fn ask_api7(name: &str, section: &Api7Section, timeout: Duration) -> Result<(), BoxError> {
    use mcp_gw_admin_client::api7::{Client, Kind, ListParams, Place};
    use mcp_gw_admin_client::tools::api7::explain;

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let way = once(&config.dashboard_url, config.ca_pem, config.proxy, timeout)?;
    let client = Client::with_config(way, config.token)?;
    let few = ListParams::default().with_page(1).with_page_size(1);
    let few = Kind::GatewayGroup.list(&Place::global(), &few)?;
    known(client.raw(few).await, explain)
}

#[cfg(feature = "cli")]
async fn ask_apisix(
    name: &str,
    section: &ApisixSection,
    timeout: Duration,
) -> Result<(), BoxError> {
    use mcp_gw_admin_client::apisix::{Client, Kind, ListParams, Place};
    use mcp_gw_admin_client::tools::apisix::explain;

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let way = once(&config.admin_url, config.ca_pem, config.proxy, timeout)?;
    let client = Client::with_config(way, config.admin_key)?;
    let few = ListParams::default().with_page(1).with_page_size(10);
    let few = Kind::Route.list(&Place::default(), &few)?;
    known(client.raw(few).await, explain)
}

#[cfg(feature = "cli")]
async fn ask_konnect(
    name: &str,
    section: &KonnectSection,
    timeout: Duration,
) -> Result<(), BoxError> {
    use mcp_gw_admin_client::konnect::{Client, ClientConfig, ControlPlane, PlaneParams};
    use mcp_gw_admin_client::tools::konnect::explain;

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let way = once(section.address(), config.ca_pem, config.proxy, timeout)?;
    let base = way.base.clone();
    let mut both = ClientConfig::at(base.clone(), base, config.region);
    both.regional = way;
    let client = Client::with_config(both, config.token)?;
    let few = PlaneParams::default().with_number(1).with_size(1);
    known(
        client.control_plane_page::<ControlPlane>(&few).await,
        explain,
    )
}

#[cfg(feature = "cli")]
async fn ask_kong(name: &str, section: &KongSection, timeout: Duration) -> Result<(), BoxError> {
    use mcp_gw_admin_client::kong::{Client, ClientConfig};
    use mcp_gw_admin_client::tools::konnect::explain_gateway;

    let config = section.resolve(name, timeout).map_err(sentence)?;
    let way = once(&config.admin_url, config.ca_pem, config.proxy, timeout)?;
    let mut gateway = ClientConfig::new(way.base.clone());
    gateway.transport = way;
    gateway.header = config.admin_header.trim().try_into()?;
    gateway.token = config.admin_token;
    known(Client::with_config(gateway)?.about().await, explain_gateway)
}

/// The way to an API that is asked once.
#[cfg(feature = "cli")]
fn once(
    url: &str,
    ca_pem: Option<String>,
    proxy: Option<Secret<String>>,
    timeout: Duration,
) -> Result<TransportConfig, BoxError> {
    let mut config = TransportConfig::new(url.parse()?);
    config.trust = ca_pem.map_or(Trust::System, Trust::Pem);
    config.proxy = proxy;
    config.timeout = timeout;
    config.retries = RetryPolicy::never();
    Ok(config)
}

/// Whoever is refused one thing is known, and may do others.
#[cfg(feature = "cli")]
fn known<T>(
    answer: Result<T, mcp_gw_admin_client::http::Error>,
    explain: fn(&mcp_gw_admin_client::http::Error) -> String,
) -> Result<(), BoxError> {
    match answer {
        Err(error) if !error.is_forbidden() => Err(explain(&error).into()),
        _ => Ok(()),
    }
}
