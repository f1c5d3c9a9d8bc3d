//! What clients see of the backends, at each endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use super::{GatewayEvent, Mount};
use crate::catalogue::{Catalogue, CatalogueSwap, Endpoint, Part, Report};

/// The catalogue as each endpoint shows it; swapped together.
#[derive(Clone, Default)]
pub(super) struct Views {
    pub(super) main: Arc<Catalogue>,
    pub(super) endpoints: Arc<HashMap<Arc<str>, Arc<Catalogue>>>,
}

/// Builds the catalogue of every endpoint, and says what is new among what was left out.
/// What is as it was in `before` is taken from there.
pub(super) fn build_views(
    version: u64,
    mounts: &mut [Mount],
    endpoints: &[Endpoint],
    before: &Views,
) -> Views {
    let parts: Vec<_> = mounts
        .iter()
        .map(|mount| Part {
            point: &mount.point,
            is_static: mount.is_static,
            offer: mount.offer.as_ref(),
            asked_at: mount.asked_at,
        })
        .collect();
    let (main, reports) = Catalogue::build(version, &parts, &before.main);
    for (mount, report) in mounts.iter_mut().zip(reports) {
        log_news(&mount.point.server, &mount.report, &report);
        mount.report = report;
    }
    let own = main.of_servers(|server| before.endpoints.get(server).map(Arc::clone));
    let subsets = endpoints
        .iter()
        .map(|endpoint| (Arc::clone(endpoint.name()), Arc::new(main.subset(endpoint))));
    let views = own.into_iter().chain(subsets).collect();
    Views {
        endpoints: Arc::new(views),
        main: Arc::new(main),
    }
}

fn log_news(server: &str, before: &Report, now: &Report) {
    for item in &now.left_out {
        if !before.left_out.contains(item) {
            let kind = item.feature.as_str();
            tracing::warn!(
                server,
                name = item.name,
                reason = item.reason,
                "a {kind} is left out"
            );
        }
    }
    for name in &now.long {
        if !before.long.contains(name) {
            tracing::warn!(
                server,
                name = &**name,
                "the name has more than 64 characters; some clients refuse it"
            );
        }
    }
}

impl Views {
    /// What clients may see change, for each endpoint.
    pub(super) fn changes_to(&self, next: &Self) -> Vec<GatewayEvent> {
        let mut events = Vec::new();
        let swap = CatalogueSwap::new(Arc::clone(&self.main), Arc::clone(&next.main));
        let change = swap.before.change_to(&swap.after);
        if change.any() {
            events.push(GatewayEvent::CatalogueChanged { change, swap });
        }
        for (endpoint, view) in &*next.endpoints {
            let before = self.endpoints.get(endpoint).map(Arc::clone);
            if before
                .as_ref()
                .is_some_and(|before| Arc::ptr_eq(before, view))
            {
                continue;
            }
            let swap = CatalogueSwap::new(before.unwrap_or_default(), Arc::clone(view));
            let change = swap.before.change_to(&swap.after);
            if change.any() {
                events.push(GatewayEvent::EndpointChanged {
                    endpoint: Arc::clone(endpoint),
                    change,
                    swap,
                });
            }
        }
        events
    }
}
