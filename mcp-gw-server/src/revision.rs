//! The revisions of MCP that this gateway speaks with clients.

/// One revision of the Model Context Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// 2025-03-26: streamable HTTP, sessions, batches.
    V2025_03_26,
    /// 2025-06-18: structured content, elicitation, version header.
    V2025_06_18,
    /// 2025-11-25: the last one with a handshake.
    V2025_11_25,
    /// 2026-07-28: stateless, everything about a request is in the request.
    V2026_07_28,
}

impl Revision {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The newest one that begins with `initialize`.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;

    /// The newest one.
    pub const NEWEST: Self = Self::V2026_07_28;

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of this name, if it is spoken here.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|revision| revision.as_str() == name)
    }

    /// True for the revisions without handshake and session.
    pub fn is_modern(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// True when `name` is a date from 2026-07-28 on: a revision without handshake, known here or
    /// not.
    pub fn names_modern(name: &str) -> bool {
        let is_date = name.len() == 10
            && name.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        is_date && name >= Self::V2026_07_28.as_str()
    }

    /// What `initialize` answers to a client that asks for `asked`: the same if it is spoken here
    /// and has a handshake, else the newest that has one.
    pub fn negotiate(asked: &str) -> Self {
        Self::parse(asked)
            .filter(|revision| !revision.is_modern())
            .unwrap_or(Self::NEWEST_LEGACY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_never_answers_a_revision_without_handshake() {
        for (asked, answered) in [
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("2024-11-05", "2025-11-25"),
            ("", "2025-11-25"),
            ("2099-01-01", "2025-11-25"),
        ] {
            assert_eq!(Revision::negotiate(asked).as_str(), answered);
        }
    }

    #[test]
    fn only_dates_from_the_new_era_name_it() {
        for (name, modern) in [
            ("2026-07-28", true),
            ("2027-01-01", true),
            ("2026-07-27", false),
            ("2025-11-25", false),
            ("x", false),
            ("9999999999", false),
        ] {
            assert_eq!(Revision::names_modern(name), modern, "{name}");
        }
    }
}
