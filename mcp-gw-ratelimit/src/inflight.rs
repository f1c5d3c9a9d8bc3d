//! Places among what is under way: counts that go down again by themselves.
//!
//! A call has a place when its store has admitted it, and nobody is refused for the sake of one that
//! may still be refused: who comes while a place is only asked for waits for that decision. So a call
//! is charged to all its limits or to none, and takes a place if and only if it is charged, without
//! anything that would have to be given back by a store.

#[cfg(test)]
mod tests;

mod lent;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::store::Key;
pub(crate) use lent::Lending;

/// So many calls of one flow may wait for one key; more are refused.
const MOST_OF_ONE: usize = 4_096;
/// So many calls may wait in all.
const MOST: usize = 65_536;

/// How many calls of each key are under way. There is no entry for none, so that there are never
/// more entries than calls.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<Table>>);

/// A place that a call needs: of which key, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) key: Key,
    pub(crate) most: u64,
}

/// What a call needs: each key once.
pub(crate) type Wants = SmallVec<[Want; 2]>;

/// The places of one call; dropping them gives them back. They are asked for until the call is
/// [admitted](Places::keep).
pub(crate) struct Places {
    table: InFlight,
    wants: Wants,
    is_kept: bool,
}

/// All places of the want of this number are taken, by so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) at: usize,
    pub(crate) count: u64,
}

#[derive(Default)]
struct Table {
    counts: HashMap<Key, Count>,
    /// Who waits, by the key that is in the way. Of such a key no place is free, and where new calls
    /// wait, not all are kept.
    lines: HashMap<(Order, Key), Line>,
    /// Those that wait, and those that gave up and were not come across yet.
    waiting: usize,
}

/// Who comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Order {
    /// Calls that were admitted long ago, and lent their places: they wait however long it takes.
    Admitted,
    /// New calls. They are refused as soon as it is known that all places are kept.
    New,
}

#[derive(Clone, Copy, Default)]
struct Count {
    /// Of calls that were admitted.
    kept: u64,
    /// Of calls that are not decided on yet.
    asked: u64,
}

/// Those that wait for one key, each flow in a line of its own.
#[derive(Default)]
struct Line {
    flows: HashMap<Key, VecDeque<Waiter>>,
    /// Each flow once, in the order of their turns.
    order: VecDeque<Key>,
}

struct Waiter {
    wants: Wants,
    told: oneshot::Sender<Result<Places, Full>>,
}

/// How it stands with the places that a call needs.
enum Look {
    Free,
    Full(Full),
    /// Those of this want are taken, and some of them may come free.
    Undecided(usize),
}

impl InFlight {
    /// Asks for the places, as soon as it is known that they are free or taken. Calls of one `flow`
    /// wait in a line of their own.
    pub(crate) async fn take(&self, wants: Wants, flow: Key) -> Result<Places, Full> {
        let mut news = {
            let mut table = self.lock();
            match table.look(&wants, Order::New) {
                Look::Free => return Ok(table.ask(self, wants)),
                Look::Full(full) => return Err(full),
                Look::Undecided(at) => table.join(at, wants, flow)?,
            }
        };
        // Nobody is forgotten in a line; the places would be free.
        (&mut news).await.unwrap_or(Err(Full { at: 0, count: 0 }))
    }

    /// The places, if they are free.
    fn take_now(&self, wants: &Wants) -> Option<Places> {
        let mut table = self.lock();
        let is_free = matches!(table.look(wants, Order::Admitted), Look::Free);
        is_free.then(|| table.ask(self, wants.clone()))
    }

    /// Waits for the places of a call that was admitted, however long it takes.
    async fn take_again(&self, wants: &Wants) -> Option<Places> {
        let news = {
            let mut table = self.lock();
            let Look::Undecided(at) = table.look(wants, Order::Admitted) else {
                return Some(table.ask(self, wants.clone()));
            };
            let key = wants.get(at)?.key;
            let (told, news) = oneshot::channel();
            let wants = wants.clone();
            let line = table.lines.entry((Order::Admitted, key)).or_default();
            line.push(key, Waiter { wants, told });
            table.waiting += 1;
            news
        };
        news.await.ok()?.ok()
    }

    /// Calls of this key that were admitted and have not ended.
    pub(crate) fn count(&self, key: Key) -> u64 {
        self.lock().count(key).kept
    }

    /// Keys of which something is under way.
    pub(crate) fn keys(&self) -> usize {
        self.lock().counts.len()
    }

    /// Nothing panics while it is held, so that what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

impl Places {
    /// The call was admitted: it has its places until they are dropped.
    pub(crate) fn keep(&mut self) {
        if self.is_kept {
            return;
        }
        self.is_kept = true;
        let mut table = self.table.lock();
        for want in &self.wants {
            if let Some(count) = table.counts.get_mut(&want.key) {
                count.asked -= 1;
                count.kept += 1;
            }
        }
        // New calls that wait may have nothing to wait for any more.
        for want in &self.wants {
            table.settle(&self.table, want.key);
        }
    }
}

impl Places {
    /// Parts with those of which `is_other` says so.
    pub(crate) fn split(&mut self, mut is_other: impl FnMut(usize) -> bool) -> Self {
        let all = std::mem::take(&mut self.wants);
        let mut others = Wants::new();
        for (at, want) in all.into_iter().enumerate() {
            let part = if is_other(at) {
                &mut others
            } else {
                &mut self.wants
            };
            part.push(want);
        }
        Self {
            table: self.table.clone(),
            wants: others,
            is_kept: self.is_kept,
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if self.wants.is_empty() {
            return;
        }
        let mut table = self.table.lock();
        for want in &self.wants {
            table.give_back(want.key, self.is_kept);
        }
        for want in &self.wants {
            table.settle(&self.table, want.key);
        }
    }
}

impl Table {
    fn count(&self, key: Key) -> Count {
        self.counts.get(&key).copied().unwrap_or_default()
    }

    fn look(&self, wants: &Wants, order: Order) -> Look {
        let mut look = Look::Free;
        for (at, want) in wants.iter().enumerate() {
            let Count { kept, asked } = self.count(want.key);
            if order == Order::New && kept >= want.most {
                return Look::Full(Full { at, count: kept });
            }
            if kept + asked >= want.most && matches!(look, Look::Free) {
                look = Look::Undecided(at);
            }
        }
        look
    }

    fn ask(&mut self, own: &InFlight, wants: Wants) -> Places {
        for want in &wants {
            self.counts.entry(want.key).or_default().asked += 1;
        }
        Places {
            table: own.clone(),
            wants,
            is_kept: false,
        }
    }

    fn give_back(&mut self, key: Key, is_kept: bool) {
        if let Entry::Occupied(mut entry) = self.counts.entry(key) {
            let Count { kept, asked } = entry.get_mut();
            *(if is_kept { &mut *kept } else { &mut *asked }) -= 1;
            if *kept + *asked == 0 {
                entry.remove();
            }
        }
    }

    /// Waits for the want of this number.
    fn join(
        &mut self,
        at: usize,
        wants: Wants,
        flow: Key,
    ) -> Result<oneshot::Receiver<Result<Places, Full>>, Full> {
        let key = wants.get(at).map_or(flow, |want| want.key);
        let count = self.count(key).kept;
        let line = self.lines.entry((Order::New, key)).or_default();
        let own = line.flows.get_mut(&flow);
        let is_long = own.is_some_and(|own| {
            if own.len() >= MOST_OF_ONE {
                let before = own.len();
                own.retain(|waiter| !waiter.told.is_closed());
                self.waiting -= before - own.len();
            }
            own.len() >= MOST_OF_ONE
        });
        if is_long || self.waiting >= MOST {
            return Err(Full { at, count });
        }
        let (told, news) = oneshot::channel();
        line.push(flow, Waiter { wants, told });
        self.waiting += 1;
        Ok(news)
    }

    /// Tells those that wait for this key what they can be told now.
    fn settle(&mut self, own: &InFlight, key: Key) {
        for order in [Order::Admitted, Order::New] {
            self.settle_line(own, order, key);
        }
    }

    fn settle_line(&mut self, own: &InFlight, order: Order, key: Key) {
        loop {
            let line = self.lines.get_mut(&(order, key));
            let Some((flow, waiter)) = line.and_then(Line::next) else {
                self.lines.remove(&(order, key));
                return;
            };
            if waiter.told.is_closed() {
                self.waiting -= 1;
                continue;
            }
            let Waiter { wants, told } = waiter;
            match self.look(&wants, order) {
                Look::Free => {
                    self.waiting -= 1;
                    let places = self.ask(own, wants);
                    if let Err(Ok(mut places)) = told.send(Ok(places)) {
                        // It waits no more. Not dropped as it is, which would come back here.
                        for want in std::mem::take(&mut places.wants) {
                            self.give_back(want.key, false);
                        }
                    }
                }
                Look::Full(full) => {
                    self.waiting -= 1;
                    // It does not matter whether anybody hears it.
                    let _ = told.send(Err(full));
                }
                Look::Undecided(at) => {
                    let other = wants.get(at).map_or(key, |want| want.key);
                    let waiter = Waiter { wants, told };
                    let line = self.lines.entry((order, other)).or_default();
                    if other == key {
                        line.put_back(flow, waiter);
                        return;
                    }
                    line.push(flow, waiter);
                }
            }
        }
    }
}

impl Line {
    fn push(&mut self, flow: Key, waiter: Waiter) {
        match self.flows.entry(flow) {
            Entry::Occupied(mut line) => line.get_mut().push_back(waiter),
            Entry::Vacant(line) => {
                line.insert(VecDeque::from([waiter]));
                self.order.push_back(flow);
            }
        }
    }

    /// It was its turn, and is again.
    fn put_back(&mut self, flow: Key, waiter: Waiter) {
        self.order.retain(|one| *one != flow);
        self.order.push_front(flow);
        self.flows.entry(flow).or_default().push_front(waiter);
    }

    /// The first of the flow whose turn it is.
    fn next(&mut self) -> Option<(Key, Waiter)> {
        while let Some(flow) = self.order.pop_front() {
            let Entry::Occupied(mut line) = self.flows.entry(flow) else {
                continue;
            };
            let first = line.get_mut().pop_front();
            if line.get().is_empty() {
                line.remove();
            } else {
                self.order.push_back(flow);
            }
            if let Some(first) = first {
                return Some((flow, first));
            }
        }
        None
    }
}
