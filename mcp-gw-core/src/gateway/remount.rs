//! Other backends in the place of those there are, while requests go on.

use std::collections::HashMap;
use std::sync::Arc;

use super::{BuildError, Gateway, Mount, Mounted, check_endpoints, mounts_of};
use crate::backend::Backend;
use crate::catalogue::Endpoint;
use crate::mount::Mounting;

/// What a gateway is to have behind it from now on, in this order; see [`Gateway::remount`].
#[derive(Default)]
#[must_use]
pub struct Remount {
    slots: Vec<(Slot, Mounting)>,
    endpoints: Vec<Endpoint>,
}

enum Slot {
    Stays(String),
    Comes(Arc<dyn Backend>),
}

impl std::fmt::Debug for Remount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.slots.iter().map(|(slot, _)| match slot {
            Slot::Stays(name) => name.as_str(),
            Slot::Comes(backend) => backend.name(),
        });
        f.debug_list().entries(names).finish()
    }
}

impl Remount {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The backend of this name stays, with what is known of its offer; how it is mounted may
    /// change. Local tools are the backend `local`.
    pub fn keep(mut self, name: impl Into<String>, mounting: Mounting) -> Self {
        self.slots.push((Slot::Stays(name.into()), mounting));
        self
    }

    /// A backend comes. One that is there under its name goes.
    pub fn mount(mut self, backend: impl Backend, mounting: Mounting) -> Self {
        self.slots.push((Slot::Comes(Arc::new(backend)), mounting));
        self
    }

    /// An endpoint that shows a part of the gateway. Those that are not named here go.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }
}

impl Gateway {
    /// Puts other backends and endpoints in the place of those there are, all at once: a request sees
    /// either those before or those after. Requests under way go on with the backend that they came
    /// to. What a backend that comes offers is known after [`Gateway::refresh_backend`].
    ///
    /// The backends that went are returned, still open: close each when nothing more is under way on
    /// it.
    ///
    /// # Errors
    /// As [`GatewayBuilder::build`](crate::GatewayBuilder::build), and when a backend is to stay that
    /// is not there; nothing has changed then.
    pub fn remount(&self, next: Remount) -> Result<Vec<Arc<dyn Backend>>, BuildError> {
        let came: Vec<_> = next
            .slots
            .iter()
            .filter_map(|(slot, _)| slot.comes())
            .collect();
        let mut outcome = Ok(Vec::new());
        self.mounted(|mounted| {
            outcome = mounted.replace(next);
            mounted.is_stale |= outcome.is_ok();
        });
        self.settle();
        let gone = outcome?;
        for backend in came {
            self.hear(&*backend);
        }
        Ok(gone)
    }
}

impl Slot {
    fn comes(&self) -> Option<Arc<dyn Backend>> {
        match self {
            Self::Comes(backend) => Some(Arc::clone(backend)),
            Self::Stays(_) => None,
        }
    }
}

impl Mounted {
    /// Puts `next` in the place of what there is, and gives what went. After an error nothing has
    /// changed.
    fn replace(&mut self, next: Remount) -> Result<Vec<Arc<dyn Backend>>, BuildError> {
        let there: HashMap<&str, &Arc<dyn Backend>> = self
            .mounts
            .iter()
            .map(|mount| (&*mount.point.server, &mount.point.backend))
            .collect();
        let mut backends = Vec::with_capacity(next.slots.len());
        for (slot, mounting) in next.slots {
            let backend = match slot {
                Slot::Comes(backend) => backend,
                Slot::Stays(name) => there
                    .get(name.as_str())
                    .map(|backend| Arc::clone(backend))
                    .ok_or(BuildError::NoSuchBackend { name })?,
            };
            backends.push((backend, mounting));
        }
        let mut mounts = mounts_of(backends)?;
        check_endpoints(&mounts, &next.endpoints)?;
        let mut gone = Vec::new();
        let mut heirs: HashMap<Arc<str>, &mut Mount> = mounts
            .iter_mut()
            .map(|new| (Arc::clone(&new.point.server), new))
            .collect();
        for old in std::mem::take(&mut self.mounts) {
            let heir = heirs.remove(&old.point.server);
            let stays = heir
                .as_ref()
                .is_some_and(|new| Arc::ptr_eq(&new.point.backend, &old.point.backend));
            if !stays {
                gone.push(Arc::clone(&old.point.backend));
            }
            if let Some(new) = heir {
                new.take_over(old, stays);
            }
        }
        self.mounts = mounts;
        self.endpoints = next.endpoints;
        Ok(gone)
    }
}

impl Mount {
    /// Takes over what is known of the backend of this name. Of another one before it only the
    /// offer, until it says what its own is: calls that come meanwhile should reach it.
    fn take_over(&mut self, old: Self, is_same: bool) {
        if is_same && self.point.is_as(&old.point) {
            // What is shown of it stays as it is, too.
            self.point = old.point;
            (self.asked_at, self.fault, self.report) = (old.asked_at, old.fault, old.report);
        } else if is_same {
            self.point.set_away(old.point.is_away());
            self.asked_at = old.asked_at;
            self.fault = old.fault;
            self.report = old.report;
        } else if self.offer.is_some() || old.offer.is_none() {
            return;
        } else {
            self.point.set_away(false);
        }
        self.offer = old.offer;
    }
}
