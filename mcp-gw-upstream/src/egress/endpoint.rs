//! The raw endpoint of a request (E-2, E-3): judged before any parser sees it, never repaired.

use crate::egress::refusal::Refusal;

/// So often an endpoint may be encoded. Nobody means more.
const ROUNDS: usize = 6;

/// An endpoint that may stand behind a base.
#[derive(Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What the path may mean to servers: as it is, decoded once or more often, and each of these
    /// without the parameters of segments, and without what is a query by then.
    pub(crate) readings: Vec<String>,
}

/// Judges an endpoint: path, and perhaps a query.
pub(crate) fn parse(
    raw: &str,
    longest: usize,
    allow_empty_segments: bool,
) -> Result<Endpoint<'_>, Refusal> {
    let wrong = |message: &str| Err(Refusal::endpoint("E-2", message));
    if raw.len() > longest {
        return wrong(&format!("the endpoint is longer than {longest} bytes"));
    }
    if raw.contains('#') {
        return Err(Refusal::endpoint(
            "E-14",
            "the endpoint has a `#`; a request has no fragment, write `%23` for the character",
        ));
    }
    let (path, query) = match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    };
    characters(path, false)?;
    if let Some(query) = query {
        characters(query, true)?;
        decode(query.as_bytes(), Round::Text)?;
    }
    let readings = path_of(path, allow_empty_segments)?;
    Ok(Endpoint {
        path,
        query,
        readings,
    })
}

/// E-2: what RFC 3986 (§3.3, §3.4) has in a path or a query, and nothing else.
fn characters(text: &str, is_query: bool) -> Result<(), Refusal> {
    let wrong = |message: String| Err(Refusal::endpoint("E-2", message));
    let bytes = text.as_bytes();
    if !is_query && (bytes.first() != Some(&b'/') || matches!(bytes.get(1), Some(b'/' | b'\\'))) {
        return wrong("the endpoint must begin with exactly one `/`".to_owned());
    }
    let mut rest = bytes;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let is_fine = match byte {
            b'%' => match behind {
                [a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    rest = after;
                    true
                }
                _ => {
                    return wrong(
                        "the endpoint has a `%` without two hexadecimal digits; write `%25` for the character"
                            .to_owned(),
                    );
                }
            },
            b'/' => true,
            b'?' => is_query,
            byte => is_pchar(*byte),
        };
        if !is_fine {
            let shown = char::from(*byte);
            return wrong(format!(
                "the endpoint has a character that must be percent-encoded: {shown:?}"
            ));
        }
    }
    Ok(())
}

const fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// How the bytes of a round of decoding are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// They must be text, and may be anything.
    Text,
    /// The first of a path: they must be text that has no `/` and no control characters.
    First,
    /// One more of a path: it may end in bytes that are no text.
    Further,
}

/// Decodes what is percent-encoded, once.
fn decode(raw: &[u8], round: Round) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, behind)) = rest.split_first() {
        let Some((decoded, after)) = triplet(rest) else {
            out.push(*first);
            rest = behind;
            continue;
        };
        if round != Round::Text {
            let hidden = match decoded {
                '/' | '\\' => Some("a `/` or `\\`"),
                c if c.is_ascii_control() => Some("a control character"),
                _ => None,
            };
            if let Some(hidden) = hidden {
                let message =
                    format!("the path of the endpoint has {hidden} that is percent-encoded");
                return Err(Refusal::endpoint("E-3", message));
            }
        }
        match u8::try_from(u32::from(decoded)) {
            Ok(byte) => out.push(byte),
            Err(_) => out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = after;
    }
    if round == Round::Further {
        return Ok(out);
    }
    let Ok(text) = std::str::from_utf8(&out) else {
        return Err(Refusal::endpoint(
            "E-2",
            "what is percent-encoded in the endpoint is not UTF-8",
        ));
    };
    if round == Round::First && text.chars().any(char::is_control) {
        let message = "the path of the endpoint has a control character that is percent-encoded";
        return Err(Refusal::endpoint("E-3", message));
    }
    Ok(out)
}

/// A `%41` at the beginning, as a byte, or a `%u0041`, which some servers know.
fn triplet(bytes: &[u8]) -> Option<(char, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match bytes {
        [b'%', b'u' | b'U', a, b, c, d, rest @ ..] => {
            let high = (digit(*a)? << 12) | (digit(*b)? << 8);
            Some((char::from_u32(high | (digit(*c)? << 4) | digit(*d)?)?, rest))
        }
        [b'%', a, b, rest @ ..] => {
            let value = u8::try_from((digit(*a)? << 4) | digit(*b)?).ok()?;
            Some((char::from(value), rest))
        }
        _ => None,
    }
}

/// E-3: a path without dot segments, hidden slashes and the like in any reading; the readings.
pub(crate) fn path_of(path: &str, allow_empty_segments: bool) -> Result<Vec<String>, Refusal> {
    let mut readings = Vec::with_capacity(2);
    let mut current = path.as_bytes().to_vec();
    for round in 0..=ROUNDS {
        segments(&current, allow_empty_segments)?;
        read(&mut readings, &current);
        if round == ROUNDS {
            break;
        }
        let kind = if round == 0 {
            Round::First
        } else {
            Round::Further
        };
        let next = decode(&current, kind)?;
        if next == current {
            return Ok(readings);
        }
        current = next;
    }
    Err(Refusal::endpoint(
        "E-3",
        "the path of the endpoint is percent-encoded too many times",
    ))
}

/// Judges each segment. What is folded is what servers with Unicode normalisation fold.
fn segments(path: &[u8], allow_empty: bool) -> Result<(), Refusal> {
    let text = String::from_utf8_lossy(path);
    let is_ascii = text.is_ascii();
    let mut all = text.split('/').skip(1).peekable();
    while let Some(segment) = all.next() {
        // Some servers take parameters off before they look, or find a query when they have decoded.
        let name = segment.split([';', '?', '#']).next().unwrap_or_default();
        let is_last = all.peek().is_none();
        // The last may be empty, or be parameters alone: for all servers that is a `/` at the end.
        let is_end = is_last && (segment.is_empty() || segment.starts_with(';'));
        if name.is_empty() && !allow_empty && !is_end {
            return Err(Refusal::endpoint(
                "E-3",
                "the path of the endpoint has an empty segment",
            ));
        }
        // Some take blanks at the ends for nothing.
        let is_dots =
            |name: &str| name.contains('.') && name.chars().all(|c| c == '.' || c.is_whitespace());
        let is_hidden = !is_ascii && folded(name).split(['/', '\\']).any(is_dots);
        if is_dots(name) || is_hidden {
            return Err(Refusal::endpoint(
                "E-3",
                "the path of the endpoint has a segment of dots, in some spelling; write the path that is meant",
            ));
        }
    }
    Ok(())
}

/// Dots and slashes in other shapes, as compatibility normalisation (NFKC) and names of hosts (UTS 46) read
/// them, and what looks like them; without signs that nobody sees, which some leave out.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{ff0e}' | '\u{2024}' | '\u{fe52}' | '\u{3002}' | '\u{ff61}' => out.push('.'),
            '\u{2025}' => out.push_str(".."),
            '\u{2026}' => out.push_str("..."),
            '\u{ff0f}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' => out.push('/'),
            '\u{ff3c}' | '\u{fe68}' | '\u{2216}' | '\u{29f9}' => out.push('\\'),
            c if is_unseen(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Signs without any width.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

/// Adds what this path can be read as.
fn read(readings: &mut Vec<String>, path: &[u8]) {
    let text = String::from_utf8_lossy(path).into_owned();
    if text.contains([';', '?', '#']) {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let plain: Vec<&str> = path
            .split('/')
            .map(|segment| segment.split(';').next().unwrap_or_default())
            .collect();
        let plain = plain.join("/");
        if !readings.contains(&plain) {
            readings.push(plain);
        }
    }
    if !readings.contains(&text) {
        readings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_as_many_readings_as_servers_could_find_in_it() {
        let readings = |path| path_of(path, false).unwrap();
        assert_eq!(readings("/a/b"), ["/a/b"]);
        assert_eq!(readings("/%61"), ["/%61", "/a"]);
        assert_eq!(readings("/%2561"), ["/%2561", "/%61", "/a"]);
        assert_eq!(readings("/a;x=1/b"), ["/a/b", "/a;x=1/b"]);
        assert_eq!(readings("/%25u0061"), ["/%25u0061", "/%u0061", "/a"]);
        assert_eq!(readings("/a/;x=1"), ["/a/", "/a/;x=1"]);
        for path in [
            "/a/..%20/b",
            "/a/%20../b",
            "/a/.%C2%A0./b",
            "/a/%25252e%25252e/b",
            "/a/;x=1/b",
        ] {
            assert_eq!(path_of(path, false).unwrap_err().rule, "E-3", "{path}");
        }
    }

    #[test]
    fn encoding_over_and_over_is_refused_in_little_time() {
        let path = format!("/%{}41", "25".repeat(900));
        assert_eq!(path_of(&path, false).unwrap_err().rule, "E-3");
    }
}
