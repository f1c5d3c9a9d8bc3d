//! What both transports are told alike, and the errors they make alike.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::jsonrpc;
use mcp_gw_core::{BackendError, ObjectWriter, RawJson};

use crate::vet::Vet;

/// The longest piece of a server's own words in an error or a log, in bytes.
pub(crate) const EXCERPT: usize = 512;

/// How the gateway introduces itself to servers (MCP `Implementation`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl ClientInfo {
    /// A client of this name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }
}

impl Default for ClientInfo {
    fn default() -> Self {
        Self::new("mcp-gw", env!("CARGO_PKG_VERSION"))
    }
}

/// What a connection needs to know, whatever it runs over.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server: Arc<str>,
    /// The `Implementation` object.
    pub(crate) client_info: RawJson,
    pub(crate) timeout: Duration,
    pub(crate) max_total_timeout: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) max_message_bytes: usize,
    /// Looks at what is listed on new connections.
    pub(crate) vet: Option<Arc<dyn Vet>>,
}

impl Settings {
    /// True while clients are to hear nothing of the server.
    pub(crate) fn is_silenced(&self) -> bool {
        self.vet.as_ref().is_some_and(|vet| vet.is_silenced())
    }

    /// Settings of a server `s`, for tests.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self {
            server: "s".into(),
            client_info: Self::client_info(&ClientInfo::default()),
            timeout: Duration::from_secs(1),
            max_total_timeout: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(1),
            max_message_bytes: 1024,
            vet: None,
        }
    }

    pub(crate) fn client_info(info: &ClientInfo) -> RawJson {
        ObjectWriter::default()
            .string("name", &info.name)
            .string("version", &info.version)
            .finish()
    }

    pub(crate) fn unavailable(&self, reason: impl Into<String>) -> BackendError {
        BackendError::Unavailable {
            server: Arc::clone(&self.server),
            reason: reason.into(),
        }
    }

    pub(crate) fn busy(
        &self,
        reason: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> BackendError {
        BackendError::Busy {
            server: Arc::clone(&self.server),
            reason: reason.into(),
            retry_after,
        }
    }

    pub(crate) fn refused(&self, status: u16) -> BackendError {
        BackendError::Refused {
            server: Arc::clone(&self.server),
            status,
        }
    }

    pub(crate) fn forgetful(&self) -> BackendError {
        BackendError::Forgetful {
            server: Arc::clone(&self.server),
        }
    }

    pub(crate) fn lost(&self, reason: impl Into<String>) -> BackendError {
        BackendError::Lost {
            server: Arc::clone(&self.server),
            reason: reason.into(),
        }
    }

    pub(crate) fn protocol(&self, reason: impl Into<String>) -> BackendError {
        BackendError::Protocol {
            server: Arc::clone(&self.server),
            reason: reason.into(),
        }
    }

    pub(crate) fn too_large(&self) -> BackendError {
        BackendError::TooLarge {
            server: Arc::clone(&self.server),
            limit: self.max_message_bytes,
        }
    }

    pub(crate) fn timed_out(&self, after: Duration) -> BackendError {
        BackendError::Timeout {
            server: Arc::clone(&self.server),
            after,
        }
    }
}

/// The beginning of `text`, fit for one line of a log.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let head = text.get(..EXCERPT).unwrap_or(text);
    let mut out: String = String::from_utf8_lossy(head)
        .chars()
        .map(|c| if is_harmless(c) { c } else { ' ' })
        .collect();
    if out.len() > EXCERPT {
        let end = (0..=EXCERPT).rev().find(|&at| out.is_char_boundary(at));
        out.truncate(end.unwrap_or(0));
    }
    out.trim().to_owned()
}

/// True unless a terminal could take the character for more than itself: control characters, and
/// those that change the direction of what follows.
pub(crate) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The error object of JSON-RPC for a request that the gateway does not serve to servers.
pub(crate) fn not_served(method: &str) -> RawJson {
    let shown: String = method.chars().take(64).collect();
    jsonrpc::error_object(
        mcp_gw_core::code::METHOD_NOT_FOUND,
        &format!("Method not found: {shown}"),
        None,
    )
}
