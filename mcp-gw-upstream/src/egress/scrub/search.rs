//! Finds texts in a stream, however they are written, in time that grows with the stream alone.
//!
//! The stream is read in all ways at once. Where nothing has been begun in any of them they are the same,
//! and it is enough to look for the next place at which something could begin.

use std::collections::VecDeque;
use std::ops::Range;

use memchr::{memchr2, memmem};

use super::needles::{Needles, PREFIX, ROOT};
use super::reading::Reading;

/// So many bytes are read one by one before the next place is looked for again.
const AWAKE: usize = 64;

/// A search that goes on from piece to piece. Places count from the beginning of the stream.
pub(super) struct Search {
    /// Where the bytes begin that are looked at.
    base: usize,
    lanes: [Lane; Reading::ALL.len()],
    /// The lanes differ; otherwise only the first one counts.
    is_split: bool,
    /// What was found, until it is certain that nothing begins before it and it is not longer.
    best: Option<Range<usize>>,
    /// Where each text could begin next.
    places: Vec<Place>,
    sign: Place,
    awake: usize,
    /// Bytes that were looked at, states that were gone through, and searches that were begun.
    pub(super) work: u64,
}

/// What was read in one way.
struct Lane {
    reading: Reading,
    /// Where it goes on.
    at: usize,
    state: usize,
    /// Where each byte was written that belongs to the state, unless that is as it is.
    starts: VecDeque<usize>,
}

/// What was found, and what of the bytes is done with.
pub(super) struct Found {
    /// Within the bytes, in order.
    pub(super) texts: Vec<Range<usize>>,
    pub(super) done: usize,
}

impl Search {
    pub(super) fn new(needles: &Needles) -> Self {
        Self {
            base: 0,
            lanes: Reading::ALL.map(Lane::new),
            is_split: false,
            best: None,
            places: (0..needles.len()).map(|_| Place::default()).collect(),
            sign: Place::default(),
            awake: 0,
            work: 0,
        }
    }

    /// Goes over `bytes`, of which the first are those that were not done with the last time.
    pub(super) fn run(&mut self, needles: &Needles, bytes: &[u8], is_end: bool) -> Found {
        let end = self.base + bytes.len();
        let mut texts = Vec::new();
        loop {
            let (lane, at) = self.hindmost();
            if let Some(best) = self.settled(is_end && at >= end) {
                self.restart(best.end);
                texts.push(best.start - self.base..best.end - self.base);
                continue;
            }
            if at >= end {
                break;
            }
            if !self.skip(needles, bytes) && !self.step(needles, lane, bytes, is_end) {
                break;
            }
        }
        let open = self.best.as_ref().map_or(end, |best| best.start);
        let done = if is_end { end } else { open.min(self.open()) };
        let found = Found {
            texts,
            done: done - self.base,
        };
        self.base = done;
        found
    }

    fn active(&self) -> &[Lane] {
        let count = if self.is_split { self.lanes.len() } else { 1 };
        self.lanes.get(..count).unwrap_or_default()
    }

    /// The lane that has come least far, and how far.
    fn hindmost(&self) -> (usize, usize) {
        let places = self.active().iter().map(|lane| lane.at).enumerate();
        places.min_by_key(|(_, at)| *at).unwrap_or_default()
    }

    /// Where something was begun, or could be next.
    fn open(&self) -> usize {
        let begins = self.active().iter().map(Lane::start);
        begins.min().unwrap_or(self.base)
    }

    /// What is found for certain.
    fn settled(&mut self, is_end: bool) -> Option<Range<usize>> {
        let start = self.best.as_ref()?.start;
        (is_end || self.open() > start).then(|| self.best.take())?
    }

    /// Begins anew behind what was found.
    fn restart(&mut self, at: usize) {
        self.is_split = false;
        let [first, ..] = &mut self.lanes;
        first.begin(at, ROOT, 0);
    }

    /// Leaves out what no text begins in; false when that is nothing.
    fn skip(&mut self, needles: &Needles, bytes: &[u8]) -> bool {
        let [first, ..] = &self.lanes;
        let at = first.at;
        if self.is_split || first.state != ROOT || self.best.is_some() || at < self.awake {
            return false;
        }
        let window = Window {
            base: self.base,
            bytes,
            at,
        };
        let sign = |bytes: &[u8]| memchr2(b'\\', b'%', bytes);
        let (next, mut work) = self.sign.next(&window, 1, sign);
        // Fewer bytes in front of a sign could be the beginning of a text.
        let mut next = at.max(next.saturating_sub(PREFIX - 1));
        for (place, prefix) in self.places.iter_mut().zip(needles.prefixes()) {
            let (found, took) = place.next(&window, PREFIX, |it| memmem::find(it, prefix));
            next = next.min(found);
            work += took;
        }
        self.work += work;
        let [first, ..] = &mut self.lanes;
        first.at = next;
        self.awake = next + AWAKE;
        next > at
    }

    /// Reads on in one lane; false when it takes more bytes to do so.
    fn step(&mut self, needles: &Needles, lane: usize, bytes: &[u8], is_end: bool) -> bool {
        let at = self.lanes.get(lane).map_or(0, |lane| lane.at);
        let rest = bytes.get(at - self.base..).unwrap_or_default();
        if !self.is_split && rest.first().is_some_and(|byte| Reading::is_sign(*byte)) {
            self.split(needles);
        }
        let Some(lane) = self.lanes.get_mut(lane) else {
            return false;
        };
        let Some(unit) = lane.reading.first(rest, is_end) else {
            return false;
        };
        lane.at = at + unit.taken;
        for byte in unit.bytes() {
            let (state, took) = needles.step(lane.state, *byte);
            lane.state = state;
            self.work += took;
            lane.note(
                at,
                if state == ROOT {
                    0
                } else {
                    needles.depth(state)
                },
            );
        }
        let ends = (lane.state != ROOT).then(|| needles.ends(lane.state));
        if let Some(length) = ends.flatten() {
            let found = lane.start_of(length)..lane.at;
            let is_better = self.best.as_ref().is_none_or(|best| {
                found.start < best.start || (found.start == best.start && found.end > best.end)
            });
            if is_better {
                self.best = Some(found);
            }
        }
        let at = lane.at;
        if self.is_split && lane.state == ROOT {
            let is_same = |lane: &Lane| lane.state == ROOT && lane.at == at;
            self.is_split = !self.lanes.iter().all(is_same);
        }
        true
    }

    /// From here on the lanes go their own ways.
    fn split(&mut self, needles: &Needles) {
        let [first, others @ ..] = &mut self.lanes;
        let depth = if first.state == ROOT {
            0
        } else {
            needles.depth(first.state)
        };
        for lane in others {
            lane.begin(first.at, first.state, depth);
        }
        self.work += depth as u64;
        self.is_split = true;
    }
}

impl Lane {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            at: 0,
            state: ROOT,
            starts: VecDeque::new(),
        }
    }

    /// Goes on at `at`, the last `depth` bytes before which were read as they are.
    fn begin(&mut self, at: usize, state: usize, depth: usize) {
        self.at = at;
        self.state = state;
        self.starts.clear();
        self.starts.extend(at - depth..at);
    }

    /// Of the bytes that were read the last one is written at `at`, and so many belong to the state.
    fn note(&mut self, at: usize, depth: usize) {
        self.starts.push_back(at);
        while self.starts.len() > depth {
            self.starts.pop_front();
        }
    }

    /// Where the state began, or what comes next.
    fn start(&self) -> usize {
        self.starts.front().copied().unwrap_or(self.at)
    }

    /// Where the last `length` bytes began.
    fn start_of(&self, length: usize) -> usize {
        let before = self.starts.len().saturating_sub(length);
        self.starts.get(before).copied().unwrap_or(self.at)
    }
}

/// Where something begins next, as far as that is known.
#[derive(Default)]
struct Place {
    /// It does not before here.
    at: usize,
    is_there: bool,
}

/// The bytes that are there, and where in the stream.
struct Window<'a> {
    base: usize,
    bytes: &'a [u8],
    /// What comes before is of no interest.
    at: usize,
}

impl Place {
    /// The next place at which `find` finds something of `width` bytes, or as far as it is certain that there
    /// is none; and what it took.
    fn next(
        &mut self,
        window: &Window<'_>,
        width: usize,
        find: impl Fn(&[u8]) -> Option<usize>,
    ) -> (usize, u64) {
        if self.at < window.at {
            self.at = window.at;
            self.is_there = false;
        }
        let rest = window
            .bytes
            .get(self.at - window.base..)
            .unwrap_or_default();
        if self.is_there || rest.len() < width {
            return (self.at, 1);
        }
        let found = find(rest);
        self.is_there = found.is_some();
        let free = found.unwrap_or(rest.len() + 1 - width);
        self.at += free;
        (self.at, free as u64 + 1)
    }
}
