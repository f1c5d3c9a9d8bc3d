//! An answer that is too long for one result, piece by piece, each cut where it does the least harm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mcp_gw_core::RawJson;
use serde_json::value::RawValue;

/// What an answer's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A JSON value.
    Json,
    /// Text in UTF-8.
    Text,
    /// Anything else.
    Binary,
}

impl Form {
    /// What `body` is, which the server says is of `media_type`, and the JSON value that it is. A body that is
    /// cut off is no JSON value, except a list: of that there are items.
    pub(crate) fn read(body: &Bytes, media_type: Option<&str>) -> (Self, Option<RawJson>) {
        let says_json = media_type.is_some_and(is_json);
        if says_json && let Ok(value) = RawJson::parse(body.clone()) {
            return (Self::Json, Some(value));
        }
        let form = match std::str::from_utf8(body) {
            Ok(text) if says_json && text.trim_start().starts_with('[') => Self::Json,
            Ok(text) if text.contains('\0') => Self::Binary,
            Ok(_) => Self::Text,
            // The last character may be cut.
            Err(error) if error.error_len().is_none() => Self::Text,
            Err(_) => Self::Binary,
        };
        (form, None)
    }
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// A JSON value as it came, a list of items of one, or a string.
    pub(crate) data: RawJson,
    /// The string is in base64.
    pub(crate) is_base64: bool,
    /// Where the next one begins, if there is one.
    pub(crate) next: Option<usize>,
}

impl Piece {
    /// The first piece of `body`, which is `value` if it is that, of about `most` bytes.
    pub(crate) fn first(body: &Bytes, form: Form, value: Option<RawJson>, most: usize) -> Self {
        match value {
            Some(data) if body.len() <= most.max(LEAST) => Self {
                data,
                is_base64: false,
                next: None,
            },
            // Nothing at all is no text either.
            None if body.is_empty() => Self {
                data: RawJson::null(),
                is_base64: false,
                next: None,
            },
            _ => Self::of(body, form, 0, most),
        }
    }

    /// The piece of `body` that begins at `from`, of about `most` bytes.
    pub(crate) fn of(body: &Bytes, form: Form, from: usize, most: usize) -> Self {
        let rest = body.get(from.min(body.len())..).unwrap_or_default();
        let most = most.max(LEAST);
        match form {
            Form::Json => Self::of_json(rest, from, most),
            Form::Text => Self::of_text(rest, from, most),
            Form::Binary => Self::of_binary(rest, from, most),
        }
    }

    fn of_json(rest: &[u8], from: usize, most: usize) -> Self {
        // The items of a list, as many as there is room for.
        items(rest, from, most).unwrap_or_else(|| Self::of_text(rest, from, most))
    }

    fn of_text(rest: &[u8], from: usize, most: usize) -> Self {
        let mut end = rest.len().min(most);
        if end < rest.len() {
            let cut = rest.get(..end).unwrap_or_default();
            // After a line, if that is not far; never within a character.
            let line = cut.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            end = match line {
                Some(line) if line >= most - most / 8 => line,
                _ => whole_characters(cut),
            };
        }
        let text = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
        Self {
            data: RawJson::string(&text),
            is_base64: false,
            next: (end < rest.len()).then_some(from + end),
        }
    }

    fn of_binary(rest: &[u8], from: usize, most: usize) -> Self {
        // So many bytes that the pieces can be put together as they are.
        let end = rest.len().min(most / 4 * 3);
        let bytes = rest.get(..end).unwrap_or_default();
        Self {
            data: RawJson::string(&STANDARD.encode(bytes)),
            is_base64: true,
            next: (end < rest.len()).then_some(from + end),
        }
    }
}

/// A piece is not shorter.
const LEAST: usize = 64;

/// So much of `cut` is whole characters.
fn whole_characters(cut: &[u8]) -> usize {
    match std::str::from_utf8(cut) {
        Ok(text) => text.len(),
        // What is no text at all goes on as it is.
        Err(error) if error.error_len().is_some() => cut.len(),
        Err(error) => error.valid_up_to(),
    }
}

/// Items of a list from here on; `None` when there is no list, or not even one item has room.
fn items(rest: &[u8], from: usize, most: usize) -> Option<Piece> {
    let mut at = blanks(rest, 0);
    if from == 0 {
        at = (rest.get(at) == Some(&b'[')).then(|| at + 1)?;
    }
    let mut data = vec![b'['];
    let next = loop {
        at = blanks(rest, at);
        if rest.get(at) == Some(&b',') {
            at = blanks(rest, at + 1);
        }
        match rest.get(at) {
            None | Some(b']') => break None,
            Some(_) => {}
        }
        let item = rest.get(at..).unwrap_or_default();
        let mut items = serde_json::Deserializer::from_slice(item).into_iter::<&RawValue>();
        // The last one may be cut off: what is not there cannot be shown.
        let Some(Ok(value)) = items.next() else {
            if data.len() == 1 {
                return None;
            }
            break Some(from + at);
        };
        let text = value.get().as_bytes();
        if data.len() + text.len() + 2 > most {
            if data.len() == 1 {
                return None;
            }
            break Some(from + at);
        }
        if data.len() > 1 {
            data.push(b',');
        }
        data.extend_from_slice(text);
        at += items.byte_offset();
    };
    data.push(b']');
    Some(Piece {
        data: RawJson::parse(data).ok()?,
        is_base64: false,
        next,
    })
}

fn blanks(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let count = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    from + count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn all(body: &[u8], form: Form, most: usize) -> Vec<Piece> {
        let body = Bytes::copy_from_slice(body);
        let value = match form {
            Form::Json => RawJson::parse(body.clone()).ok(),
            _ => None,
        };
        let mut pieces = vec![Piece::first(&body, form, value, most)];
        while let Some(next) = pieces.last().and_then(|piece| piece.next) {
            pieces.push(Piece::of(&body, form, next, most));
            assert!(pieces.len() < 10_000, "it goes on");
        }
        pieces
    }

    fn text(piece: &Piece) -> String {
        let text: Option<String> = piece.data.decode_owned().unwrap();
        text.unwrap_or_default()
    }

    #[test]
    fn what_an_answer_is_shows_in_its_bytes() {
        let json = Some("application/json");
        for (body, media_type, form) in [
            (&b"{\"a\":1}"[..], json, Form::Json),
            (b"{\"a\":1}", Some("application/problem+json"), Form::Json),
            (b"{\"a\":1}", Some("text/plain"), Form::Text),
            (b"{\"a\":", json, Form::Text),
            (b"[1,2,", json, Form::Json),
            (b"<html>", json, Form::Text),
            (b"caf\xc3\xa9", None, Form::Text),
            (b"caf\xc3", None, Form::Text),
            (b"caf\xe9 au lait", None, Form::Binary),
            (b"\x89PNG\0\0", Some("image/png"), Form::Binary),
            (b"a\0b", Some("text/plain"), Form::Binary),
            (b"", None, Form::Text),
        ] {
            let body = Bytes::from_static(body);
            assert_eq!(
                Form::read(&body, media_type).0,
                form,
                "{body:?} {media_type:?}"
            );
        }
    }

    #[test]
    fn a_value_that_has_room_is_whole_and_as_it_came() {
        let body = b" { \"n\" : 1.50, \"n2\": 12345678901234567890 } ";
        let pieces = all(body, Form::Json, 1024);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].data.as_bytes().trim_ascii(), body.trim_ascii());
    }

    #[test]
    fn a_list_is_cut_between_items() {
        let body = r#"[ {"a": 1.0}, [2, 3] , "x]y,\"", null, 1e5 ]"#;
        let pieces = all(body.as_bytes(), Form::Json, 1);
        let joined: Vec<Value> = pieces
            .iter()
            .flat_map(|piece| piece.data.decode_owned::<Vec<Value>>().unwrap())
            .collect();
        assert_eq!(
            Value::from(joined),
            serde_json::from_str::<Value>(body).unwrap()
        );
        // An item that is longer than a piece is cut as text.
        let long = format!("[\"{}\"]", "x".repeat(500));
        let pieces = all(long.as_bytes(), Form::Json, 100);
        assert_eq!(pieces.iter().map(text).collect::<String>(), long);
    }

    #[test]
    fn a_list_that_broke_off_has_the_items_that_are_whole() {
        let pieces = all(br#"[{"a":1},{"a":2},{"a"#, Form::Json, 1024);
        assert_eq!(pieces[0].data.as_str(), r#"[{"a":1},{"a":2}]"#);
        assert_eq!(text(&pieces[1]), r#"{"a"#);
    }

    #[test]
    fn text_is_cut_after_a_line_and_never_in_a_character() {
        let lines = format!("{}\n", "line ".repeat(19)).repeat(20);
        for piece in all(lines.as_bytes(), Form::Text, 200) {
            assert!(text(&piece).ends_with('\n'));
        }
        let wide = "äöü€".repeat(100);
        let pieces = all(wide.as_bytes(), Form::Text, 65);
        assert_eq!(pieces.iter().map(text).collect::<String>(), wide);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_whole(text_in in "\\PC{0,600}", most in 1_usize..300) {
            let pieces = all(text_in.as_bytes(), Form::Text, most);
            prop_assert_eq!(pieces.iter().map(text).collect::<String>(), text_in);
        }

        #[test]
        fn bytes_are_put_together_as_they_are(
            bytes in prop::collection::vec(any::<u8>(), 0..600), most in 1_usize..300,
        ) {
            let pieces = all(&bytes, Form::Binary, most);
            let joined: String = pieces.iter().map(text).collect();
            prop_assert_eq!(STANDARD.decode(joined).unwrap(), bytes);
        }

        #[test]
        fn anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..400), from in 0_usize..500) {
            let body = Bytes::from(bytes);
            for form in [Form::Json, Form::Text, Form::Binary] {
                let piece = Piece::of(&body, form, from, 70);
                prop_assert!(piece.next.is_none_or(|next| next > from && next < body.len()));
            }
        }

        #[test]
        fn a_list_of_anything_is_whole(
            items in prop::collection::vec("[a-z\\[\\],{}\" ]{0,40}", 0..30), most in 60_usize..300,
        ) {
            let body = serde_json::to_string(&items).unwrap();
            let pieces = all(body.as_bytes(), Form::Json, most);
            let joined: Vec<String> = pieces
                .iter()
                .flat_map(|piece| piece.data.decode_owned::<Vec<String>>().unwrap())
                .collect();
            prop_assert_eq!(joined, items);
        }
    }
}
