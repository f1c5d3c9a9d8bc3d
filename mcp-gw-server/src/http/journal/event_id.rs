//! Ids of events.

use std::fmt;

/// The id of an event: which session, which stream of it, which event of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(super) tag: u32,
    pub(super) track: u64,
    pub(super) seq: u64,
}

impl EventId {
    /// Reads an id as it is written, and no other form of it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (tag, track, seq) = (parts.next()?, parts.next()?, parts.next()?);
        let id = Self {
            tag: u32::from_str_radix(tag, 16).ok()?,
            track: u64::from_str_radix(track, 16).ok()?,
            seq: u64::from_str_radix(seq, 16).ok()?,
        };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}-{:x}", self.tag, self.track, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_one_form_is_read() {
        let id = EventId {
            tag: 0xab,
            track: 2,
            seq: 31,
        };
        assert_eq!(id.to_string(), "000000ab-2-1f");
        assert_eq!(EventId::parse("000000ab-2-1f"), Some(id));
        for other in [
            "",
            "-",
            "--",
            "ab-2-1f",
            "000000AB-2-1f",
            "000000ab-02-1f",
            "000000ab-+2-1f",
            "000000ab-2-1f-",
            "000000ab-2",
            "000000ab-2-1f0000000000000000",
            " 000000ab-2-1f",
        ] {
            assert_eq!(EventId::parse(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn ids_read_back(tag: u32, track: u64, seq: u64) {
            let id = EventId { tag, track, seq };
            prop_assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f-]{0,40}|\\PC{0,20}") {
            if let Some(id) = EventId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
