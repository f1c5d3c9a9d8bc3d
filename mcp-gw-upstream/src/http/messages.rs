//! The messages on a response: the answer that was waited for, and what else the server says.

use bytes::Bytes;
use mcp_gw_core::jsonrpc::Message;
use mcp_gw_core::{JsonText, code};

use crate::call::Question;
use crate::deadline::Deadline;
use crate::era::error_fault;
use crate::http::exchange::{Exchange, InSession, Outcome};
use crate::http::wire::Refusal;
use crate::notice::Notice;

impl Exchange<'_> {
    pub(super) fn whole(&self, body: &Bytes) -> Result<Option<Outcome>, Refusal> {
        self.whole_or_part(body, None)
    }

    /// Takes one message, or the array of them that 2025-03-26 knows.
    pub(super) fn whole_or_part(
        &self,
        text: &Bytes,
        mut deadline: Option<&mut Deadline>,
    ) -> Result<Option<Outcome>, Refusal> {
        if !text.trim_ascii_start().starts_with(b"[") {
            return self.message(text, text, deadline);
        }
        let parts: Vec<JsonText<'_>> = match serde_json::from_slice(text) {
            Ok(parts) => parts,
            Err(error) => {
                let says = format!("its answer is not JSON: {error}");
                return self.odd(&says, deadline.is_some());
            }
        };
        for part in parts {
            let outcome = self.message(text, part.get().as_bytes(), deadline.as_deref_mut())?;
            if outcome.is_some() {
                return Ok(outcome);
            }
        }
        Ok(None)
    }

    /// What is no message is no answer either. On a stream the answer may come after it.
    fn odd(&self, says: &str, is_stream: bool) -> Result<Option<Outcome>, Refusal> {
        if !is_stream {
            return Err(self.protocol(says));
        }
        tracing::debug!(
            target: "mcp_gw::upstream",
            server = &*self.wire.common.settings.server,
            says,
            "an event of the server is not a message"
        );
        let _ = self.odd.set(says.to_owned());
        Ok(None)
    }

    fn message(
        &self,
        whole: &Bytes,
        text: &[u8],
        deadline: Option<&mut Deadline>,
    ) -> Result<Option<Outcome>, Refusal> {
        let message = match Message::parse(text) {
            Ok(message) => message,
            Err(error) if error.code == code::PARSE_ERROR => {
                let says = format!("its answer is not JSON: {error}");
                return self.odd(&says, deadline.is_some());
            }
            Err(error) => {
                return match &error.id {
                    Some(id) if self.is_own(id.as_str()) => Err(self.protocol(&error.message)),
                    Some(_) => Ok(None),
                    None => self.odd(&error.message, deadline.is_some()),
                };
            }
        };
        match message {
            Message::Response(response) => {
                // An error without an id can only be about what was sent here.
                if response.id.is_some_and(|id| !self.is_own(id.get())) {
                    return Ok(None);
                }
                let outcome = response.outcome_in(whole);
                match outcome.as_ref().err().and_then(error_fault) {
                    Some(fault) => Err(self.protocol(fault)),
                    None => Ok(Some(outcome)),
                }
            }
            Message::Notification(notification) => {
                if let Some(notice) = Notice::read(&notification) {
                    self.notice(notice, deadline);
                }
                Ok(None)
            }
            Message::Request(request) => {
                // Servers of 2026-07-28 send none.
                if let Some(InSession {
                    post, desk, call, ..
                }) = &self.session
                {
                    desk.request(Question::read(&request), call.as_ref(), post.clone());
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn notice(&self, notice: Notice, deadline: Option<&mut Deadline>) {
        let is_own = match &notice {
            Notice::Progress { token, .. } => Some(*token) == self.token,
            Notice::Log(_) | Notice::Other { .. } => true,
            Notice::Event(_) | Notice::Acknowledged(_) | Notice::Cancelled { .. } => false,
        };
        match (&self.session, notice) {
            (None, Notice::Event(event)) => self.wire.common.events.emit(event),
            (Some(session), notice) if !is_own => {
                session.desk.notice(notice);
            }
            (session, notice) if is_own => {
                let is_asking = session.as_ref().is_some_and(InSession::is_asking);
                if let (Notice::Progress { .. }, Some(deadline), false) =
                    (&notice, deadline, is_asking)
                {
                    deadline.extend();
                }
                if let (Some(link), Some(notification)) = (self.link(), notice.for_call(self.token))
                {
                    link.notify(notification);
                }
            }
            _ => {}
        }
    }
}
