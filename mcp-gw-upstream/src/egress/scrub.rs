//! Takes credentials out of what an API sends back: some show what they were sent (C-15).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use mcp_gw_core::Secret;
use memchr::{memchr2_iter, memmem};

/// A credential shorter than this could be a word of the answer.
const SHORTEST: usize = 6;
/// What stands there instead.
const INSTEAD: &[u8] = b"[redacted]";

/// Looks for some texts in a stream, in whatever pieces that comes: as they are, as in JSON (any character
/// may be `\uXXXX`), as in a query (any byte may be `%XX`), and in base64, also as a part of something
/// longer.
pub(crate) struct Scrub {
    texts: Vec<Needle>,
    /// Where a text may begin: its first byte, or a sign that writes any.
    starts: [bool; 256],
    /// How many bytes one of them takes at most, as it is and in any spelling.
    widest: usize,
    longest: usize,
    /// The end of what came, which could be the beginning of a text.
    held: Vec<u8>,
}

/// A text, in the memory that is wiped.
struct Needle(Secret<String>);

/// What bytes are of a text, from the first on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// So many say all of it.
    All(usize),
    /// All of them say the beginning of it, or could.
    Begin,
    /// They say something else.
    Other,
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
        let mut starts = [false; 256];
        let firsts = texts.iter().filter_map(|text| text.as_bytes().first());
        for byte in firsts.chain(b"\\%") {
            if let Some(start) = starts.get_mut(usize::from(*byte)) {
                *start = true;
            }
        }
        let most = |of: fn(&str) -> usize| texts.iter().map(|text| of(text)).max();
        Self {
            starts,
            widest: most(str::len).unwrap_or_default(),
            longest: most(longest).unwrap_or_default(),
            texts: texts
                .into_iter()
                .map(|text| Needle(Secret::new(text)))
                .collect(),
            held: Vec::new(),
        }
    }

    /// What of the stream so far can go on.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.texts.is_empty() {
            return piece;
        }
        if self.held.is_empty() {
            return self.take(&piece, false);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(&piece);
        self.take(&held.into(), false)
    }

    /// The rest of it.
    pub(crate) fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        self.take(&held.into(), true)
    }

    /// Another text, by itself. Unless `is_end` it was cut, and what could be the beginning of a
    /// credential is left out.
    pub(crate) fn whole(&mut self, text: &Bytes, is_end: bool) -> Bytes {
        self.held.clear();
        if self.texts.is_empty() {
            return text.clone();
        }
        let out = self.take(text, is_end);
        self.held.clear();
        out
    }

    /// What can go on of `all`, without a copy where nothing is taken out; holds the rest.
    fn take(&mut self, all: &Bytes, is_end: bool) -> Bytes {
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            let rest = all.get(at..).unwrap_or_default();
            let open = if is_end {
                rest.len()
            } else {
                self.open_in(rest)
            };
            match self.next_in(rest) {
                // What may still become a text begins behind it.
                Some((begin, length)) if begin < open => {
                    out.extend_from_slice(rest.get(..begin).unwrap_or_default());
                    out.extend_from_slice(INSTEAD);
                    at += begin + length;
                }
                _ => {
                    self.held = rest.get(open..).unwrap_or_default().to_vec();
                    let ready = at..at + open;
                    if out.is_empty() {
                        return all.slice(ready);
                    }
                    out.extend_from_slice(all.get(ready).unwrap_or_default());
                    return out.into();
                }
            }
        }
    }

    /// Where something begins that could be a text if more came; the end if nothing does.
    fn open_in(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let is_open = |at: &usize| {
            let rest = bytes.get(*at..).unwrap_or_default();
            self.starts_with(rest) && self.texts.iter().any(|it| it.says(rest) == Says::Begin)
        };
        (first..bytes.len()).find(is_open).unwrap_or(bytes.len())
    }

    fn starts_with(&self, bytes: &[u8]) -> bool {
        let first = bytes.first().map(|byte| usize::from(*byte));
        first.is_some_and(|first| self.starts.get(first) == Some(&true))
    }

    /// The first text in there, and how long it is: the longest of those that begin there.
    fn next_in(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let spelled = self.spelled_in(bytes);
        // None that begins behind it is of interest.
        let end = spelled.map_or(bytes.len(), |(at, _)| at + self.widest);
        let bytes = bytes.get(..end.min(bytes.len())).unwrap_or_default();
        let plain = self.texts.iter().filter_map(|needle| {
            let text = needle.0.expose().as_bytes();
            Some((memmem::find(bytes, text)?, text.len()))
        });
        plain
            .chain(spelled)
            .min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
    }

    /// The same for texts that are written with other signs: with one of those in them.
    fn spelled_in(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut done = 0;
        for sign in memchr2_iter(b'\\', b'%', bytes) {
            let first = done.max(sign.saturating_sub(self.widest));
            for at in first..=sign {
                let rest = bytes.get(at..).unwrap_or_default();
                if !self.starts_with(rest) {
                    continue;
                }
                let lengths = self.texts.iter().filter_map(|it| match it.says(rest) {
                    Says::All(length) => Some(length),
                    Says::Begin | Says::Other => None,
                });
                if let Some(length) = lengths.max() {
                    return Some((at, length));
                }
            }
            done = sign + 1;
        }
        None
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

/// How many bytes a text takes in its longest spelling.
fn longest(text: &str) -> usize {
    let of_one = |c: char| (c.len_utf16() * 6).max(c.len_utf8() * 3);
    text.chars().map(of_one).sum()
}

impl Needle {
    fn says(&self, bytes: &[u8]) -> Says {
        let text = self.0.expose();
        if bytes.starts_with(text.as_bytes()) {
            return Says::All(text.len());
        }
        if text.as_bytes().starts_with(bytes) {
            return Says::Begin;
        }
        let mut rest = bytes;
        for c in text.chars() {
            match after(c, rest) {
                Some(behind) => rest = behind,
                None if begins(c, rest) => return Says::Begin,
                None => return Says::Other,
            }
        }
        Says::All(bytes.len() - rest.len())
    }
}

/// True when these are all bytes that there are, and more could make them say `c`.
fn begins(c: char, bytes: &[u8]) -> bool {
    let longest = (c.len_utf16() * 6).max(c.len_utf8() * 3);
    match bytes {
        [] => true,
        [b'%' | b'\\', ..] => bytes.len() < longest,
        _ => c.encode_utf8(&mut [0; 4]).as_bytes().starts_with(bytes),
    }
}

/// What comes after a character in one of its spellings.
fn after(c: char, bytes: &[u8]) -> Option<&[u8]> {
    let mut utf8 = [0; 4];
    let plain = c.encode_utf8(&mut utf8).as_bytes();
    let encoded = match bytes {
        [b'%', ..] => plain.iter().try_fold(bytes, |rest, byte| {
            let digits = rest.strip_prefix(b"%")?;
            (hex(digits.get(..2)?)? == u32::from(*byte)).then(|| digits.get(2..))?
        }),
        [b'\\', b'u', ..] => {
            let mut utf16 = [0; 2];
            c.encode_utf16(&mut utf16)
                .iter()
                .try_fold(bytes, |rest, unit| {
                    let digits = rest.strip_prefix(b"\\u")?;
                    (hex(digits.get(..4)?)? == u32::from(*unit)).then(|| digits.get(4..))?
                })
        }
        [b'\\', sign, rest @ ..] => {
            let meant = match sign {
                b't' => '\t',
                b'"' | b'\\' | b'/' | b'\'' => char::from(*sign),
                _ => return bytes.strip_prefix(plain),
            };
            (meant == c).then_some(rest)
        }
        _ => None,
    };
    encoded.or_else(|| bytes.strip_prefix(plain))
}

/// Digits of either case.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| {
        Some(sum * 16 + char::from(*digit).to_digit(16)?)
    })
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
    fn it_is_found_however_servers_write_it() {
        let secret = "s3cr3t-Val+ue/==";
        let scrub = || Scrub::new(&secrets(&[secret]));
        let by_unit = |write: &dyn Fn(u8) -> String| secret.bytes().map(write).collect::<String>();
        for text in [
            "s3cr3t-Val\\u002Bue/==".to_owned(),
            "s3cr3t-Val\\u002bue\\/\\u003D=".to_owned(),
            "s3cr3t-Val%2bue%2f%3D%3d".to_owned(),
            "s3cr3t%2DVal+ue\\/==".to_owned(),
            by_unit(&|byte| format!("\\u{byte:04x}")),
            by_unit(&|byte| format!("\\u{byte:04X}")),
            by_unit(&|byte| format!("%{byte:02x}")),
        ] {
            let shown = format!(r#"{{"k":"{text}","l":1}}"#);
            let clean = whole(&mut scrub(), &[shown.as_bytes()]);
            assert_eq!(clean, r#"{"k":"[redacted]","l":1}"#, "{text}");
            let bytes: Vec<&[u8]> = shown.as_bytes().chunks(1).collect();
            assert_eq!(whole(&mut scrub(), &bytes), clean, "{text}");
        }
        for before in ["", "k", "k:", "key"] {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let shown = engine.encode(format!("{before}{secret} and more"));
                let clean = whole(&mut scrub(), &[shown.as_bytes()]);
                assert!(clean.contains("[redacted]"), "{shown} {clean}");
                assert!(clean.len() < shown.len(), "{shown} {clean}");
            }
        }
        let other = "s3cr3t-Val\\u002Cue/== s3cr3t-Val%2cue/== %zz \\u00 \\";
        assert_eq!(whole(&mut scrub(), &[other.as_bytes()]), other);
        let wide = "p\u{e4}ssw\u{1f600}rd";
        let shown = "p\\u00e4ssw\\uD83D\\ude00rd p%c3%A4ssw%F0%9f%98%80rd";
        let clean = whole(&mut Scrub::new(&secrets(&[wide])), &[shown.as_bytes()]);
        assert_eq!(clean, "[redacted] [redacted]");
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
            text in "([abc]|%6[123]|\\\\u006[123]|[%\\\\u06]){0,60}",
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
