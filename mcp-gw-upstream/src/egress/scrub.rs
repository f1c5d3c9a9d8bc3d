//! Takes credentials out of what an API sends back: some show what they were sent (C-15).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use mcp_gw_core::Secret;
use memchr::memmem;

use crate::egress::query;

/// A credential shorter than this could be a word of the answer.
const SHORTEST: usize = 6;
/// What stands there instead.
const INSTEAD: &[u8] = b"[redacted]";

/// Looks for some texts in a stream, in whatever pieces that comes.
pub(crate) struct Scrub {
    texts: Vec<Secret<Vec<u8>>>,
    longest: usize,
    /// The end of what came, which could be the beginning of a text.
    held: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(secrets: &[Secret<String>]) -> Self {
        let mut texts: Vec<Secret<Vec<u8>>> = Vec::new();
        let mut add = |text: &str| {
            let is_known = texts.iter().any(|known| known.expose() == text.as_bytes());
            if text.len() >= SHORTEST && !is_known {
                texts.push(Secret::new(text.as_bytes().to_vec()));
            }
        };
        for secret in secrets {
            let text = secret.expose();
            add(text);
            // As in a query, and as in JSON.
            let mut encoded = String::new();
            query::encode(&mut encoded, text);
            add(&encoded);
            let json = serde_json::to_string(text).unwrap_or_default();
            let json = json
                .get(1..json.len().saturating_sub(1))
                .unwrap_or_default();
            add(json);
            add(&json.replace('/', "\\/"));
            // Go writes these so.
            let html = [("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")];
            add(&html
                .iter()
                .fold(json.to_owned(), |json, (c, code)| json.replace(c, code)));
        }
        // The longest first, so that none hides another one that it is a part of.
        texts.sort_by_key(|text| std::cmp::Reverse(text.expose().len()));
        Self {
            longest: texts.first().map_or(0, |text| text.expose().len()),
            texts,
            held: Vec::new(),
        }
    }

    /// What of the stream so far can go on.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.texts.is_empty() {
            return piece;
        }
        self.held.extend_from_slice(&piece);
        self.take(false)
    }

    /// The rest of it.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.take(true)
    }

    fn take(&mut self, is_end: bool) -> Bytes {
        let mut out = Vec::with_capacity(self.held.len());
        let mut rest: &[u8] = &self.held;
        while let Some((at, length)) = self.next_in(rest) {
            let (before, found) = rest.split_at(at);
            // A longer text could still begin before this one.
            if !is_end && rest.len() < at + self.longest {
                break;
            }
            out.extend_from_slice(before);
            out.extend_from_slice(INSTEAD);
            rest = found.get(length..).unwrap_or_default();
        }
        let open = match (is_end, self.next_in(rest)) {
            (true, _) => 0,
            (false, Some((at, _))) => (rest.len() - at).max(self.longest - 1),
            (false, None) => self.longest - 1,
        };
        let (ready, held) = rest.split_at(rest.len().saturating_sub(open));
        out.extend_from_slice(ready);
        self.held = held.to_vec();
        out.into()
    }

    /// The first text in there, and how long it is: the longest of those that begin there.
    fn next_in(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let places = self.texts.iter().filter_map(|text| {
            let text = text.expose();
            memmem::find(bytes, text).map(|at| (at, text.len()))
        });
        places.min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
    }

    /// Takes them out of values of headers.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut bytes = value.as_bytes();
            let mut out = Vec::new();
            while let Some((at, length)) = self.next_in(bytes) {
                let (before, found) = bytes.split_at(at);
                out.extend_from_slice(before);
                out.extend_from_slice(INSTEAD);
                bytes = found.get(length..).unwrap_or_default();
            }
            if out.is_empty() {
                continue;
            }
            out.extend_from_slice(bytes);
            *value =
                HeaderValue::from_bytes(&out).unwrap_or(HeaderValue::from_static("[redacted]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(all: &[&str]) -> Vec<Secret<String>> {
        all.iter()
            .map(|text| Secret::new((*text).to_owned()))
            .collect()
    }

    fn whole(scrub: &mut Scrub, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&scrub.push(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&scrub.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_credential_does_not_come_back_in_any_spelling() {
        let all = secrets(&["s3cr/t+key", "user:s3cr/t+key", "go&s3cret", "quo\"s3cret"]);
        let text = br#"{"a":"s3cr/t+key","b":"x?k=s3cr%2Ft%2Bkey&","c":"s3cr\/t+key","d":"user:s3cr/t+key","e":"go\u0026s3cret","f":"quo\"s3cret"}"#;
        let clean = whole(&mut Scrub::new(&all), &[text]);
        assert_eq!(
            clean,
            r#"{"a":"[redacted]","b":"x?k=[redacted]&","c":"[redacted]","d":"[redacted]","e":"[redacted]","f":"[redacted]"}"#
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            "location",
            HeaderValue::from_static("/x?k=s3cr%2Ft%2Bkey&y=1"),
        );
        headers.insert("etag", HeaderValue::from_static("abc"));
        Scrub::new(&all).headers(&mut headers);
        assert_eq!(headers["location"], "/x?k=[redacted]&y=1");
        assert_eq!(headers["etag"], "abc");
    }

    #[test]
    fn without_credentials_nothing_is_held_or_copied() {
        let mut scrub = Scrub::new(&secrets(&["short"]));
        let piece = Bytes::from_static(b"a short one");
        assert_eq!(scrub.push(piece.clone()).as_ptr(), piece.as_ptr());
        assert!(scrub.finish().is_empty());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_stream_is_cut(
            text in "[abc]{0,60}",
            cuts in prop::collection::vec(0_usize..60, 0..6),
        ) {
            let all = secrets(&["abcabc", "bcabcabc", "aaaaaa"]);
            let expected = whole(&mut Scrub::new(&all), &[text.as_bytes()]);
            let mut places: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> =
                places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let cut = whole(&mut Scrub::new(&all), &pieces);
            prop_assert_eq!(&cut, &expected);
            prop_assert!(!cut.contains("abcabc") && !cut.contains("aaaaaa"));
        }
    }
}
