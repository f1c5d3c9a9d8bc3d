//! Templates and instances as this process knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use mcp_gw_core::Clock;
use mcp_gw_store::{Instance, InstanceSpec, ServerStatus, Template};

use super::news::Dirty;
use super::record::Record;

/// One instance, and what is known of it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) instance: Arc<Instance>,
    pub(crate) record: Arc<Record>,
    /// Why it gets no calls, though it is enabled.
    pub(crate) fault: Option<Arc<str>>,
}

/// One template.
#[derive(Clone, Default)]
pub(crate) struct Kind {
    pub(crate) template: Option<Arc<Template>>,
    /// The server of the gateway that it is; `None` when there is none.
    pub(crate) server: Option<Arc<str>>,
    /// Its instances, in the order of their creation.
    pub(crate) instances: Vec<Known>,
}

impl Kind {
    /// True when this instance was well when it was last asked.
    pub(crate) fn was_well(&self, id: &str) -> bool {
        let mut instances = self.instances.iter();
        let known = instances.find(|known| known.instance.id == id);
        known.is_some_and(|known| known.record.status() == ServerStatus::Healthy)
    }
}

/// What became of a template when the gateway was put together.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) server: Option<Arc<str>>,
    /// Of its instances, those that get no calls, and why.
    pub(crate) faults: HashMap<String, Arc<str>>,
}

/// Everything that there is in the store, by name.
pub(crate) struct Shelf {
    clock: Arc<dyn Clock>,
    dirty: Arc<Dirty>,
    kinds: RwLock<Kinds>,
}

#[derive(Default)]
struct Kinds {
    kinds: BTreeMap<String, Kind>,
    /// Which template an instance is of.
    homes: HashMap<String, String>,
}

impl Shelf {
    pub(crate) fn new(clock: Arc<dyn Clock>, dirty: Arc<Dirty>) -> Self {
        Self {
            clock,
            dirty,
            kinds: RwLock::default(),
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Kinds) -> T) -> T {
        work(&self.kinds.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, work: impl FnOnce(&mut Kinds) -> T) -> T {
        work(&mut self.kinds.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of it, as it is now.
    pub(crate) fn all(&self) -> BTreeMap<String, Kind> {
        self.read(|kinds| kinds.kinds.clone())
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.read(|kinds| kinds.kinds.get(name).cloned())
    }

    pub(crate) fn known(&self, id: &str) -> Option<Known> {
        self.read(|kinds| kinds.find(id).cloned())
    }

    pub(crate) fn record(&self, id: &str) -> Option<Arc<Record>> {
        self.read(|kinds| Some(Arc::clone(&kinds.find(id)?.record)))
    }

    pub(crate) fn put_template(&self, template: Template) {
        self.write(|kinds| {
            let kind = kinds.kinds.entry(template.name.clone()).or_default();
            kind.template = Some(Arc::new(template));
        });
    }

    pub(crate) fn remove_template(&self, name: &str) {
        self.write(|kinds| {
            if let Some(kind) = kinds.kinds.remove(name) {
                for known in kind.instances {
                    kinds.homes.remove(&known.instance.id);
                }
            }
        });
    }

    /// An instance was written: it is `instance` now.
    pub(crate) fn put(&self, instance: Instance) {
        self.write(|kinds| self.put_in(kinds, instance));
    }

    fn put_in(&self, kinds: &mut Kinds, instance: Instance) {
        let home = instance.template_name.clone();
        let before = match kinds.homes.get(&instance.id) {
            Some(old) if *old != home => {
                let old = old.clone();
                kinds.take(&old, &instance.id)
            }
            Some(_) => kinds.find(&instance.id).cloned(),
            None => None,
        };
        let record = match &before {
            Some(known) => {
                // What was found out about another place says nothing of this one.
                if is_elsewhere(&known.instance.spec, &instance.spec) {
                    known.record.renew(mcp_gw_store::Health::new());
                }
                Arc::clone(&known.record)
            }
            None => Arc::new(Record::new(
                instance.id.as_str().into(),
                instance.health.clone(),
                Arc::clone(&self.clock),
                Arc::clone(&self.dirty),
            )),
        };
        kinds.homes.insert(instance.id.clone(), home.clone());
        let kind = kinds.kinds.entry(home).or_default();
        let known = Known {
            fault: before.and_then(|before| before.fault),
            instance: Arc::new(instance),
            record,
        };
        let same = |one: &&mut Known| one.instance.id == known.instance.id;
        match kind.instances.iter_mut().find(same) {
            Some(place) => *place = known,
            None => kind.instances.push(known),
        }
    }

    pub(crate) fn remove(&self, id: &str) {
        self.write(|kinds| {
            if let Some(home) = kinds.homes.remove(id) {
                kinds.take(&home, id);
            }
        });
    }

    /// The store has these and no others.
    pub(crate) fn replace(&self, templates: Vec<Template>, instances: Vec<Instance>) {
        self.write(|kinds| {
            let ids: BTreeSet<_> = instances.iter().map(|one| one.id.clone()).collect();
            let names: BTreeSet<_> = templates.iter().map(|one| one.name.clone()).collect();
            kinds.homes.retain(|id, _| ids.contains(id));
            for kind in kinds.kinds.values_mut() {
                kind.instances.retain(|one| ids.contains(&one.instance.id));
            }
            for template in templates {
                let kind = kinds.kinds.entry(template.name.clone()).or_default();
                if kind.template.as_deref() != Some(&template) {
                    kind.template = Some(Arc::new(template));
                }
            }
            for instance in instances {
                let there = kinds.find(&instance.id);
                let is_same = there.is_some_and(|known| {
                    known.instance.revision == instance.revision
                        && known.instance.created_at == instance.created_at
                });
                if !is_same {
                    self.put_in(kinds, instance);
                }
            }
            kinds
                .kinds
                .retain(|name, kind| names.contains(name) || !kind.instances.is_empty());
        });
    }

    /// What became of the templates.
    pub(crate) fn settle(&self, outcomes: &HashMap<String, Outcome>) {
        let mut bad = Vec::new();
        self.write(|kinds| {
            for (name, kind) in &mut kinds.kinds {
                let Some(outcome) = outcomes.get(name) else {
                    continue;
                };
                kind.server.clone_from(&outcome.server);
                for known in &mut kind.instances {
                    known.fault = outcome.faults.get(&known.instance.id).cloned();
                    if let Some(fault) = &known.fault {
                        bad.push((Arc::clone(&known.record), Arc::clone(fault)));
                    }
                }
            }
        });
        for (record, fault) in bad {
            let health = record.health();
            if health.status != ServerStatus::Unhealthy
                || health.last_error.as_deref() != Some(&*fault)
            {
                record.failed(&fault);
            }
        }
    }
}

impl Kinds {
    fn find(&self, id: &str) -> Option<&Known> {
        let kind = self.kinds.get(self.homes.get(id)?)?;
        kind.instances.iter().find(|known| known.instance.id == id)
    }

    fn take(&mut self, home: &str, id: &str) -> Option<Known> {
        let kind = self.kinds.get_mut(home)?;
        let at = kind
            .instances
            .iter()
            .position(|one| one.instance.id == id)?;
        Some(kind.instances.remove(at))
    }
}

/// True when two specifications lead to different places, or one of them to none.
pub(crate) fn is_elsewhere(one: &InstanceSpec, other: &InstanceSpec) -> bool {
    one.is_active != other.is_active || !leads_alike(one, other)
}

/// True when what is connected to or started is the same.
pub(crate) fn leads_alike(one: &InstanceSpec, other: &InstanceSpec) -> bool {
    one.transport == other.transport
        && one.endpoint == other.endpoint
        && one.command == other.command
        && one.env_vars == other.env_vars
        && one.working_dir == other.working_dir
}
