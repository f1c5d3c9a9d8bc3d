//! The two ends of a stream.

use std::collections::VecDeque;
use std::sync::Arc;

use mcp_gw_core::RawJson;
use tokio::sync::Notify;

use super::event_id::EventId;
use super::{Journal, STANDALONE, plain};
use crate::exchange::Answer;

/// The end of a stream that is written to. When the last clone is gone, the stream is over.
#[derive(Debug)]
pub(crate) struct Writer {
    journal: Arc<Journal>,
    track: u64,
}

/// The end of a stream that is read, by one connection. Dropping it leaves the stream.
#[derive(Debug)]
pub(crate) struct Reader {
    journal: Arc<Journal>,
    track: u64,
    number: u64,
    notify: Arc<Notify>,
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Next {
    /// This message comes next.
    Event(EventId, RawJson),
    /// Nothing yet.
    Wait,
    /// There will be nothing more.
    End,
}

/// What a stream turns out to be, before anything of it was sent.
#[derive(Debug)]
pub(crate) enum Outset {
    /// Nothing has happened yet.
    Open,
    /// It is over, and had answers only: these.
    Answers(Vec<Answer>),
    /// There is more to it than answers.
    Stream,
}

impl Writer {
    /// The only writer, so far, of a stream.
    pub(super) const fn new(journal: Arc<Journal>, track: u64) -> Self {
        Self { journal, track }
    }

    /// Says something before the answer.
    pub(crate) fn say(&self, message: RawJson) {
        self.journal.push(self.track, plain(message), false);
    }

    /// Gives an answer.
    pub(crate) fn answer(&self, answer: Answer) {
        self.journal.push(self.track, answer, true);
    }
}

impl Clone for Writer {
    fn clone(&self) -> Self {
        if let Some(track) = self.journal.lock().tracks.get_mut(&self.track) {
            track.writers += 1;
        }
        Self {
            journal: Arc::clone(&self.journal),
            track: self.track,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.journal.lock();
        let Some(track) = state.tracks.get_mut(&self.track) else {
            return;
        };
        track.writers = track.writers.saturating_sub(1);
        if track.writers > 0 {
            return;
        }
        if let Some((_, notify)) = &track.reader {
            notify.notify_one();
        }
        if track.is_done() {
            state.tracks.remove(&self.track);
        }
    }
}

impl Reader {
    pub(super) const fn new(
        journal: Arc<Journal>,
        track: u64,
        number: u64,
        notify: Arc<Notify>,
    ) -> Self {
        Self {
            journal,
            track,
            number,
            notify,
        }
    }

    /// What comes next. An event is given once; its id is then known outside.
    pub(crate) fn next(&self) -> Next {
        let mut state = self.journal.lock();
        let Some(track) = state.tracks.get_mut(&self.track) else {
            return Next::End;
        };
        if !track.is_read_by(self.number) {
            return Next::End;
        }
        let at = track
            .events
            .partition_point(|event| event.seq < track.cursor);
        let Some(event) = track.events.get(at) else {
            return if track.writers == 0 {
                Next::End
            } else {
                Next::Wait
            };
        };
        let (seq, message) = (event.seq, event.body.message.clone());
        track.cursor = seq + 1;
        (track.is_named, track.before) = (true, None);
        self.journal.trim(&mut state);
        Next::Event(self.id(seq), message.into_raw())
    }

    /// An id that stands before what comes next; none when that is there already, with an id of its
    /// own.
    pub(crate) fn prime(&self) -> Option<EventId> {
        let mut state = self.journal.lock();
        let next_seq = state.next_seq;
        let track = state.tracks.get_mut(&self.track)?;
        let seq = match track.before.take() {
            Some(seq) => seq,
            None if track.is_waiting() => return None,
            None => next_seq,
        };
        track.is_named = true;
        track.cursor = track.cursor.max(seq.saturating_add(1));
        if seq == next_seq {
            state.next_seq += 1;
        }
        Some(self.id(seq))
    }

    /// What the stream is, as long as nothing of it was sent.
    pub(crate) fn outset(&self) -> Outset {
        let mut state = self.journal.lock();
        let Some(track) = state.tracks.get_mut(&self.track) else {
            return Outset::Answers(Vec::new());
        };
        if track.events.iter().any(|event| !event.is_answer) {
            return Outset::Stream;
        }
        if track.writers > 0 {
            return Outset::Open;
        }
        let events = std::mem::take(&mut track.events);
        for event in &events {
            self.journal.forget(&mut state, event, true);
        }
        Outset::Answers(events.into_iter().map(|event| event.body).collect())
    }

    /// Returns when there may be something new.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }

    pub(crate) const fn is_standalone(&self) -> bool {
        self.track == STANDALONE
    }

    fn id(&self, seq: u64) -> EventId {
        EventId {
            tag: self.journal.tag,
            track: self.track,
            seq,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let now = self.journal.clock.now();
        let mut state = self.journal.lock();
        let Some(track) = state.tracks.get_mut(&self.track) else {
            return;
        };
        if !track.is_read_by(self.number) {
            return;
        }
        track.reader = None;
        let mut gone = VecDeque::new();
        if !track.is_named && self.track != STANDALONE {
            // Nobody can ask for what comes: no id was given.
            track.is_orphan = true;
            gone = std::mem::take(&mut track.events);
        }
        let is_done = track.is_done() && self.track != STANDALONE;
        state.readers -= 1;
        state.last_left = Some(now);
        for event in &gone {
            self.journal.forget(&mut state, event, true);
        }
        if is_done {
            state.tracks.remove(&self.track);
        }
    }
}
