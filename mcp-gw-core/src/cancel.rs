//! Why a request is given up, from who says so to who tells the other side.

use std::sync::{Arc, OnceLock};

use crate::json::RawJson;
use crate::jsonrpc::{Params, as_str};

/// Longest text of a reason, in bytes and with its quotes.
const LONGEST: usize = 1024;

/// Why a request is given up: the `reason` of `notifications/cancelled` (MCP
/// basic/utilities/cancellation). Empty until somebody says it, and the first who does counts.
/// Clones share what is said.
///
/// Requests are given up by dropping them, so the reason is to be set before.
#[derive(Debug, Clone, Default)]
pub struct CancelReason(Arc<OnceLock<RawJson>>);

impl CancelReason {
    /// The reason in the params of `notifications/cancelled`: the text of a JSON string as it came,
    /// at most 1,024 bytes. A longer one is cut; what is no string is no reason.
    pub fn read(params: &Params<'_>) -> Option<RawJson> {
        let raw = params.get("reason")?;
        let text = as_str(raw)?;
        if raw.get().len() <= LONGEST {
            return RawJson::parse(raw.get().to_owned()).ok();
        }
        // Escapes may have made it long.
        let plain = RawJson::string(&text);
        if plain.len() <= LONGEST {
            return Some(plain);
        }
        // Two quotes, and the three bytes that say that there was more.
        let mut room = LONGEST - 5;
        let fits = |c: &char| match room.checked_sub(written(*c)) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        let mut head: String = text.chars().take_while(fits).collect();
        head.push('…');
        Some(RawJson::string(&head))
    }

    /// Sets the reason, a JSON string, unless there is one.
    pub fn set(&self, reason: RawJson) {
        // The first is why it was given up.
        let _ = self.0.set(reason);
    }

    /// Sets the reason in words of one's own, unless there is one.
    pub fn say(&self, reason: &str) {
        self.set(RawJson::string(reason));
    }

    /// The reason, if there is one: a JSON string.
    pub fn get(&self) -> Option<RawJson> {
        self.0.get().cloned()
    }
}

/// So many bytes at most this is inside of a JSON string.
const fn written(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\x08' | '\x0c' => 2,
        '\0'..='\x1f' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jsonrpc::Message;

    fn read(reason: &str) -> Option<String> {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":1{reason}}}}}"#
        );
        match Message::parse(text.as_bytes()) {
            Ok(Message::Notification(cancelled)) => {
                CancelReason::read(&cancelled.params).map(|reason| reason.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reason_is_a_string_and_stays_as_it_is_written() {
        for reason in [r#""""#, r#""user \u0061bort\n""#, r#""ä\/\"""#] {
            assert_eq!(
                read(&format!(r#","reason":{reason}"#)).as_deref(),
                Some(reason)
            );
        }
        for none in ["", "null", "7", "{}", r#"["a"]"#, r#""\ud800""#] {
            let member = format!(r#","reason":{none}"#);
            let member = if none.is_empty() { "" } else { &member };
            assert_eq!(read(member), None, "{none}");
        }
        let long = format!("\"{}\"", "\\u0061".repeat(200));
        let plain = format!("\"{}\"", "a".repeat(200));
        assert_eq!(read(&format!(r#","reason":{long}"#)), Some(plain));
        let most = format!("\"{}\"", "x".repeat(LONGEST - 2));
        assert_eq!(read(&format!(r#","reason":{most}"#)), Some(most));
    }

    #[test]
    fn who_says_it_first_says_it_for_all() {
        let reason = CancelReason::default();
        let other = reason.clone();
        assert!(other.get().is_none());
        reason.say("too \"slow\"");
        other.say("late");
        assert_eq!(other.get().unwrap().as_str(), r#""too \"slow\"""#);
    }

    proptest! {
        #[test]
        fn a_long_reason_is_cut_where_a_character_ends(
            text in "(\\PC|[\u{0}-\u{1f}\"\\\\])*",
            times in 1usize..200,
        ) {
            let text = text.repeat(times);
            let raw = RawJson::string(&text);
            let kept = read(&format!(r#","reason":{raw}"#)).unwrap();
            prop_assert!(kept.len() <= LONGEST);
            if raw.len() <= LONGEST {
                prop_assert_eq!(kept, raw.to_string());
            } else {
                let kept: String = serde_json::from_str(&kept).unwrap();
                let head = kept.strip_suffix('…').unwrap();
                prop_assert!(text.starts_with(head));
                prop_assert!(RawJson::string(head).len() + 9 > LONGEST - 6);
            }
        }
    }
}
