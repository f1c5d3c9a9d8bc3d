//! Takes credentials out of what an API sends back: some show what they were sent (C-15).

mod needles;
mod reading;
mod search;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use mcp_gw_core::Secret;

use needles::{Needles, PREFIX};
use search::{Found, Search};

/// A credential shorter than this could be a word of the answer.
const SHORTEST: usize = PREFIX;
/// What stands there instead.
const INSTEAD: &[u8] = b"[redacted]";

/// Looks for some texts in a stream, in whatever pieces that comes: as they are, as in JSON (any character
/// may be `\uXXXX`), as in a query (any byte may be `%XX`), and in base64, also as a part of something
/// longer. Of those that begin at one place the longest counts. The time that it takes grows with the length
/// of the stream, whatever is in it.
pub(crate) struct Scrub {
    needles: Needles,
    search: Box<Search>,
    /// The end of what came, which could be the beginning of a text.
    held: BytesMut,
}

impl Scrub {
    pub(crate) fn new(secrets: &[Secret<String>]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut add = |text: &str| {
            let is_known = texts.iter().any(|known| known == text);
            if text.len() >= SHORTEST && !is_known {
                texts.push(text.to_owned());
            }
        };
        for secret in secrets {
            let text = secret.expose();
            add(text);
            if text.len() >= SHORTEST {
                in_base64(text, &mut add);
            }
        }
        let needles = Needles::new(texts);
        Self {
            search: Box::new(Search::new(&needles)),
            needles,
            held: BytesMut::new(),
        }
    }

    /// Forgets what came: another stream begins.
    pub(crate) fn begin(&mut self) {
        self.held.clear();
        *self.search = Search::new(&self.needles);
    }

    /// What of the stream so far can go on; without a copy where nothing is taken out or held.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.needles.is_empty() {
            return piece;
        }
        if !self.held.is_empty() {
            self.held.extend_from_slice(&piece);
            return self.take(false);
        }
        let found = self.search.run(&self.needles, &piece, false);
        let held = piece.get(found.done..).unwrap_or_default();
        self.held.extend_from_slice(held);
        without(&piece, &found)
    }

    /// The rest of it.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.take(true)
    }

    /// How much has been done so far: what a byte costs, or less, is one.
    pub(crate) fn work(&self) -> u64 {
        self.search.work
    }

    fn take(&mut self, is_end: bool) -> Bytes {
        let found = self.search.run(&self.needles, &self.held, is_end);
        let done = self.held.split_to(found.done).freeze();
        without(&done, &found)
    }

    /// Takes them out of values of headers.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        if self.needles.is_empty() {
            return;
        }
        for value in headers.values_mut() {
            let found = Search::new(&self.needles).run(&self.needles, value.as_bytes(), true);
            if found.texts.is_empty() {
                continue;
            }
            let clean = without(&Bytes::copy_from_slice(value.as_bytes()), &found);
            *value =
                HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static("[redacted]"));
        }
    }
}

/// What is done with of `bytes`, without what was found there.
fn without(bytes: &Bytes, found: &Found) -> Bytes {
    if found.texts.is_empty() {
        return bytes.slice(..found.done);
    }
    let mut out = Vec::with_capacity(found.done);
    let mut at = 0;
    for text in &found.texts {
        out.extend_from_slice(bytes.get(at..text.start).unwrap_or_default());
        out.extend_from_slice(INSTEAD);
        at = text.end;
    }
    out.extend_from_slice(bytes.get(at..found.done).unwrap_or_default());
    out.into()
}

/// What of a text in base64 depends on nothing else, wherever it stands in what is encoded.
fn in_base64(text: &str, add: &mut impl FnMut(&str)) {
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(text.as_bytes());
        let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&bytes);
            if before == 0 {
                add(&encoded);
            }
            add(encoded.get(first..end).unwrap_or_default());
        }
    }
}
