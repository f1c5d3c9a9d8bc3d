//! Why a request that may go out has no answer.

use std::error::Error as StdError;

use crate::egress::refusal::{Refusal, RefusalCode};
use crate::net::client;

/// A request that was let out and came to nothing.
///
/// The message is for whoever asked: it holds no address, no secret and nothing of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct SendError {
    /// What to tell apart.
    pub code: RefusalCode,
    /// The rule that it is about, such as `E-6`.
    pub rule: &'static str,
    /// What happened.
    pub message: String,
    /// True when certainly nothing was sent, so that asking again does nothing twice.
    pub is_unsent: bool,
}

impl SendError {
    pub(crate) fn new(code: RefusalCode, rule: &'static str, message: &str) -> Self {
        Self {
            code,
            rule,
            message: message.to_owned(),
            is_unsent: false,
        }
    }

    fn unsent(self) -> Self {
        Self {
            is_unsent: true,
            ..self
        }
    }

    pub(crate) fn of_refusal(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            rule: refusal.rule,
            message: refusal.message,
            is_unsent: false,
        }
    }

    /// A refusal before anything of this hop went out.
    pub(crate) fn before(refusal: Refusal) -> Self {
        Self::of_refusal(refusal).unsent()
    }

    pub(crate) fn late() -> Self {
        Self::new(
            RefusalCode::UpstreamTimeout,
            "C-18",
            "the API did not answer in time",
        )
    }

    pub(crate) fn late_token() -> Self {
        let message = "no token for this API: its token endpoint did not answer in time";
        Self::new(RefusalCode::UpstreamTimeout, "C-18", message).unsent()
    }

    pub(crate) fn late_body() -> Self {
        Self::new(
            RefusalCode::UpstreamTimeout,
            "C-18",
            "the API did not send the rest of its response in time",
        )
    }

    pub(crate) fn of_body(error: &client::Error) -> Self {
        tracing::debug!(target: "mcp_gw::egress", error = chain(error), "a response broke off");
        Self::new(
            RefusalCode::UpstreamInvalid,
            "C-17",
            "the response broke off, or is not as long as it says",
        )
    }

    /// What it means that there is no response.
    pub(crate) fn of_send(error: &client::Error) -> Self {
        tracing::debug!(target: "mcp_gw::egress", error = chain(error), "a request has no response");
        let unreachable = |message| Self::new(RefusalCode::UpstreamUnreachable, "C-18", message);
        if let Some(refusal) = find::<Refusal>(error) {
            return Self::before(refusal.clone());
        }
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => Self::new(
                RefusalCode::UpstreamTimeout,
                "C-18",
                "connecting to the API took too long",
            )
            .unsent(),
            (false, true) => Self::late(),
            (true, false) if find::<rustls::Error>(error).is_some() => Self::new(
                RefusalCode::UpstreamUnreachable,
                "E-10",
                "no safe connection to the API: its certificate, or what it can do, is not accepted",
            )
            .unsent(),
            (true, false) => unreachable("the API cannot be reached").unsent(),
            (false, false) if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) => {
                Self::new(
                    RefusalCode::UpstreamInvalid,
                    "C-17",
                    "what the API sent is not a response",
                )
            }
            (false, false) => unreachable("the connection to the API ended before it answered"),
        }
    }
}

/// The first error of this kind among those that `error` comes from.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error wraps is not its source.
        let inner = error.downcast_ref::<std::io::Error>();
        if let Some(inner) = inner.and_then(std::io::Error::get_ref) {
            next = Some(inner);
            continue;
        }
        next = error.source();
    }
    None
}

/// For the operator's log: addresses, but nothing of request and response.
fn chain(error: &client::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
