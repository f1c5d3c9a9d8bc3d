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
