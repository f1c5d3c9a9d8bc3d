//! Requests through the standard input of a process, and the wait for their answers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::{BackendError, CallContext, RawJson, jsonrpc};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout_at};

use crate::ask::{Ask, Hop, cancelled_for, cancelled_params};
use crate::call::{Back, Call, EndOnDrop, Room};
use crate::deadline::Deadline;
use crate::desk::Desk;
use crate::era::Era;
use crate::pending::{Reply, Waiting};
use crate::settings::Settings;

/// So many messages wait for a process that does not read.
pub(crate) const QUEUE: usize = 64;

/// The way to one process. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) settings: Settings,
    pub(crate) out: mpsc::Sender<RawJson>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) ids: AtomicI64,
    pub(crate) stop: Mutex<Option<oneshot::Sender<String>>>,
    pub(crate) over: watch::Receiver<bool>,
}

impl Pipe {
    /// Asks, and waits for the result.
    pub(crate) async fn call(
        &self,
        ask: &Ask<'_>,
        era: Era,
        ctx: Option<&CallContext>,
        mut deadline: Deadline,
    ) -> Result<RawJson, BackendError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let wants_progress = ctx.is_some_and(|ctx| ctx.link().wants_progress());
        let hop = Hop {
            era,
            client_info: &self.settings.client_info,
            progress_token: wants_progress.then_some(id),
            ctx,
        };
        let message = ask.request(id, &hop);

        let (answer, mut answered) = oneshot::channel();
        let call = ctx.map(|ctx| Arc::new(Call::new(ctx, &self.settings)));
        let waiting = Waiting {
            answer,
            call: call.clone(),
        };
        self.desk
            .pending
            .add(id, waiting)
            .map_err(|reason| self.settings.unavailable(reason))?;
        let _ended = EndOnDrop(call.clone());
        let mut guard = Guard {
            pipe: self,
            id,
            ctx,
            why: None,
            tell: false,
        };
        if let Some(call) = &call {
            self.desk.hand_over(call).await;
            deadline.extend();
        }
        match timeout_at(deadline.at(), self.out.send(message)).await {
            Ok(Ok(())) => guard.tell = ask.is_cancellable(),
            Ok(Err(_)) => return Err(self.settings.unavailable("it does not read any more")),
            Err(_) => {
                let reason = "it does not read what it is sent, and its queue is full";
                return Err(self.settings.busy(reason, None));
            }
        }
        let outcome = self.wait(&mut answered, call.as_deref(), deadline).await;
        guard.why = outcome.as_ref().err().and_then(cancelled_for);
        outcome
    }

    /// Waits for the answer. A sign of life starts the time anew, and while the client is asked only
    /// the hard limit holds.
    async fn wait(
        &self,
        answered: &mut oneshot::Receiver<Reply>,
        call: Option<&Call>,
        mut deadline: Deadline,
    ) -> Result<RawJson, BackendError> {
        loop {
            tokio::select! {
                biased;
                reply = &mut *answered => return self.outcome(reply),
                () = alive(call) => {
                    if call.is_some_and(Call::is_asking) {
                        deadline.pause();
                    } else {
                        deadline.extend();
                    }
                }
                () = sleep_until(deadline.at()) => {
                    return Err(self.settings.timed_out(deadline.limit()));
                }
            }
        }
    }

    fn outcome(
        &self,
        reply: Result<Reply, oneshot::error::RecvError>,
    ) -> Result<RawJson, BackendError> {
        match reply {
            Ok(Reply::Result(result)) => Ok(result),
            Ok(Reply::Error(error)) => Err(BackendError::Rpc(error)),
            Ok(Reply::TooLarge) => Err(self.settings.too_large()),
            Ok(Reply::Malformed(reason)) => Err(self.settings.protocol(reason)),
            Ok(Reply::Dead(reason)) => Err(self.settings.lost(reason)),
            Err(_) => Err(self.settings.lost("its answer was thrown away")),
        }
    }

    /// Sends a message that has no answer.
    pub(crate) async fn tell(&self, message: RawJson) {
        let _ = self.out.send(message).await;
    }

    /// Ends the process and waits until it is reaped.
    pub(crate) async fn end(&self) {
        drop(self.take_stop());
        self.gone().await;
    }

    /// Has the process ended as one that has died, for this reason. Does not block.
    pub(crate) fn give_up(&self, reason: &str) {
        if let Some(stop) = self.take_stop() {
            // Who keeps it is gone when it has ended, and then it is known.
            let _ = stop.send(reason.to_owned());
        }
    }

    fn take_stop(&self) -> Option<oneshot::Sender<String>> {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.take()
    }

    /// Waits until the process is reaped.
    pub(crate) async fn gone(&self) {
        let mut over = self.over.clone();
        // The other end goes away only when the runtime does.
        let _ = over.wait_for(|over| *over).await;
    }
}

/// Comes back at a sign of life of a call.
async fn alive(call: Option<&Call>) {
    match call {
        Some(call) => call.alive().await,
        None => std::future::pending().await,
    }
}

/// The way of answers to one process.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) out: mpsc::Sender<RawJson>,
    /// For those that wait until it reads.
    pub(crate) room: Room,
}

impl Back for Answers {
    async fn answer(&self, message: RawJson) {
        // A process that is gone waits for nothing.
        let _ = self.out.send(message).await;
    }

    fn answer_now(&self, message: RawJson) -> bool {
        let Err(mpsc::error::TrySendError::Full(message)) = self.out.try_send(message) else {
            return true;
        };
        let Some(room) = self.room.take(&message) else {
            return false;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let out = self.out.clone();
            runtime.spawn(async move {
                let _ = out.send(message).await;
                drop(room);
            });
        }
        true
    }
}

/// Takes a request that nobody waits for any more out of the table, and tells the server.
struct Guard<'a> {
    pipe: &'a Pipe,
    id: i64,
    ctx: Option<&'a CallContext>,
    /// A reason of our own.
    why: Option<RawJson>,
    tell: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.pipe.desk.pending.remove(self.id) || !self.tell {
            return;
        }
        let said = || self.ctx.and_then(CallContext::cancel_reason);
        let reason = self.why.take().or_else(said);
        let params = cancelled_params(self.id, reason.as_ref());
        let message = jsonrpc::notification("notifications/cancelled", &params);
        let Err(mpsc::error::TrySendError::Full(message)) = self.pipe.out.try_send(message) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let out = self.pipe.out.clone();
            runtime.spawn(async move { out.send(message).await });
        }
    }
}

/// Writes messages, one a line, until nobody sends any more or the process does not read.
pub(crate) async fn write(stdin: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<RawJson>) {
    let mut stdin = BufWriter::new(stdin);
    while let Some(message) = messages.recv().await {
        if write_line(&mut stdin, &message).await.is_err() {
            return;
        }
        if messages.is_empty() && stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn write_line(out: &mut (impl AsyncWrite + Unpin), message: &RawJson) -> std::io::Result<()> {
    let text = message.as_bytes();
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        // Inside of strings they are escaped, so these are blanks between tokens.
        let blank = |&byte: &u8| {
            if byte == b'\n' || byte == b'\r' {
                b' '
            } else {
                byte
            }
        };
        let one_line: Vec<u8> = text.iter().map(blank).collect();
        out.write_all(&one_line).await?;
    } else {
        out.write_all(text).await?;
    }
    out.write_all(b"\n").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_much_gets_every_answer_and_who_never_reads_is_found_out() {
        let answer = || RawJson::parse(r#"{"id":1}"#).unwrap();
        let answers = |out| Answers {
            out,
            room: Room::new(),
        };
        let (out, mut messages) = mpsc::channel(1);
        let back = answers(out);
        for _ in 0..500 {
            assert!(back.answer_now(answer()));
        }
        for _ in 0..500 {
            assert_eq!(messages.recv().await.unwrap(), answer());
        }
        let (out, _messages) = mpsc::channel(1);
        let back = answers(out);
        let taken = (0..2000).take_while(|_| back.answer_now(answer())).count();
        assert_eq!(taken, 1025);
        let (out, _messages) = mpsc::channel(1);
        let back = answers(out);
        let long = || RawJson::parse(format!("\"{}\"", "x".repeat(1024 * 1024))).unwrap();
        let taken = (0..20).take_while(|_| back.answer_now(long())).count();
        assert_eq!(taken, 4, "one on its way and three that wait");
    }

    #[tokio::test]
    async fn a_message_is_one_line_whatever_blanks_it_has() {
        let mut out = Vec::new();
        let message = RawJson::parse("{\"a\":\r\n [1.0,\n\"x\\n\"]}").unwrap();
        write_line(&mut out, &message).await.unwrap();
        assert_eq!(out, b"{\"a\":   [1.0, \"x\\n\"]}\n");
    }
}
