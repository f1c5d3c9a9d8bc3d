//! Which request a line belongs to that cannot be read: too long, or not JSON.

/// The id of a message of which only the beginning and the very end are known.
pub(crate) fn id_of(head: &[u8], tail: &[u8]) -> Option<i64> {
    id_in(head).or_else(|| at_end(tail))
}

/// The member `id` among the top-level members that can be made out in `text`.
pub(crate) fn id_in(text: &[u8]) -> Option<i64> {
    let mut depth = 0_u32;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let end = string_end(after)?;
                let (text, behind) = after.split_at(end);
                rest = behind.get(1..)?;
                if depth == 1
                    && text == b"id"
                    && let Some(value) = rest.trim_ascii_start().strip_prefix(b":")
                {
                    return number(value.trim_ascii_start());
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// Where the quote is that ends the string.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Takes `"id":<number>}` at the end, where the one brace can only be that of the message.
fn at_end(tail: &[u8]) -> Option<i64> {
    let inner = tail.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let colon = memchr::memrchr(b':', inner)?;
    let (key, value) = inner.split_at(colon);
    let value = value.get(1..)?.trim_ascii();
    key.trim_ascii_end()
        .ends_with(b"\"id\"")
        .then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

fn number(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_message_is_found_and_no_other() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":12,"result":{"a"#, Some(12)),
            (r#"{"a\"id\":":{"id":3}, "id" : 4 ,"result":"#, Some(4)),
            (r#"{"result":{"id":3,"x":[{"id":5}"#, None),
            (r#"{"result":{},"jsonrpc":"2.0","id":9}"#, Some(9)),
            (r#"{"id":"9","result":"#, None),
            (r#"{"jsonrpc":"2.0","id":1"#, None),
            ("plain text", None),
            ("}}}}{\"id\":1,", None),
        ] {
            assert_eq!(id_in(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_id_at_the_end_counts_when_it_is_that_of_the_message() {
        for (tail, expected) in [
            (r#"xxx"},"jsonrpc":"2.0","id":9}"#, Some(9)),
            (r#"xxx"}, "id" : 9 } "#, Some(9)),
            (r#"xxx":{"id":9}}"#, None),
            (r#"xxx","di":9}"#, None),
            (r#"xxx","id":"9"}"#, None),
            ("", None),
        ] {
            assert_eq!(
                id_of(b"{\"result\":\"x", tail.as_bytes()),
                expected,
                "{tail}"
            );
        }
    }
}
