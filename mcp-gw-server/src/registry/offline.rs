//! Servers of a store for a program that is no gateway, and asks them what they offer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use mcp_gw_core::{Backend, SystemClock};
use mcp_gw_store::{Instance, Store, StoreError, Template};
use mcp_gw_upstream::egress::AddressRules;

use super::make::{MOST_REPLICAS, Workbench, seconds};
use super::names::server_name;
use super::record::Record;
use super::{all_of, news::Dirty};
use crate::config::ManagementConfig;
use crate::stored::Children;

/// The servers that are registered in `store`, by their names in a gateway; where there is no way to one,
/// why. Nothing is connected to and no process is started before one is asked for something.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn servers_of(
    store: &dyn Store,
    section: &ManagementConfig,
    env: Vec<(OsString, OsString)>,
) -> Result<BTreeMap<String, Result<Arc<dyn Backend>, String>>, StoreError> {
    let (templates, instances) = all_of(store).await?;
    let addresses = AddressRules::new().with_private(section.allow_private);
    let children = Children { env, grace: None };
    let bench = Workbench::new(addresses, children, Arc::new(SystemClock::new()));
    let servers = templates.iter().map(|template| {
        let own = instances.iter();
        let own = own.filter(|it| it.template_name == template.name && it.spec.is_active);
        let name = server_name(&template.name);
        let server = server(&bench, &name, template, own.take(MOST_REPLICAS));
        (name, server)
    });
    Ok(servers.collect())
}

fn server<'i>(
    bench: &Workbench,
    name: &str,
    template: &Template,
    instances: impl Iterator<Item = &'i Instance>,
) -> Result<Arc<dyn Backend>, String> {
    let dirty = Arc::new(Dirty::default());
    let timeout = seconds(template.load_balancer.timeout);
    let mut members = Vec::new();
    let mut fault = None;
    for instance in instances {
        let (clock, dirty) = (Arc::clone(&bench.clock), Arc::clone(&dirty));
        let id = instance.id.as_str().into();
        let record = Arc::new(Record::new(id, instance.health.clone(), clock, dirty));
        match bench.place(name, timeout, &instance.spec, &record, None) {
            Ok(place) => members.push((instance, place)),
            Err(reason) => fault = Some(reason),
        }
    }
    if members.is_empty() {
        return Err(fault.unwrap_or_else(|| "none of its instances is active".to_owned()));
    }
    let members: Vec<_> = members.iter().map(|(it, place)| (*it, place)).collect();
    Ok(bench.server(name, &template.load_balancer, &members)?)
}
