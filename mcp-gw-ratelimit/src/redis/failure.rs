//! Why Redis gave no answer, in the words of a log line and a metric.

use std::fmt;

use redis::{ErrorKind, RedisError};

/// Longest text of a server that is repeated in a log line, in bytes.
const SERVER_TEXT: usize = 200;

/// What went wrong, as one word for metrics and health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// There is no connection: none yet, or it is being made anew.
    #[default]
    Unreachable,
    /// The server refused user name or password.
    Auth,
    /// No answer within the time that was given.
    Timeout,
    /// Too many checks wait for their turn. The call is refused, whatever `on_error` says: a flood
    /// must not be what takes limits away.
    Busy,
    /// The connection ended while a check was under way.
    Lost,
    /// The server answers, but cannot write: it is a replica.
    ReadOnly,
    /// The server has no memory left.
    OutOfMemory,
    /// A key holds something that this limiter did not write.
    Foreign,
    /// The keys live on another node of the cluster.
    Moved,
    /// The server refused for another reason.
    Refused,
    /// The answer was not one of this limiter's script.
    Nonsense,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::Auth,
        Self::Timeout,
        Self::Busy,
        Self::Lost,
        Self::ReadOnly,
        Self::OutOfMemory,
        Self::Foreign,
        Self::Moved,
        Self::Refused,
        Self::Nonsense,
    ];

    /// The word for a label: lower case, with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Auth => "auth",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::ReadOnly => "read_only",
            Self::OutOfMemory => "out_of_memory",
            Self::Foreign => "foreign",
            Self::Moved => "moved",
            Self::Refused => "refused",
            Self::Nonsense => "nonsense",
        }
    }

    /// Its place in [`FailureKind::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failure: its kind, and what to write into the log. Holds no secret.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: String,
    /// Where the keys live, when the server said so.
    pub(super) node: Option<(String, u16)>,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            node: None,
        }
    }

    /// What a check hears while there is no connection because of this. What a person has to mend
    /// keeps its name.
    pub(super) fn while_down(&self) -> Self {
        let kind = match self.kind {
            FailureKind::Auth | FailureKind::ReadOnly | FailureKind::Moved => self.kind,
            _ => FailureKind::Unreachable,
        };
        Self::new(kind, self.text.as_str())
    }

    /// True when the server does not know the script by its digest.
    pub(super) fn is_unknown_script(&self) -> bool {
        self.text.starts_with("NOSCRIPT")
    }

    /// True when a new connection may be all that is needed.
    pub(super) const fn is_of_connection(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Lost | FailureKind::Unreachable | FailureKind::Timeout | FailureKind::Auth
        )
    }

    /// True when the connection is of no more use.
    pub(super) const fn ends_connection(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Lost
                | FailureKind::ReadOnly
                | FailureKind::Moved
                | FailureKind::Auth
                | FailureKind::Unreachable
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        let detail = error.detail().unwrap_or_default();
        let kind = match error.kind() {
            ErrorKind::AuthenticationFailed => FailureKind::Auth,
            ErrorKind::ReadOnly => FailureKind::ReadOnly,
            ErrorKind::Moved => FailureKind::Moved,
            ErrorKind::IoError if error.is_timeout() => FailureKind::Timeout,
            ErrorKind::IoError | ErrorKind::ParseError => FailureKind::Lost,
            ErrorKind::TypeError => FailureKind::Nonsense,
            _ => match code {
                "WRONGPASS" | "NOAUTH" => FailureKind::Auth,
                "OOM" => FailureKind::OutOfMemory,
                "WRONGTYPE" => FailureKind::Foreign,
                _ => FailureKind::Refused,
            },
        };
        let node = if kind == FailureKind::Moved {
            error.redirect_node().and_then(|(address, _)| node(address))
        } else {
            None
        };
        let mut text = match (code, detail) {
            ("", _) => error.to_string(),
            (code, "") => code.to_owned(),
            (code, detail) => format!("{code} {detail}"),
        };
        if let Some((end, _)) = text.char_indices().find(|(at, _)| *at >= SERVER_TEXT) {
            text.truncate(end);
        }
        Self {
            kind,
            text: text.escape_debug().to_string(),
            node,
        }
    }
}

/// Host and port of `host:port`, where the host may hold colons (IPv6) or be empty (the same host).
fn node(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_and_its_word() {
        for (index, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
        let words: std::collections::BTreeSet<_> =
            FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), FailureKind::ALL.len());
    }

    #[test]
    fn addresses_of_nodes_are_read() {
        assert_eq!(node("10.0.0.1:6380"), Some(("10.0.0.1".to_owned(), 6380)));
        assert_eq!(node("::1:6380"), Some(("::1".to_owned(), 6380)));
        assert_eq!(node("[::1]:6380"), Some(("::1".to_owned(), 6380)));
        assert_eq!(node(":6380"), Some((String::new(), 6380)));
        assert_eq!(node("nonsense"), None);
        assert_eq!(node("host:99999"), None);
    }
}
