//! The answers of a session: work that goes on without its client, and connections that read what
//! the session's journal has for them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::journal::{Journal, Next, Outset, Reader, Writer};
use super::reply::HttpReply;
use super::sse;
use crate::exchange::{Answer, Exchange};
use crate::revision::Revision;

/// How a session's streams are written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) keep_alive: Duration,
    pub(super) revision: Revision,
    /// From then on streams end that have no end of their own.
    pub(super) closing: CancellationToken,
    /// When a client is sent away from an answer that is not there yet; it comes back for it.
    pub(super) until: Option<Instant>,
}

impl Style {
    /// The same, for a client that is sent away after so long, if its revision knows that.
    pub(super) fn polled(self, after: Option<Duration>) -> Self {
        let after = after.filter(|_| self.revision >= Revision::V2025_11_25);
        Self {
            until: after.and_then(|after| Instant::now().checked_add(after)),
            ..self
        }
    }
}

/// Starts the work of one message or batch and gives what reads the answers; some are there already. The work goes on when nobody
/// reads: going away does not cancel in revisions with sessions.
pub(super) fn start(
    journal: &Arc<Journal>,
    answers: Vec<Answer>,
    work: Vec<Exchange>,
    tasks: &TaskTracker,
) -> Reader {
    let (writer, reader) = journal.open();
    for answer in answers {
        writer.answer(answer);
    }
    for exchange in work {
        tasks.spawn(run(exchange, writer.clone()));
    }
    reader
}

/// Runs an exchange to its end: messages in their order, then the answer.
async fn run(exchange: Exchange, writer: Writer) {
    let Exchange { mut work, messages } = exchange;
    let Some(mut messages) = messages else {
        if let Some(answer) = work.await {
            writer.answer(answer);
        }
        return;
    };
    let answer = loop {
        tokio::select! {
            biased;
            Some(message) = messages.recv() => writer.say(message),
            answer = &mut work => break answer,
        }
    };
    let Some(answer) = answer else { return };
    while let Ok(message) = messages.try_recv() {
        writer.say(message);
    }
    writer.answer(answer);
}

/// What the first moments of an answer make of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// These answers are all there is.
    Answers(Vec<Answer>),
    /// More comes, or it takes its time.
    Stream(Reader),
}

/// Waits for the answers, for something that comes before them, or until the client should see that
/// somebody is there.
pub(super) async fn outcome(reader: Reader, style: &Style) -> Outcome {
    let mut patience = std::pin::pin!(tokio::time::sleep(style.keep_alive));
    if let Some(until) = style.until.filter(|until| *until < patience.deadline()) {
        patience.as_mut().reset(until);
    }
    loop {
        match reader.outset() {
            Outset::Answers(answers) => return Outcome::Answers(answers),
            Outset::Stream => return Outcome::Stream(reader),
            Outset::Open => {}
        }
        tokio::select! {
            biased;
            () = reader.changed() => {}
            () = &mut patience => return Outcome::Stream(reader),
        }
    }
}

/// A stream of events from its beginning.
pub(super) fn begin(reader: Reader, style: Style) -> HttpReply {
    let prime = (style.revision >= Revision::V2025_11_25)
        .then(|| reader.prime())
        .flatten();
    follow(reader, style, sse::opening(prime))
}

/// A stream of events that goes on where another broke off.
pub(super) fn go_on(reader: Reader, style: Style) -> HttpReply {
    follow(reader, style, sse::opening(None))
}

/// A stream without anything in it.
pub(super) fn nothing() -> HttpReply {
    HttpReply::events(Box::pin(stream::empty()))
}

struct Feed {
    reader: Reader,
    ticks: Interval,
    closing: CancellationToken,
    until: Option<Instant>,
}

fn follow(reader: Reader, style: Style, opening: Bytes) -> HttpReply {
    let keep_alive = style.keep_alive.max(Duration::from_millis(1));
    let begin = Instant::now() + keep_alive;
    let mut ticks = tokio::time::interval_at(begin, keep_alive);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let feed = Feed {
        reader,
        ticks,
        closing: style.closing,
        until: style.until,
    };
    let events = stream::unfold((Some(opening), feed), |(opening, mut feed)| async move {
        let chunk = match opening {
            Some(opening) => opening,
            None => feed.next().await?,
        };
        Some((chunk, (None, feed)))
    });
    HttpReply::events(Box::pin(events))
}

impl Feed {
    async fn next(&mut self) -> Option<Bytes> {
        let ends_early = self.reader.is_standalone();
        let until = self.until.filter(|_| !ends_early);
        loop {
            match self.reader.next() {
                Next::Event(id, message) => return Some(sse::event(Some(id), &message)),
                Next::End => return None,
                Next::Wait => {}
            }
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if ends_early => return None,
                () = self.reader.changed() => {}
                () = passed(until) => return None,
                _ = self.ticks.tick() => return Some(sse::comment()),
            }
        }
    }
}

/// Comes back at this time, if there is one.
async fn passed(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
