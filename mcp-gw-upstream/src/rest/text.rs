//! Texts of others in words of ours: encoded, shortened, made legal.

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3) and those in `keep`.
pub(super) fn percent_encode(out: &mut String, text: &str, keep: &[u8]) {
    for byte in text.bytes() {
        if is_unreserved(byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_triplet(out, byte);
        }
    }
}

pub(super) fn push_triplet(out: &mut String, byte: u8) {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).map_or('0', |c| c.to_ascii_uppercase());
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The text with each percent triplet taken for its byte; anything else as it is.
pub(super) fn percent_decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let triplet = (byte == b'%').then(|| hex_pair(tail)).flatten();
        if let Some(decoded) = triplet {
            out.push(decoded);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The text without control characters, blanks at its ends, and what is over `max` characters: cut
/// between words, with an ellipsis.
pub(super) fn trimmed(text: &str, max: usize) -> String {
    let mut clean = String::new();
    // More than this is never needed to fill `max` characters of it.
    for c in text
        .trim()
        .chars()
        .take(max.saturating_mul(4).saturating_add(4))
    {
        match c {
            '\n' => clean.push('\n'),
            c if c.is_control() || is_invisible(c) => {
                if !clean.ends_with(char::is_whitespace) {
                    clean.push(' ');
                }
            }
            c => clean.push(c),
        }
    }
    if clean.chars().count() <= max {
        return clean.trim_end().to_owned();
    }
    let mut cut: String = clean.chars().take(max.saturating_sub(1)).collect();
    if let Some(at) = cut.rfind(char::is_whitespace) {
        // A long word is rather cut than left out.
        if at > cut.len() / 2 {
            cut.truncate(at);
        }
    }
    let mut cut = cut.trim_end().to_owned();
    cut.push('…');
    cut
}

/// Characters that are not seen and change what is: direction of writing, zero width, byte order mark.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A name of letters, digits, `_`, `-` and those in `also`, of at most `max` bytes; runs of anything
/// else are one `_`. A longer one ends in a digest of the whole, so that two stay two. Empty when
/// nothing is left.
pub(super) fn legal_name(text: &str, also: &str, max: usize) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' || also.contains(c) {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    if name.len() <= max {
        return name.to_owned();
    }
    let keep = max.saturating_sub(9);
    let head: String = name.chars().take(keep).collect();
    format!("{head}_{:08x}", digest(text))
}

/// FNV-1a: the same on every machine and in every release.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_legal_and_stay_apart() {
        for (text, name) in [
            ("repos/list-for-org", "repos_list-for-org"),
            ("get_/pets/{petId}", "get_pets_petId"),
            ("__x__", "x"),
            ("Ünïcode", "n_code"),
            ("//", ""),
        ] {
            assert_eq!(legal_name(text, "", 64), name);
        }
        let long = "a".repeat(100);
        let (one, two) = (format!("{long}1"), format!("{long}2"));
        let (one, two) = (legal_name(&one, "", 64), legal_name(&two, "", 64));
        assert_eq!((one.len(), two.len()), (64, 64));
        assert_ne!(one, two);
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        assert_eq!(trimmed("  a b\u{202e}c\u{0}d \n", 99), "a b c d");
        assert_eq!(trimmed("one two three", 9), "one two…");
        assert_eq!(trimmed(&"x".repeat(20), 5), "xxxx…");
        assert_eq!(trimmed("one", 0), "…");
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let text = "a/b?c=%2F&ü\u{0}.~";
        let mut out = String::new();
        percent_encode(&mut out, text, b"");
        assert_eq!(out, "a%2Fb%3Fc%3D%252F%26%C3%BC%00.~");
        assert_eq!(percent_decode(&out), text.as_bytes());
        assert_eq!(percent_decode("%4"), b"%4");
    }
}
