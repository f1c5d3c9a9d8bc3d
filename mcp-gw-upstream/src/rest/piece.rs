//! An answer that is too long for one result, piece by piece, each cut where it does the least harm.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mcp_gw_core::{JsonText, RawJson};

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

/// Where a piece begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many bytes come before it.
    pub(crate) at: usize,
    /// A part of a JSON text begins there, and not an item of a list.
    pub(crate) is_text: bool,
}

impl Place {
    /// The beginning of an answer.
    pub(crate) const START: Self = Self::of(0, false);

    const fn of(at: usize, is_text: bool) -> Self {
        Self { at, is_text }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('t').unwrap_or(text);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() < 16;
        let at = is_number.then(|| digits.parse().ok())??;
        Some(Self::of(at, digits.len() < text.len()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, if self.is_text { "t" } else { "" })
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// A JSON value as it came, a list of items of one, or a string.
    pub(crate) data: RawJson,
    /// The string is in base64.
    pub(crate) is_base64: bool,
    /// Where the next one begins, if there is one.
    pub(crate) next: Option<Place>,
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
            _ => Self::of(body, form, Place::START, most),
        }
    }

    /// The piece of `body` that begins at `from`, of about `most` bytes.
    pub(crate) fn of(body: &Bytes, form: Form, from: Place, most: usize) -> Self {
        let rest = body.get(from.at..).unwrap_or_default();
        let most = most.max(LEAST);
        match form {
            // The items of a list, as long as they are whole; then all that follows is text.
            Form::Json if !from.is_text => {
                items(rest, from.at, most).unwrap_or_else(|| Self::of_text(rest, from.at, most))
            }
            Form::Json | Form::Text => Self::of_text(rest, from.at, most),
            Form::Binary => Self::of_binary(rest, from.at, most),
        }
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
            next: (end < rest.len()).then_some(Place::of(from + end, true)),
        }
    }

    fn of_binary(rest: &[u8], from: usize, most: usize) -> Self {
        // So many bytes that the pieces can be put together as they are.
        let end = rest.len().min(most / 4 * 3);
        let bytes = rest.get(..end).unwrap_or_default();
        Self {
            data: RawJson::string(&STANDARD.encode(bytes)),
            is_base64: true,
            next: (end < rest.len()).then_some(Place::of(from + end, true)),
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

/// Items of a list from here on; `None` when there is no list, or not even one item has room. What is not
/// followed by `,` or the end of the list is no item: it may be cut.
fn items(rest: &[u8], from: usize, most: usize) -> Option<Piece> {
    let mut at = blanks(rest, 0);
    if from == 0 {
        at = (rest.get(at) == Some(&b'[')).then(|| blanks(rest, at + 1))?;
        if is_last(rest, at) {
            return list(b"[]".to_vec(), None);
        }
    }
    let mut data = vec![b'['];
    let next = loop {
        let item = rest.get(at..).unwrap_or_default();
        let mut items = serde_json::Deserializer::from_slice(item).into_iter::<JsonText<'_>>();
        let Some(Ok(value)) = items.next() else {
            break (at < rest.len()).then_some(at);
        };
        let text = value.get().as_bytes();
        let behind = blanks(rest, at + items.byte_offset());
        let is_last = is_last(rest, behind);
        let is_item = is_last || rest.get(behind) == Some(&b',');
        if !is_item || data.len() + text.len() + 2 > most {
            break Some(at);
        }
        if data.len() > 1 {
            data.push(b',');
        }
        data.extend_from_slice(text);
        if is_last {
            break None;
        }
        at = blanks(rest, behind + 1);
    };
    if data.len() == 1 {
        return None;
    }
    data.push(b']');
    list(data, next.map(|at| Place::of(from + at, false)))
}

fn list(data: Vec<u8>, next: Option<Place>) -> Option<Piece> {
    Some(Piece {
        data: RawJson::parse(data).ok()?,
        is_base64: false,
        next,
    })
}

/// True when the list ends here, and with it all that there is.
fn is_last(rest: &[u8], at: usize) -> bool {
    rest.get(at) == Some(&b']') && blanks(rest, at + 1) == rest.len()
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
mod tests;
