//! The log of a window: a queue of marks of which most lie far away and both ends near.

use super::queue::{Queue, Ring};

/// So many of the oldest marks lie near, …
const OLD: usize = 2;

/// … and so many of the newest.
const NEW: usize = 3;

/// Marks in an allocation of their own, except for the few at both ends, which a decision reads and
/// writes: so only one in some decisions has to fetch other places in memory.
///
/// In their order: those in `old`, those in `far`, those in `new`.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    far: Option<Box<Ring<u32>>>,
    old: [u32; OLD],
    new: [u32; NEW],
    /// How many marks are in `far`, …
    fars: u16,
    /// … in `old`, …
    olds: u8,
    /// … and in `new`.
    news: u8,
}

impl Log {
    /// The same marks, with room for more.
    pub(super) fn of(queue: &impl Queue<Item = u32>) -> Self {
        let mut log = Self::default();
        queue.iter().for_each(|mark| log.push(mark));
        log
    }

    /// Takes in a mark, the newest.
    pub(super) fn push(&mut self, mark: u32) {
        if let Some(place) = self.new.get_mut(usize::from(self.news)) {
            *place = mark;
            self.news += 1;
            return;
        }
        let far = self.far.get_or_insert_default();
        self.new.iter().for_each(|new| far.push(*new));
        self.fars += u16::from(self.news);
        (self.new, self.news) = ([mark, 0, 0], 1);
        // What is far away has been fetched now.
        self.draw_near();
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        let far = self.far.as_deref();
        far.map_or(0, |far| far.heap() + size_of_val(far))
    }

    /// Moves the oldest marks from far to near, as long as there is room.
    fn draw_near(&mut self) {
        let Some(far) = self.far.as_deref_mut().filter(|_| self.fars > 0) else {
            return;
        };
        while let Some(place) = self.old.get_mut(usize::from(self.olds)) {
            let Some(mark) = far.at(0) else {
                return;
            };
            *place = mark;
            far.pop();
            self.olds += 1;
            self.fars -= 1;
        }
    }
}

impl Queue for Log {
    type Item = u32;

    fn len(&self) -> usize {
        usize::from(self.olds) + usize::from(self.fars) + usize::from(self.news)
    }

    fn at(&self, n: usize) -> Option<u32> {
        let Some(far) = n.checked_sub(usize::from(self.olds)) else {
            return self.old.get(n).copied();
        };
        let Some(new) = far.checked_sub(usize::from(self.fars)) else {
            return self.far.as_deref()?.at(far);
        };
        let is_there = new < usize::from(self.news);
        is_there.then(|| self.new.get(new).copied())?
    }

    /// Those that were far and are the oldest now come near before the next is asked for.
    fn pop(&mut self) {
        if self.olds > 0 {
            let [_, next] = self.old;
            self.old = [next, 0];
            self.olds -= 1;
        } else {
            let [_, next, last] = self.new;
            self.new = [next, last, 0];
            self.news = self.news.saturating_sub(1);
        }
        if self.olds == 0 {
            self.draw_near();
        }
    }

    fn drop_units(&mut self, units: u64) {
        let units = usize::try_from(units).unwrap_or(usize::MAX);
        (0..units.min(self.len())).for_each(|_| self.pop());
    }
}
