//! What comes out of a process: answers to their requests, lines of its log to the log.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{EnvelopeError, Message, Notification, Response};
use mcp_gw_core::{JsonText, code};
use tokio::io::AsyncRead;

use crate::call::Question;
use crate::desk::Desk;
use crate::notice::Notice;
use crate::pending::Reply;
use crate::settings::{EXCERPT, Settings, excerpt, is_harmless};
use crate::stdio::config::LogLines;
use crate::stdio::ident::{id_in, id_of};
use crate::stdio::lines::{Line, Lines};
use crate::stdio::pipe::Answers;

/// So many odd lines are logged one by one, then only every thousandth.
const SHOWN: u64 = 10;
const STDERR_LINE: usize = 8 * 1024;

/// Reads the standard output of one process.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) settings: Settings,
    pub(crate) desk: Arc<Desk>,
    pub(crate) back: Answers,
    pub(crate) odd: u64,
}

impl Router {
    /// Reads until the process closes the stream, or asks more than it takes answers to.
    pub(crate) async fn run(mut self, stdout: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stdout, self.settings.max_message_bytes);
        while !self.desk.is_overrun()
            && let Ok(Some(line)) = lines.next_line().await
        {
            match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => {}
                Line::Whole(line) => self.take(&line),
                Line::TooLong { head, tail } => {
                    let id = id_of(&head, &tail);
                    let is_known =
                        id.is_some_and(|id| self.desk.pending.answer(id, Reply::TooLarge));
                    if !is_known {
                        self.odd_line("a line is longer than allowed", &head);
                    }
                }
            }
        }
    }

    /// Takes one message, or the array of them that 2025-03-26 knows.
    fn take(&mut self, line: &Bytes) {
        if line.trim_ascii_start().starts_with(b"[")
            && let Ok(parts) = serde_json::from_slice::<Vec<JsonText<'_>>>(line)
        {
            for part in parts {
                self.message(line, part.get().as_bytes());
            }
        } else {
            self.message(line, line);
        }
    }

    fn message(&mut self, whole: &Bytes, text: &[u8]) {
        match Message::parse(text) {
            Ok(Message::Response(response)) => self.response(whole, &response),
            Ok(Message::Notification(notification)) => self.notification(&notification),
            Ok(Message::Request(request)) => {
                let question = Question::read(&request);
                self.desk.request(question, None, self.back.clone());
            }
            Ok(_) => {}
            Err(error) => self.unreadable(text, &error),
        }
    }

    fn response(&mut self, whole: &Bytes, response: &Response<'_>) {
        let id = response.id.and_then(|id| id.get().parse().ok());
        let reply = Reply::of(response.outcome_in(whole));
        if !id.is_some_and(|id| self.desk.pending.answer(id, reply)) {
            self.odd_line("an answer that nobody waits for", whole);
        }
    }

    fn notification(&mut self, notification: &Notification<'_>) {
        let notice = Notice::read(notification);
        if !notice.is_some_and(|notice| self.desk.notice(notice)) {
            self.odd_line(
                "a notification that is nobody's",
                notification.method.as_bytes(),
            );
        }
    }

    fn unreadable(&mut self, text: &[u8], error: &EnvelopeError) {
        let id = match &error.id {
            Some(id) => id.as_str().parse().ok(),
            None if error.code == code::PARSE_ERROR => id_in(text),
            None => None,
        };
        let reply = || Reply::Malformed(error.message.clone());
        if !id.is_some_and(|id| self.desk.pending.answer(id, reply())) {
            self.odd_line("a line that is no message", text);
        }
    }

    fn odd_line(&mut self, what: &'static str, text: &[u8]) {
        self.odd += 1;
        if self.odd <= SHOWN || self.odd.is_multiple_of(1000) {
            tracing::debug!(
                target: "mcp_gw::upstream",
                server = &*self.settings.server,
                count = self.odd,
                text = excerpt(text),
                "ignored: {what}"
            );
        }
    }
}

/// Hands the lines of a process's log to the log, and keeps the last one.
pub(crate) async fn log_stderr(
    server: Arc<str>,
    stderr: impl AsyncRead + Unpin,
    last: Arc<Mutex<String>>,
    also: Option<Arc<dyn LogLines>>,
) {
    let mut lines = Lines::new(stderr, STDERR_LINE);
    while let Ok(Some(line)) = lines.next_line().await {
        let (text, is_cut) = match line {
            Line::Whole(line) => (line, false),
            Line::TooLong { head, .. } => (head.into(), true),
        };
        let text = String::from_utf8_lossy(&text);
        if text.trim().is_empty() {
            continue;
        }
        let shown = text
            .trim_end()
            .replace(|c| c != '\t' && !is_harmless(c), " ");
        tracing::info!(
            target: "mcp_gw::upstream::stderr",
            server = &*server,
            is_cut,
            "{shown}"
        );
        if let Some(also) = &also {
            also.line(&shown);
        }
        let head = text.as_bytes().get(..EXCERPT).unwrap_or(text.as_bytes());
        *last.lock().unwrap_or_else(PoisonError::into_inner) = excerpt(head);
    }
}
