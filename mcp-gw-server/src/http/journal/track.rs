//! One stream of a session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::exchange::Answer;

/// A message of a stream.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) body: Answer,
    pub(super) is_answer: bool,
    pub(super) at: Instant,
}

impl Event {
    /// Bytes that it takes, roughly.
    pub(super) fn cost(&self) -> usize {
        self.body.message.len() + size_of::<Self>()
    }
}

/// A stream: what of it is kept, who writes it, who reads it.
#[derive(Debug)]
pub(super) struct Track {
    /// In the order of their numbers.
    pub(super) events: VecDeque<Event>,
    /// What is below was sent.
    pub(super) cursor: u64,
    /// A number before all of them that no event has.
    pub(super) before: Option<u64>,
    pub(super) writers: usize,
    /// Its number, and how it is woken.
    pub(super) reader: Option<(u64, Arc<Notify>)>,
    /// An id of it was given to the client, so it can be asked for.
    pub(super) is_named: bool,
    /// Nobody will ever read it.
    pub(super) is_orphan: bool,
}

impl Track {
    pub(super) const fn new(before: u64) -> Self {
        Self {
            events: VecDeque::new(),
            cursor: 0,
            before: Some(before),
            writers: 1,
            reader: None,
            is_named: false,
            is_orphan: false,
        }
    }

    pub(super) fn is_read_by(&self, number: u64) -> bool {
        self.reader.as_ref().is_some_and(|(one, _)| *one == number)
    }

    /// Something is there that was not sent.
    pub(super) fn is_waiting(&self) -> bool {
        let last = self.events.back();
        last.is_some_and(|last| last.seq >= self.cursor)
    }

    /// Nothing is kept, nothing will come, nobody waits.
    pub(super) fn is_done(&self) -> bool {
        self.events.is_empty() && self.writers == 0 && self.reader.is_none()
    }

    /// The first event, when it was sent or nobody is there to read it.
    pub(super) fn idle_front(&self) -> Option<u64> {
        let front = self.events.front()?;
        (front.seq < self.cursor || self.reader.is_none()).then_some(front.seq)
    }

    /// The first message before the answer that has not been sent.
    pub(super) fn waiting_message(&self) -> Option<u64> {
        let mut waiting = self.events.iter().filter(|event| !event.is_answer);
        waiting
            .find(|event| event.seq >= self.cursor)
            .map(|event| event.seq)
    }
}
