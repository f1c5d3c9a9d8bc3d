//! What can be known of a JSON text without making anything of it.

/// What a text has in it, if it is JSON; anything else has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// How many values at the most, names of members included.
    pub(super) values: u64,
    /// How many lists and objects are within each other.
    pub(super) depth: usize,
}

impl Scan {
    /// Goes over the text once.
    pub(super) fn of(text: &[u8]) -> Self {
        // Each value but the first comes after one of the signs.
        let (mut values, mut depth, mut deepest) = (1, 0_usize, 0);
        let mut rest = text;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            match byte {
                b'"' => rest = after_string(rest),
                b',' | b':' => values += 1,
                b'[' | b'{' => {
                    values += 1;
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Self {
            values,
            depth: deepest,
        }
    }
}

/// Readers make whole numbers of so many digits, and not all of more.
const MOST_DIGITS: usize = 4_000;
/// Whatever a shorter number without an exponent is, it is not out of range.
const SHORT: usize = 300;

/// True when an ordinary reader can make something of a JSON value: the grammar has numbers that are out of its
/// range, and halves of characters (RFC 8259 §6 and §8.2).
pub(super) fn is_readable(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = match byte {
            b'"' => {
                let after = after_string(behind);
                let string = behind.get(..behind.len() - after.len());
                if !has_whole_characters(string.unwrap_or_default()) {
                    return false;
                }
                after
            }
            b'0'..=b'9' => {
                let is_of_number =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let length = rest.iter().take_while(is_of_number).count();
                let (number, after) = rest.split_at(length);
                if !is_in_range(number) {
                    return false;
                }
                after
            }
            _ => behind,
        };
    }
    true
}

fn is_in_range(number: &[u8]) -> bool {
    if number.len() <= SHORT && memchr::memchr2(b'e', b'E', number).is_none() {
        return true;
    }
    let value = std::str::from_utf8(number)
        .ok()
        .and_then(|it| it.parse::<f64>().ok());
    // Not all readers round the last ones down.
    number.len() <= MOST_DIGITS && value.is_some_and(|value| value < 1.797e308)
}

/// True when no `\u` in a JSON string is one half of a character.
fn has_whole_characters(string: &[u8]) -> bool {
    let mut rest = string;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = rest.get(at..).unwrap_or_default();
        let taken = match unit(escape) {
            None => 2,
            Some(0xdc00..=0xdfff) => return false,
            Some(0xd800..=0xdbff) => match escape.get(6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => 12,
                _ => return false,
            },
            Some(_) => 6,
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    true
}

/// What `\uXXXX` at the beginning says.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What comes after the end of a string that begins before this.
pub(super) fn after_string(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let found = rest.get(at..).unwrap_or_default();
        match found {
            [b'"', behind @ ..] | [b'\\', _, behind @ ..] => {
                rest = behind;
                if found.first() == Some(&b'"') {
                    return rest;
                }
            }
            _ => break,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_no_structure() {
        for (text, values, depth) in [
            ("1", 1, 0),
            ("[]", 2, 1),
            (r#"{"a":[1,{"b":2}]}"#, 7, 3),
            (r#"["[[\"[,:", "\\", []]"#, 5, 2),
            ("[", 2, 1),
            (r#""\"#, 1, 0),
        ] {
            let scan = Scan::of(text.as_bytes());
            assert_eq!((scan.values, scan.depth), (values, depth), "{text}");
        }
    }

    #[test]
    fn what_readers_refuse_is_known() {
        let digits = |count: usize| "9".repeat(count);
        for (text, can_be_read) in [
            (r#"{"a":"\ud800"}"#.to_owned(), false),
            (r#"{"\uDFFF":1}"#.to_owned(), false),
            (r#"["\ud800\u0041"]"#.to_owned(), false),
            (r#"["\ud83d\ud83d\ude00"]"#.to_owned(), false),
            (r#"["\ud83d\n\ude00"]"#.to_owned(), false),
            (
                r#"["\ud83d\uDE00 \\ud800 \\\\ \u0000\ue000"]"#.to_owned(),
                true,
            ),
            ("1e400".to_owned(), false),
            ("[-1E+309]".to_owned(), false),
            ("[1e308, 1e-999, 0e999, -1.5E+3]".to_owned(), true),
            (r#"["1e400"]"#.to_owned(), true),
            (digits(308), true),
            (digits(310), false),
            (digits(5_000), false),
            (format!("0.{}", digits(3_000)), true),
            (format!("0.{}", digits(5_000)), false),
            (
                r#"{"n":12345678901234567890123,"a":[true,null]}"#.to_owned(),
                true,
            ),
        ] {
            assert_eq!(is_readable(text.as_bytes()), can_be_read, "{text:.60}");
            // This is one of those readers.
            let is_read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert!(is_read || !can_be_read, "{text:.60}");
        }
    }
}
