//! Whose turn it is: so many checks are with Redis at once, and the others wait, each flow (what one
//! caller asks for) in a line of its own, so that a flood of one caller delays no other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// So many checks of one flow may wait.
pub(super) const MOST_OF_ONE: usize = 16_384;
/// So many checks may wait in all.
const MOST: usize = 131_072;
/// So long a check waits for its turn.
const LONGEST: Duration = Duration::from_secs(30);

/// Which flow a check belongs to.
pub(super) type Flow = u128;

/// Gives out the places.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<Queue>>);

/// One place; dropping it gives it to the next.
pub(super) struct Place(Option<Turns>);

/// No place came free, or too many wait for one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crowded;

struct Queue {
    all: usize,
    /// While some are free nobody waits.
    free: usize,
    /// Those that wait. There is no entry for a flow that does not.
    flows: HashMap<Flow, VecDeque<oneshot::Sender<Place>>>,
    /// Flows that wait, each once, in the order of their turns.
    order: VecDeque<Flow>,
    /// Those that wait, and those that gave up and were not come across yet.
    waiting: usize,
}

impl Turns {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            all: places,
            free: places,
            flows: HashMap::new(),
            order: VecDeque::new(),
            waiting: 0,
        })))
    }

    /// A place for a check of `flow`, as soon as it is its turn.
    pub(super) async fn take(&self, flow: Flow) -> Result<Place, Crowded> {
        let turn = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Place(Some(self.clone())));
            }
            queue.join(flow)?
        };
        match timeout(LONGEST, turn).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Crowded),
        }
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        let queue = self.lock();
        queue.all.saturating_sub(queue.free)
    }

    fn give_back(&self) {
        let mut queue = self.lock();
        while let Some(next) = queue.next() {
            match next.send(Place(Some(self.clone()))) {
                Ok(()) => return,
                // It waits no more. Not dropped here, as that would come back to this place.
                Err(mut place) => place.0 = None,
            }
        }
        queue.free += 1;
    }

    /// Nothing panics while it is held, so that what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn join(&mut self, flow: Flow) -> Result<oneshot::Receiver<Place>, Crowded> {
        if self.waiting >= MOST {
            return Err(Crowded);
        }
        let line = match self.flows.entry(flow) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(line) => {
                self.order.push_back(flow);
                line.insert(VecDeque::new())
            }
        };
        if line.len() >= MOST_OF_ONE {
            let before = line.len();
            line.retain(|one| !one.is_closed());
            self.waiting -= before - line.len();
            if line.len() >= MOST_OF_ONE {
                return Err(Crowded);
            }
        }
        let (turn, told) = oneshot::channel();
        line.push_back(turn);
        self.waiting += 1;
        Ok(told)
    }

    /// The first of the flow whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
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
            if first.is_some() {
                self.waiting = self.waiting.saturating_sub(1);
                return first;
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Polls once.
    fn now<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn flows_take_turns_however_long_their_lines_are() {
        let turns = Turns::new(1);
        let first = turns.take(1).await.unwrap();
        let mut ann: Vec<_> = (0..10).map(|_| Box::pin(turns.take(1))).collect();
        for one in &mut ann {
            assert!(now(one).is_pending());
        }
        let mut bob = pin!(turns.take(2));
        assert!(now(&mut bob).is_pending());
        drop(first);
        let Poll::Ready(Ok(place)) = now(&mut ann[0]) else {
            panic!("the first of those who wait");
        };
        assert!(now(&mut bob).is_pending());
        drop(place);
        assert!(now(&mut bob).is_ready(), "and then the other flow");
        assert_eq!(
            turns.taken(),
            1,
            "it went on to the next, who has not looked"
        );
        drop(ann);
        assert_eq!(turns.taken(), 0);
        let queue = turns.lock();
        assert_eq!(
            (queue.waiting, queue.flows.len(), queue.order.len()),
            (0, 0, 0)
        );
    }

    #[tokio::test]
    async fn as_many_of_one_flow_may_wait() {
        let turns = Turns::new(1);
        let _place = turns.take(1).await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_OF_ONE).map(|_| Box::pin(turns.take(1))).collect();
        for one in &mut waiting {
            assert!(now(one).is_pending());
        }
        assert_eq!(turns.take(1).await.err(), Some(Crowded));
        let mut other = pin!(turns.take(2));
        assert!(now(&mut other).is_pending(), "which is nothing to another");
        // Who went away makes room.
        waiting.truncate(10);
        assert!(now(&mut pin!(turns.take(1))).is_pending());
    }
}
