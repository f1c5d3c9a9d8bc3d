//! What both ends of a run say to each other: eras, revisions, header names.

use std::error::Error;

use clap::ValueEnum;

/// The one error type of this tool: it only ever ends in a line for a human.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The modern revision: no handshake, everything in the request.
pub(crate) const MODERN: &str = "2026-07-28";
/// The newest revision that begins with `initialize`.
pub(crate) const LEGACY: &str = "2025-11-25";

pub(crate) const PROTOCOL_VERSION: &str = "mcp-protocol-version";
pub(crate) const METHOD: &str = "mcp-method";
pub(crate) const NAME: &str = "mcp-name";
pub(crate) const SESSION: &str = "mcp-session-id";

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// 2026-07-28: each request stands alone.
    Modern,
    /// 2025-11-25: `initialize` first, then a session.
    Legacy,
}

/// What a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Eras {
    /// Either, decided request by request.
    Both,
    /// 2026-07-28 only.
    Modern,
    /// 2025-11-25 and older only.
    Legacy,
}

/// How a server answers calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answers {
    /// As JSON.
    Json,
    /// As a stream of events.
    Events,
}

impl Eras {
    pub(crate) const fn include(self, era: Era) -> bool {
        matches!(
            (self, era),
            (Self::Both, _) | (Self::Modern, Era::Modern) | (Self::Legacy, Era::Legacy)
        )
    }
}
