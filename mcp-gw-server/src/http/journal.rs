//! What the streams of one session carry. Each stream is a short log with at most one reader: what
//! nobody has read yet waits in it, and what was sent stays for a while, so that a client whose
//! connection broke goes on where it was (streamable HTTP, resumability). State behind a lock: no
//! timer, no task.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::{Clock, RawJson};
use tokio::sync::Notify;

use crate::exchange::Answer;

mod ends;
mod event_id;
mod track;

pub(crate) use ends::{Next, Outset, Reader, Writer};
pub(crate) use event_id::EventId;
use track::{Event, Track};

/// Bounds for what is kept of the streams of sessions: for a client that comes back, and for one
/// that has no stream open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayLimits {
    /// Messages of one session.
    pub events: usize,
    /// Bytes of one session.
    pub bytes: usize,
    /// Bytes of all sessions together.
    pub total_bytes: usize,
    /// How long a message is kept.
    pub age: Duration,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self {
            events: 256,
            bytes: 1 << 20,
            total_bytes: 64 << 20,
            age: Duration::from_secs(5 * 60),
        }
    }
}

impl ReplayLimits {
    /// These bounds; at least one message.
    pub fn new(events: usize, bytes: usize, total_bytes: usize, age: Duration) -> Self {
        Self {
            events: events.max(1),
            bytes,
            total_bytes,
            age,
        }
    }
}

/// The streams of one session.
pub(crate) struct Journal {
    limits: ReplayLimits,
    clock: Arc<dyn Clock>,
    /// Bytes that all journals keep.
    budget: Arc<AtomicUsize>,
    /// Tells event ids of this session from those of others.
    tag: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tracks: BTreeMap<u64, Track>,
    next_track: u64,
    /// Events are numbered through all streams.
    next_seq: u64,
    next_reader: u64,
    events: usize,
    bytes: usize,
    readers: usize,
    last_left: Option<Instant>,
    /// Messages that nobody got.
    lost: u64,
    is_closed: bool,
}

/// The stream that belongs to no request: the one a GET opens.
pub(crate) const STANDALONE: u64 = 0;

impl Journal {
    pub(crate) fn new(
        limits: ReplayLimits,
        clock: Arc<dyn Clock>,
        budget: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        // A tag that others have too costs nothing but a stranger's id being looked up in vain.
        let mut tag = [0_u8; 4];
        let _ = getrandom::fill(&mut tag);
        let state = State {
            tracks: BTreeMap::from([(STANDALONE, Track::new(0))]),
            next_track: STANDALONE + 1,
            next_seq: 1,
            next_reader: 0,
            events: 0,
            bytes: 0,
            readers: 0,
            last_left: None,
            lost: 0,
            is_closed: false,
        };
        Arc::new(Self {
            limits,
            clock,
            budget,
            tag: u32::from_ne_bytes(tag),
            state: Mutex::new(state),
        })
    }

    /// Opens a stream for answers, and reads it.
    pub(crate) fn open(self: &Arc<Self>) -> (Writer, Reader) {
        let mut state = self.lock();
        let (track, before) = (state.next_track, state.next_seq);
        state.next_track += 1;
        state.next_seq += 1;
        state.tracks.insert(track, Track::new(before));
        let writer = Writer::new(Arc::clone(self), track);
        let reader = self.attach(&mut state, track, None);
        (writer, reader)
    }

    /// Reads the standalone stream from what nobody has read yet; who read it before stops.
    pub(crate) fn listen(self: &Arc<Self>) -> Reader {
        self.attach(&mut self.lock(), STANDALONE, None)
    }

    /// Reads on after an event. `None` when the stream is not kept (any more), or the id was not
    /// given here. The standalone stream never ends, so it goes on after any id of it.
    pub(crate) fn resume(self: &Arc<Self>, id: &str) -> Option<Reader> {
        let id = EventId::parse(id)?;
        let mut state = self.lock();
        if id.tag != self.tag {
            let standalone = id.track == STANDALONE;
            return standalone.then(|| self.attach(&mut state, STANDALONE, None));
        }
        let is_known = id.seq < state.next_seq && state.tracks.contains_key(&id.track);
        is_known.then(|| self.attach(&mut state, id.track, Some(id.seq)))
    }

    fn attach(self: &Arc<Self>, state: &mut State, track: u64, after: Option<u64>) -> Reader {
        let number = state.next_reader;
        state.next_reader += 1;
        let notify = Arc::new(Notify::new());
        if let Some(track) = state.tracks.get_mut(&track) {
            if let Some(after) = after {
                (track.cursor, track.before) = (after + 1, None);
            }
            let before = track.reader.replace((number, Arc::clone(&notify)));
            match before {
                Some((_, other)) => other.notify_one(),
                None => state.readers += 1,
            }
        }
        Reader::new(Arc::clone(self), track, number, notify)
    }

    /// Queues a message for the standalone stream. False when it is not kept.
    pub(crate) fn send(&self, message: RawJson) -> bool {
        self.push(STANDALONE, plain(message), false)
    }

    fn push(&self, track: u64, body: Answer, is_answer: bool) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        let seq = state.next_seq;
        let Some(found) = state.tracks.get_mut(&track) else {
            return false;
        };
        if found.is_orphan {
            return false;
        }
        let event = Event {
            seq,
            body,
            is_answer,
            at: now,
        };
        let cost = event.cost();
        found.events.push_back(event);
        if let Some((_, notify)) = &found.reader {
            notify.notify_one();
        }
        state.next_seq += 1;
        state.events += 1;
        state.bytes += cost;
        self.budget.fetch_add(cost, Ordering::Relaxed);
        self.trim(&mut state);
        let kept = state.tracks.get(&track);
        kept.is_some_and(|track| track.events.back().is_some_and(|last| last.seq == seq))
    }

    /// Keeps to the bounds. What was sent, or waits for nobody in particular, goes first; an answer
    /// that somebody is about to read never goes.
    fn trim(&self, state: &mut State) {
        let lost = state.lost;
        while self.is_over_session(state) || self.is_over_total() {
            let Some(at) = state.oldest(Track::idle_front) else {
                break;
            };
            self.evict(state, at);
        }
        while self.is_over_session(state) {
            let Some(at) = state.oldest(Track::waiting_message) else {
                break;
            };
            self.evict(state, at);
        }
        if state.lost > lost && state.lost.is_power_of_two() {
            tracing::warn!(
                lost = state.lost,
                "a session has more messages than are kept; the oldest are dropped"
            );
        }
    }

    fn is_over_session(&self, state: &State) -> bool {
        state.events > self.limits.events || state.bytes > self.limits.bytes
    }

    fn is_over_total(&self) -> bool {
        self.budget.load(Ordering::Relaxed) > self.limits.total_bytes
    }

    fn evict(&self, state: &mut State, (seq, track): (u64, u64)) {
        let Some(found) = state.tracks.get_mut(&track) else {
            return;
        };
        let at = found.events.partition_point(|event| event.seq < seq);
        let is_sent = seq < found.cursor;
        let Some(event) = found.events.remove(at) else {
            return;
        };
        let is_done = found.is_done();
        self.forget(state, &event, is_sent);
        if is_done && track != STANDALONE {
            state.tracks.remove(&track);
        }
    }

    fn forget(&self, state: &mut State, event: &Event, is_sent: bool) {
        let cost = event.cost();
        state.events -= 1;
        state.bytes -= cost;
        state.lost += u64::from(!is_sent);
        self.budget.fetch_sub(cost, Ordering::Relaxed);
    }

    /// Forgets what is older than it may be.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        let age = self.limits.age;
        let is_old = |event: &Event| now.saturating_duration_since(event.at) >= age;
        let tracks: Vec<u64> = state.tracks.keys().copied().collect();
        for number in tracks {
            while let Some(track) = state.tracks.get(&number)
                && let Some(seq) = track.idle_front()
                && track.events.front().is_some_and(is_old)
            {
                self.evict(&mut state, (seq, number));
            }
        }
    }

    /// Ends all streams and forgets everything.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let tracks = std::mem::take(&mut state.tracks);
        for (_, notify) in tracks.values().filter_map(|track| track.reader.as_ref()) {
            notify.notify_one();
        }
        self.budget.fetch_sub(state.bytes, Ordering::Relaxed);
        (state.events, state.bytes, state.readers) = (0, 0, 0);
    }

    /// True while a connection reads one of the streams.
    pub(crate) fn is_read(&self) -> bool {
        self.lock().readers > 0
    }

    /// When the last connection that read a stream went away.
    pub(crate) fn last_left(&self) -> Option<Instant> {
        self.lock().last_left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest event that `pick` finds in a stream, and its stream.
    fn oldest(&self, pick: impl Fn(&Track) -> Option<u64>) -> Option<(u64, u64)> {
        let found = self.tracks.iter();
        found
            .filter_map(|(number, track)| Some((pick(track)?, *number)))
            .min()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let bytes = state.unwrap_or_else(PoisonError::into_inner).bytes;
        self.budget.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

/// A message that is no answer, as answers are kept.
fn plain(message: RawJson) -> Answer {
    Answer {
        message: message.into(),
        status: 200,
        retry_after: None,
        challenge: None,
    }
}

#[cfg(test)]
mod tests;
