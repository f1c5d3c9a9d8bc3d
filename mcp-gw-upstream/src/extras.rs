//! What a server lists on clients' own connections and not on the shared one: many list tools only
//! for clients that declare what those need. The offer is the union, within bounds.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_gw_core::{BackendEvent, ItemSpec, ObjectWriter, Offer, RawJson, ToolSpec};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::desk::Desk;
use crate::notice::Events;
use crate::offer::{self, Lists};
use crate::owner::Owner;

/// So many items such connections may add to the offer of a server, all together.
const MOST: usize = 1000;
/// So long they may be, in bytes.
const LONGEST: usize = 8 * 1024 * 1024;
/// So long may be what the server declares on one of them, in bytes.
const LONGEST_DECLARED: usize = 64 * 1024;
/// Two looks at the lists of one connection are at least this far apart.
const BREATH: Duration = Duration::from_millis(200);

/// What an item is: which list has it, and its name or URI.
type Id = (List, Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

#[derive(Debug, Clone)]
enum Item {
    Tool(ToolSpec),
    Other(ItemSpec),
}

impl Item {
    const fn definition(&self) -> &RawJson {
        match self {
            Self::Tool(tool) => tool.definition(),
            Self::Other(item) => item.definition(),
        }
    }
}

/// An item that at least one connection adds.
struct Added {
    item: Item,
    count: usize,
}

/// What the connections of their own add to the offer of one server.
pub(crate) struct Extras {
    events: Arc<Events>,
    state: Mutex<State>,
    /// Grows when the lists of all of them are to be read anew; 0 until an offer was asked for.
    round: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// What the shared connection listed last.
    shared: BTreeSet<Id>,
    /// What the server declared on it (`ServerCapabilities`).
    declared: Option<RawJson>,
    /// What it declares on each open lane that has been read, by the lane's number.
    declares: BTreeMap<u64, RawJson>,
    /// What each open lane adds, by its number.
    lanes: HashMap<u64, BTreeSet<Id>>,
    added: BTreeMap<Id, Added>,
    bytes: usize,
}

impl Default for Extras {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Extras {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            state: Mutex::default(),
            round: watch::Sender::new(0),
        }
    }

    /// The shared connection offers this now: adds what only others have.
    pub(crate) fn complete(&self, offer: &mut Offer) {
        let shared: BTreeSet<Id> = items(offer).map(|(id, _)| id).collect();
        let mut state = self.lock();
        // What it has no more may be somebody's extra now.
        let is_less = !state.shared.is_subset(&shared);
        state.shared = shared;
        state.declared.clone_from(&offer.capabilities);
        offer.capabilities = state.capabilities();
        for ((list, key), added) in &state.added {
            if state.shared.contains(&(*list, Arc::clone(key))) {
                continue;
            }
            match (list, &added.item) {
                (List::Tools, Item::Tool(tool)) => offer.tools.push(tool.clone()),
                (List::Resources, Item::Other(item)) => offer.resources.push(item.clone()),
                (List::Templates, Item::Other(item)) => {
                    offer.resource_templates.push(item.clone());
                }
                (List::Prompts, Item::Other(item)) => offer.prompts.push(item.clone()),
                _ => {}
            }
        }
        drop(state);
        self.round.send_if_modified(|round| {
            let is_new = *round == 0 || is_less;
            *round += u64::from(is_new);
            is_new
        });
    }

    /// A lane is open from now on.
    pub(crate) fn opened(&self, lane: u64) {
        self.lock().lanes.entry(lane).or_default();
    }

    /// The lane of this number lists this now. Tells when that changes the union.
    fn learn(&self, lane: u64, offer: &Offer) {
        let mut state = self.lock();
        let Some(before) = state.lanes.get(&lane).cloned() else {
            return;
        };
        let mut now = BTreeSet::new();
        let mut is_changed = state.declare(lane, offer.capabilities.as_ref());
        for (id, item) in items(offer) {
            if !state.shared.contains(&id) && !now.contains(&id) {
                let is_known = before.contains(&id);
                if state.add(&id, item, is_known, &mut is_changed) {
                    now.insert(id);
                }
            }
        }
        for id in before.difference(&now) {
            is_changed |= state.take(id);
        }
        state.lanes.insert(lane, now);
        drop(state);
        self.tell(is_changed);
    }

    /// A lane is no more, and what only it had neither.
    pub(crate) fn closed(&self, lane: u64) {
        let mut state = self.lock();
        let ids = state.lanes.remove(&lane).unwrap_or_default();
        let mut is_changed = state.declare(lane, None);
        for id in &ids {
            is_changed |= state.take(id);
        }
        drop(state);
        self.tell(is_changed);
    }

    fn tell(&self, is_changed: bool) {
        if is_changed {
            self.events.emit(BackendEvent::OfferChanged);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the server declares on any of its connections.
    fn capabilities(&self) -> Option<RawJson> {
        let all = self.declared.iter().chain(self.declares.values());
        all.cloned().reduce(|all, other| union(&all, &other))
    }

    /// The server declares this on a lane, or nothing any more. True when that changes the union.
    fn declare(&mut self, lane: u64, capabilities: Option<&RawJson>) -> bool {
        let capabilities = capabilities.filter(|all| all.len() <= LONGEST_DECLARED);
        if self.declares.get(&lane) == capabilities {
            return false;
        }
        let before = self.capabilities();
        match capabilities {
            Some(all) => self.declares.insert(lane, all.detached()),
            None => self.declares.remove(&lane),
        };
        self.capabilities() != before
    }

    /// Counts an item of a lane, which `is_known` to have it already. False when there is no room.
    fn add(&mut self, id: &Id, item: Item, is_known: bool, is_changed: &mut bool) -> bool {
        let size = item.definition().len();
        let count = self.added.len();
        match self.added.entry(id.clone()) {
            Entry::Occupied(mut found) => {
                let found = found.get_mut();
                found.count += usize::from(!is_known);
                // What one alone has is as that one says.
                let old = found.item.definition();
                let bytes = self.bytes - old.len() + size;
                if found.count == 1 && old != item.definition() && bytes <= LONGEST {
                    self.bytes = bytes;
                    found.item = item;
                    *is_changed = true;
                }
                true
            }
            Entry::Vacant(_) if count >= MOST || self.bytes + size > LONGEST => false,
            Entry::Vacant(free) => {
                free.insert(Added { item, count: 1 });
                self.bytes += size;
                *is_changed = true;
                true
            }
        }
    }

    /// One lane less has this item. True when it was the last.
    fn take(&mut self, id: &Id) -> bool {
        let Some(found) = self.added.get_mut(id) else {
            return false;
        };
        found.count -= 1;
        let is_last = found.count == 0;
        if is_last {
            self.bytes -= found.item.definition().len();
            self.added.remove(id);
        }
        is_last
    }
}

/// Both objects' members, and of members that are objects in both their members. Where they say
/// different things of one, the first is right. What cannot be read adds nothing.
fn union(one: &RawJson, other: &RawJson) -> RawJson {
    // What most connections declare is what all do.
    if one == other {
        return one.clone();
    }
    let (Ok(own), Ok(others)) = (one.members(), other.members()) else {
        return one.clone();
    };
    let mut writer = ObjectWriter::with_capacity(one.len() + other.len());
    for (name, value) in own.iter() {
        let value = one.slice(value);
        let both = others
            .get(name)
            .map(|more| other.slice(more))
            .filter(|more| value.is_object() && more.is_object());
        let value = both.map_or(value.clone(), |more| joined(&value, &more));
        writer = writer.raw(name, &value);
    }
    for (name, value) in others.iter().filter(|(name, _)| own.get(name).is_none()) {
        writer = writer.raw_value(name, value);
    }
    writer.finish()
}

/// The first object, and the members that only the second one has.
fn joined(one: &RawJson, other: &RawJson) -> RawJson {
    let (Ok(own), Ok(others)) = (one.members(), other.members()) else {
        return one.clone();
    };
    let mut writer = ObjectWriter::with_capacity(one.len() + other.len()).members(&own, &[]);
    for (name, value) in others.iter().filter(|(name, _)| own.get(name).is_none()) {
        writer = writer.raw_value(name, value);
    }
    writer.finish()
}

fn items(offer: &Offer) -> impl Iterator<Item = (Id, Item)> {
    let tools = offer.tools.iter().map(|tool| {
        let id = (List::Tools, tool.shared_name());
        (id, Item::Tool(tool.clone()))
    });
    let others = [
        (List::Resources, &offer.resources),
        (List::Templates, &offer.resource_templates),
        (List::Prompts, &offer.prompts),
    ];
    let others = others.into_iter().flat_map(|(list, items)| {
        items.iter().map(move |item| {
            let id: Id = (list, item.key().into());
            (id, Item::Other(item.clone()))
        })
    });
    tools.chain(others)
}

/// Reads the lists of a client's own connection when it is new and when it says that they have
/// changed, for as long as it is there. Not before somebody has asked for an offer.
pub(crate) async fn keep<L: Lists>(
    lists: L,
    extras: Arc<Extras>,
    owner: Arc<Owner>,
    desk: Arc<Desk>,
) {
    let mut round = extras.round.subscribe();
    if round.wait_for(|round| *round > 0).await.is_err() {
        return;
    }
    loop {
        round.mark_unchanged();
        match offer::read(&lists).await {
            Ok(offer) => extras.learn(owner.number, &offer),
            Err(error) => tracing::debug!(
                target: "mcp_gw::upstream",
                server = &*lists.settings().server,
                %error,
                "the lists of a client's own connection cannot be read"
            ),
        }
        sleep(BREATH).await;
        tokio::select! {
            () = desk.lists_changed() => {}
            changed = round.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extras")
            .field("added", &self.lock().added.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
