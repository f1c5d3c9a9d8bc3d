//! What is on the shelf becomes servers of the gateway. One task does it, and only touches what differs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_store::{Instance, LoadBalancer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::make::{MOST_REPLICAS, Workbench, seconds, weight};
use super::names::{form, server_name};
use super::place::Place;
use super::state::{Kind, Known, Outcome, Shelf, leads_alike};
use crate::pins::Guard;
use crate::stored::{Composition, StoredServer, StoredServers};
use crate::supervise::Turns;

/// So many instances are asked for the first time at once.
const AT_ONCE: usize = 10;
/// So many servers begin to be asked for what they offer within a second: of those that were well when
/// they were last asked, and of all others.
const IN_TURN: usize = 32;
/// How long the first question may take.
const FIRST: Duration = Duration::from_secs(10);

/// Puts servers together.
pub(crate) struct Settler {
    composition: Composition,
    bench: Workbench,
    shelf: Arc<Shelf>,
    servers: BTreeMap<String, Made>,
    places: HashMap<String, Kept>,
    /// By server, as long as there is one: the ways to its instances have it.
    guards: HashMap<String, Option<Arc<Guard>>>,
    asking: JoinSet<()>,
    turns: Arc<Semaphore>,
    /// Who was well does not wait behind those that nobody can reach.
    well: Turns,
    others: Turns,
}

/// A server that was made, and what of.
struct Made {
    balancer: LoadBalancer,
    members: Vec<(Arc<Instance>, Arc<Place>)>,
    server: StoredServer,
}

/// The way to an instance, and what it was made of.
struct Kept {
    server: String,
    timeout: u32,
    instance: Arc<Instance>,
    place: Arc<Place>,
}

impl Kept {
    fn is_for(&self, server: &str, timeout: u32, instance: &Instance) -> bool {
        self.server == server
            && self.timeout == timeout
            && leads_alike(&self.instance.spec, &instance.spec)
    }
}

impl Settler {
    pub(crate) fn new(composition: Composition, bench: Workbench, shelf: Arc<Shelf>) -> Self {
        Self {
            composition,
            bench,
            shelf,
            servers: BTreeMap::new(),
            places: HashMap::new(),
            guards: HashMap::new(),
            asking: JoinSet::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            well: Turns::of_expected(IN_TURN),
            others: Turns::of_strangers(IN_TURN),
        }
    }

    /// Makes the gateway have what is on the shelf.
    pub(crate) async fn settle(&mut self) {
        self.forget_gone().await;
        let kinds = self.shelf.all();
        let names: Vec<_> = kinds.keys().map(|name| server_name(name)).collect();
        let taken = self
            .composition
            .taken(names.iter().map(String::as_str))
            .await;
        let mut outcomes = HashMap::with_capacity(kinds.len());
        let mut next = BTreeMap::new();
        let mut forms: HashMap<String, &String> = HashMap::new();
        for ((template, kind), name) in kinds.iter().zip(names) {
            let mut outcome = Outcome::default();
            let other = forms.get(&form(&name)).copied();
            let objection = taken.get(&name).cloned().or_else(|| {
                let other = other?;
                Some(format!(
                    "the template `{other}` has nearly the same name, and was there first"
                ))
            });
            if let Some(objection) = objection {
                refuse(&mut outcome, kind, &objection);
            } else if let Some(made) = self.server(&name, kind, &mut outcome).await {
                forms.insert(form(&name), template);
                outcome.server = Some(name.as_str().into());
                next.insert(name, made);
            }
            outcomes.insert(template.clone(), outcome);
        }
        let servers: StoredServers = next
            .iter()
            .map(|(name, made)| (name.clone(), made.server.clone()))
            .collect();
        match self.composition.put(servers).await {
            Ok(()) => {
                self.servers = next;
                self.sweep();
            }
            Err(error) => {
                tracing::error!(%error, "registered servers are not put into the gateway");
            }
        }
        self.shelf.settle(&outcomes);
        while self.asking.try_join_next().is_some() {}
    }

    /// What a reload of the configuration has put out of the gateway is made anew when it comes back.
    async fn forget_gone(&mut self) {
        let there = self.composition.there().await;
        let is_there = |name: &String, made: &Made| {
            let server = there.get(name);
            server.is_some_and(|server| Arc::ptr_eq(&server.backend, &made.server.backend))
        };
        let mut gone = HashSet::new();
        let guards = &mut self.guards;
        self.servers.retain(|name, made| {
            let stays = is_there(name, made);
            if !stays {
                guards.remove(name);
                gone.extend(made.members.iter().map(|(instance, _)| instance.id.clone()));
            }
            stays
        });
        self.places.retain(|id, _| !gone.contains(id));
    }

    /// The server of a template: the one that there is, if that is right, or another one.
    async fn server(&mut self, name: &str, kind: &Kind, outcome: &mut Outcome) -> Option<Made> {
        let template = kind.template.as_deref();
        let balancer = template.map_or_else(LoadBalancer::default, |it| it.load_balancer);
        let guard = self.guard(name).await;
        let mut members: Vec<(Arc<Instance>, Arc<Place>)> = Vec::new();
        for known in &kind.instances {
            if !known.instance.spec.is_active {
                continue;
            }
            let place = if members.len() < MOST_REPLICAS {
                self.place(name, balancer.timeout, known, guard.as_ref())
            } else {
                Err(format!(
                    "a template has {MOST_REPLICAS} instances that get calls, no more"
                ))
            };
            match place {
                Ok(place) => members.push((Arc::clone(&known.instance), place)),
                Err(fault) => {
                    let id = known.instance.id.clone();
                    outcome.faults.insert(id, fault.into());
                }
            }
        }
        if members.is_empty() {
            return None;
        }
        if let Some(made) = self.servers.get(name)
            && made.balancer == balancer
            && are_alike(&made.members, &members)
        {
            return Some(Made {
                balancer,
                members,
                server: made.server.clone(),
            });
        }
        let mut ids = members.iter().map(|(instance, _)| &*instance.id);
        let turns = if ids.any(|id| kind.was_well(id)) {
            &self.well
        } else {
            &self.others
        };
        let borrowed: Vec<_> = members
            .iter()
            .map(|(instance, place)| (&**instance, place))
            .collect();
        match self.bench.server(name, &balancer, &borrowed) {
            Ok(server) => Some(Made {
                balancer,
                server: StoredServer::new(server, guard, turns.clone()),
                members,
            }),
            Err(fault) => {
                refuse(outcome, kind, &fault);
                None
            }
        }
    }

    async fn guard(&mut self, name: &str) -> Option<Arc<Guard>> {
        if let Some(guard) = self.guards.get(name) {
            return guard.clone();
        }
        let guard = self.composition.guard(name).await;
        self.guards.insert(name.to_owned(), guard.clone());
        guard
    }

    fn place(
        &mut self,
        name: &str,
        timeout: u32,
        known: &Known,
        guard: Option<&Arc<Guard>>,
    ) -> Result<Arc<Place>, String> {
        let instance = &known.instance;
        let kept = self.places.get(&instance.id);
        if let Some(kept) = kept.filter(|kept| kept.is_for(name, timeout, instance)) {
            return Ok(Arc::clone(&kept.place));
        }
        let place =
            self.bench
                .place(name, seconds(timeout), &instance.spec, &known.record, guard)?;
        self.ask(&place);
        let kept = Kept {
            server: name.to_owned(),
            timeout,
            instance: Arc::clone(instance),
            place: Arc::clone(&place),
        };
        self.places.insert(instance.id.clone(), kept);
        Ok(place)
    }

    /// Finds out in the background how a new instance is. Whoever looks after its server asks only one
    /// of several, and checks of health begin later.
    fn ask(&mut self, place: &Arc<Place>) {
        let (place, turns) = (Arc::downgrade(place), Arc::clone(&self.turns));
        self.asking.spawn(async move {
            let Ok(_turn) = turns.acquire().await else {
                return;
            };
            if let Some(place) = place.upgrade() {
                let _ = tokio::time::timeout(FIRST, place.check()).await;
            }
        });
    }

    /// Lets go of ways that no server uses any more. They are closed with the last server that did.
    fn sweep(&mut self) {
        let used: HashSet<&str> = self
            .servers
            .values()
            .flat_map(|made| made.members.iter().map(|(instance, _)| &*instance.id))
            .collect();
        self.places.retain(|id, _| used.contains(&**id));
        let servers = &self.servers;
        self.guards.retain(|name, _| servers.contains_key(name));
    }
}

/// True when two servers over these would do the same.
fn are_alike(one: &[(Arc<Instance>, Arc<Place>)], other: &[(Arc<Instance>, Arc<Place>)]) -> bool {
    let mut both = one.iter().zip(other);
    one.len() == other.len()
        && both.all(|((old, place), (new, other))| {
            Arc::ptr_eq(place, other) && weight(&old.spec) == weight(&new.spec)
        })
}

/// None of its instances gets calls.
fn refuse(outcome: &mut Outcome, kind: &Kind, fault: &str) {
    let enabled = kind
        .instances
        .iter()
        .filter(|one| one.instance.spec.is_active);
    let ids = enabled.map(|known| (known.instance.id.clone(), fault.into()));
    outcome.faults.extend(ids);
}
