//! URIs of resources and URI templates: what is refused before any rule is asked, and the one
//! spelling that rules are compared with (P-7).
//!
//! A URI that a rule and a server could read differently is refused, not mended. What remains is
//! compared in the form of RFC 3986 §6.2.2 (scheme and host in lower case, nothing percent-encoded
//! that need not be; RFC 3987 §3.2 for what is not ASCII), and, for rules that take away, once more
//! with everything decoded.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest URI or name that is looked at, in bytes. The core serves no longer URI either.
pub(crate) const LONGEST: usize = 8 * 1024;

/// Why a URI is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriFault {
    #[error("it is too long")]
    TooLong,
    #[error("it holds a control character")]
    Control,
    #[error("it is not an absolute URI")]
    NotAbsolute,
    #[error("it holds a character that has no place in a URI")]
    Character,
    #[error("it holds a backslash")]
    Backslash,
    #[error("it has a fragment")]
    Fragment,
    #[error("its braces do not match")]
    Braces,
    #[error("a percent sign begins no encoded UTF-8")]
    Encoding,
    #[error("it holds an encoded slash or backslash")]
    EncodedSlash,
    #[error("it holds a dot segment")]
    DotSegment,
    #[error("its host is not written in plain characters")]
    Host,
    #[error("it holds an empty segment")]
    EmptySegment,
    #[error("a `file` URI begins with `file:///` and names no host")]
    FileHost,
    #[error("a `file` URI has no query")]
    FileQuery,
    #[error("its query is empty")]
    EmptyQuery,
    #[error(
        "its host has a user, a dot at the end, the port that is its scheme's anyway, or one that is none"
    )]
    Authority,
    #[error("after the colon of this scheme stand two slashes, a host and a slash")]
    NoAuthority,
    #[error("its host is an address in a spelling that is not its plain one")]
    Address,
}

/// A URI that was found to be good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked<'u> {
    text: Cow<'u, str>,
    /// The same with everything decoded, when that is another text: how a server may read it. What a
    /// rule takes away by that text is taken away too.
    decoded: Option<String>,
}

impl<'u> Checked<'u> {
    /// [`Checked::text`], and the text with everything decoded where that is another one.
    pub(crate) fn into_parts(self) -> (Cow<'u, str>, Option<String>) {
        (self.text, self.decoded)
    }

    /// The spelling that rules are compared with.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Looks a URI over; with `is_template`, a URI template, whose expressions in braces are left out.
pub(crate) fn check(uri: &str, is_template: bool) -> Result<Checked<'_>, UriFault> {
    if uri.len() > LONGEST {
        return Err(UriFault::TooLong);
    }
    if uri.chars().any(char::is_control) {
        return Err(UriFault::Control);
    }
    let plain = if is_template {
        without_expressions(uri)?
    } else {
        Cow::Borrowed(uri)
    };
    let (scheme, rest) = plain.split_once(':').ok_or(UriFault::NotAbsolute)?;
    if !is_scheme(scheme) || (rest.is_empty() && !is_template) {
        return Err(UriFault::NotAbsolute);
    }
    check_characters(rest)?;
    let decoded = decode(rest)?;
    if decoded.contains('%') {
        check_twice_encoded(&decoded)?;
    }
    check_segments(rest)?;
    let is_open = is_template && uri.contains('{');
    if !is_open {
        check_empty(rest)?;
    }
    check_host(rest)?;
    check_scheme(scheme, rest, is_open)?;
    let text = normal(uri);
    let decoded = other_reading(&text)?;
    Ok(Checked { text, decoded })
}

/// How a server may read a URI whose one spelling is `text`, if that is another one: with everything
/// decoded, and of a file without the slash at its end.
fn other_reading(text: &str) -> Result<Option<String>, UriFault> {
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let is_folder = own_scheme(scheme) == "file" && rest.len() > "///".len() && rest.ends_with('/');
    if !text.contains('%') && !is_folder {
        return Ok(None);
    }
    let rest = decode(rest)?;
    let rest = if is_folder {
        rest.strip_suffix('/').unwrap_or(&rest)
    } else {
        &rest
    };
    Ok(Some(format!("{scheme}:{rest}")))
}

/// `one+file` is the scheme of what the server `one` calls `file`.
fn own_scheme(scheme: &str) -> &str {
    scheme.rsplit('+').next().unwrap_or_default()
}

/// RFC 3986 §3.1.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// A template without what stands in braces (RFC 6570 §2.2): an expression may expand to nothing.
fn without_expressions(template: &str) -> Result<Cow<'_, str>, UriFault> {
    if !template.contains(['{', '}']) {
        return Ok(Cow::Borrowed(template));
    }
    let mut plain = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        let (expression, tail) = tail.split_once('}').ok_or(UriFault::Braces)?;
        if before.contains('}') || expression.contains('{') || expression.is_empty() {
            return Err(UriFault::Braces);
        }
        plain.push_str(before);
        rest = tail;
    }
    if rest.contains('}') {
        return Err(UriFault::Braces);
    }
    plain.push_str(rest);
    Ok(Cow::Owned(plain))
}

fn check_characters(rest: &str) -> Result<(), UriFault> {
    for c in rest.chars() {
        match c {
            '\\' => return Err(UriFault::Backslash),
            '#' => return Err(UriFault::Fragment),
            '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | MARKS_FROM.. => {
                return Err(UriFault::Character);
            }
            c if c.is_whitespace() => return Err(UriFault::Character),
            _ => {}
        }
    }
    Ok(())
}

/// Decodes what is percent-encoded, and refuses what may not be.
fn decode(rest: &str) -> Result<Cow<'_, str>, UriFault> {
    if !rest.contains('%') {
        return Ok(Cow::Borrowed(rest));
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut from = rest.bytes();
    while let Some(byte) = from.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let byte = triplet(from.next(), from.next()).ok_or(UriFault::Encoding)?;
        if matches!(byte, b'/' | b'\\') {
            return Err(UriFault::EncodedSlash);
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| UriFault::Encoding)?;
    if text.chars().any(char::is_control) {
        return Err(UriFault::Control);
    }
    Ok(Cow::Owned(text))
}

fn triplet(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(high?)? * 16 + digit(low?)?;
    u8::try_from(value).ok()
}

/// What is encoded twice reads in two ways: some servers decode until nothing is left to do. The fault
/// is that of the worst that comes out.
fn check_twice_encoded(decoded: &str) -> Result<(), UriFault> {
    let mut text = Cow::Borrowed(decoded);
    let mut fault = Ok(());
    for _ in 0..MOST_ROUNDS {
        let mut bytes = Vec::with_capacity(text.len());
        let mut from = text.bytes();
        let mut changed = false;
        while let Some(byte) = from.next() {
            let ahead = from.clone();
            let found = if byte == b'%' {
                triplet(from.next(), from.next())
            } else {
                None
            };
            match found {
                Some(b'/' | b'\\') => return Err(UriFault::EncodedSlash),
                Some(b'.') => return Err(UriFault::DotSegment),
                Some(byte) if byte.is_ascii_control() => return Err(UriFault::Control),
                Some(byte) => {
                    changed = true;
                    bytes.push(byte);
                }
                None => {
                    from = ahead;
                    bytes.push(byte);
                }
            }
        }
        if !changed {
            return fault;
        }
        fault = Err(UriFault::Encoding);
        text = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
    }
    fault
}

/// Whoever encodes more often than this means no good.
const MOST_ROUNDS: usize = 4;

/// No segment is `.` or `..`, encoded or not, with parameters (`..;x`) or blanks or without, in the
/// path, the host, or what looks like a path in the query.
fn check_segments(rest: &str) -> Result<(), UriFault> {
    let is_dots = |segment: &str| {
        if !segment.starts_with(['.', '%']) {
            return false;
        }
        // It was found to be decodable as a whole.
        let plain = decode(segment).unwrap_or_default();
        let name = plain.split(';').next().unwrap_or_default();
        matches!(name.trim(), "." | "..")
    };
    let mut segments = rest.split(['/', '?']);
    if segments.any(is_dots) {
        return Err(UriFault::DotSegment);
    }
    Ok(())
}

/// Many servers read `//` as `/`.
fn check_empty(rest: &str) -> Result<(), UriFault> {
    let after = authority(rest).map_or(0, |authority| authority.len() + 2);
    let path = rest.get(after..).unwrap_or_default();
    if path.split('?').next().unwrap_or_default().contains("//") {
        return Err(UriFault::EmptySegment);
    }
    Ok(())
}

/// What schemes leave open: the same place has one spelling only. Where expressions of a template were
/// left out, a part may begin or end in one.
fn check_scheme(scheme: &str, rest: &str, is_open: bool) -> Result<(), UriFault> {
    let scheme = own_scheme(scheme).to_ascii_lowercase();
    let authority = authority(rest);
    let is_empty = |(_, query): (&str, &str)| query.is_empty();
    if !is_open && rest.split_once('?').is_some_and(is_empty) {
        // Most readers take it for none.
        return Err(UriFault::EmptyQuery);
    }
    check_literal_address(authority.unwrap_or_default(), is_open)?;
    if !is_open {
        check_port(authority.unwrap_or_default())?;
    }
    if scheme == "file" {
        return check_file(rest, authority, is_open);
    }
    let port = match scheme.as_str() {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        "ftp" => "21",
        _ => return Ok(()),
    };
    let authority = authority.unwrap_or_default();
    if !is_open && authority.is_empty() {
        // WHATWG URL §4.4 skips any number of slashes and finds a host, also where there is none.
        return Err(UriFault::NoAuthority);
    }
    let host = authority.trim_end_matches(|c: char| c.is_ascii_digit());
    let (host, given) = match host.strip_suffix(':') {
        Some(name) => (name, authority.get(host.len()..)),
        None => (authority, None),
    };
    let is_default = given.is_some_and(|given| given.trim_start_matches('0') == port);
    // A port that is empty, or begins with zeros, is another spelling too.
    let is_odd = given.is_some_and(|given| given.is_empty() || given.starts_with('0'));
    if authority.contains('@') || host.ends_with('.') || is_default || (is_odd && !is_open) {
        return Err(UriFault::Authority);
    }
    if !is_open && is_number(host) && host.parse::<Ipv4Addr>().is_err() {
        return Err(UriFault::Address);
    }
    let path = rest.get(authority.len() + 2..).unwrap_or_default();
    if !is_open && !path.starts_with('/') {
        // An empty path is `/` (RFC 3986 §6.2.3).
        return Err(UriFault::NoAuthority);
    }
    Ok(())
}

/// A port is digits (RFC 3986 §3.2.3) and a number of 16 bits. Java reads `:+443` and `:-1` as a port, others
/// as part of the host.
fn check_port(authority: &str) -> Result<(), UriFault> {
    let (_, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let after = match place.rsplit_once(']') {
        Some((_, after)) => after,
        None => place
            .find(':')
            .and_then(|at| place.get(at..))
            .unwrap_or_default(),
    };
    match after.strip_prefix(':') {
        None if after.is_empty() => Ok(()),
        Some(port)
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok()) =>
        {
            Ok(())
        }
        _ => Err(UriFault::Authority),
    }
}

/// RFC 8089 §2 and its appendix B: with a host, or with other than three slashes, most servers read the
/// same path; and there is no query, so that most leave it out.
fn check_file(rest: &str, authority: Option<&str>, is_open: bool) -> Result<(), UriFault> {
    if rest.contains('?') {
        return Err(UriFault::FileQuery);
    }
    let is_begun = is_open && (rest.is_empty() || rest.starts_with('/'));
    match authority {
        Some("") if is_open || rest.starts_with("///") => Ok(()),
        None if is_begun => Ok(()),
        _ => Err(UriFault::FileHost),
    }
}

/// True for a host that resolvers read as an IPv4 address, in whatever spelling: its last label is a
/// number (WHATWG URL §3.5).
fn is_number(host: &str) -> bool {
    let label = host.rsplit('.').next().unwrap_or_default();
    let hex = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// What stands in brackets is an IPv6 address in its plain spelling (RFC 5952), and none that is an
/// IPv4 address.
fn check_literal_address(authority: &str, is_open: bool) -> Result<(), UriFault> {
    let host = authority.rsplit('@').next().unwrap_or_default();
    if is_open || !host.contains(['[', ']']) {
        return Ok(());
    }
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.split_once(']'))
        .filter(|(_, port)| port.is_empty() || port.starts_with(':'));
    let is_plain = literal.is_some_and(|(literal, _)| {
        literal.parse::<Ipv6Addr>().is_ok_and(|address| {
            let is_v4 = address
                .to_ipv4()
                .is_some_and(|_| address > Ipv6Addr::LOCALHOST);
            !is_v4 && address.to_string().eq_ignore_ascii_case(literal)
        })
    });
    if is_plain {
        Ok(())
    } else {
        Err(UriFault::Address)
    }
}

/// A host in other than plain characters is one name to a rule and another to the resolver.
fn check_host(rest: &str) -> Result<(), UriFault> {
    let Some(authority) = authority(rest) else {
        return Ok(());
    };
    let mut parts = authority.split('@');
    let host = parts.next_back().unwrap_or_default();
    if parts.count() > 1 || !host.is_ascii() || host.contains('%') {
        return Err(UriFault::Host);
    }
    Ok(())
}

/// What stands between `//` and the path.
fn authority(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix("//")?;
    rest.split(['/', '?', '#']).next()
}

/// Where the part ends whose case does not count, and where the user's name in it begins and ends.
fn folded_part(uri: &str) -> Option<(usize, std::ops::Range<usize>)> {
    let (scheme, rest) = uri.split_once(':')?;
    let colon = scheme.len();
    let Some(authority) = authority(rest) else {
        // RFC 8141 §3.1: of a URN the namespace has no case either.
        let is_urn = own_scheme(scheme).eq_ignore_ascii_case("urn");
        let space = rest.split([':', '/', '?', '#']).next();
        let space = space.filter(|_| is_urn).map_or(0, |space| space.len() + 1);
        let end = (colon + space).min(uri.len());
        return Some((end, colon..colon));
    };
    let start = colon + 3;
    let user = authority.rfind('@').unwrap_or(0);
    Some((start + authority.len(), start..start + user))
}

/// Scheme and host in lower case; what is encoded and need not be, decoded; other triplets in upper
/// case. What stands in braces stays as it is.
fn normal(uri: &str) -> Cow<'_, str> {
    let (end, user) = folded_part(uri).unwrap_or((0, 0..0));
    normal_to(uri, end, &user)
}

/// As [`normal`]; up to `end`, but for the name of the user, case does not count.
fn normal_to<'u>(uri: &'u str, end: usize, user: &std::ops::Range<usize>) -> Cow<'u, str> {
    let head = uri.get(..end).unwrap_or_default();
    if !uri.contains('%') && !head.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(uri);
    }
    let mut text = String::with_capacity(uri.len());
    let mut braced = false;
    let mut chars = uri.char_indices();
    while let Some((at, c)) = chars.next() {
        braced = c == '{' || (braced && c != '}');
        if braced {
            text.push(c);
        } else if c == '%' {
            let encoded = run_of_triplets(uri.get(at..).unwrap_or_default());
            push_triplets(encoded, &mut text);
            for _ in 1..encoded.len() {
                chars.next();
            }
        } else if at < end && !user.contains(&at) {
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// The percent-encoded triplets at the start of `text`, which begins with a percent sign; if it is
/// none, that sign.
fn run_of_triplets(text: &str) -> &str {
    let mut end = 0;
    while let Some([b'%', high, low]) = text.as_bytes().get(end..end + 3) {
        if triplet(Some(*high), Some(*low)).is_none() {
            break;
        }
        end += 3;
    }
    text.get(..end.max(1)).unwrap_or_default()
}

fn push_triplets(encoded: &str, text: &mut String) {
    let mut bytes = Vec::with_capacity(encoded.len() / 3);
    let mut from = encoded.bytes();
    while from.next().is_some() {
        let Some(byte) = triplet(from.next(), from.next()) else {
            text.push_str(encoded);
            return;
        };
        bytes.push(byte);
    }
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') || !c.is_ascii() {
                text.push(c);
            } else {
                push_byte(u32::from(c), text);
            }
        }
        for byte in chunk.invalid() {
            push_byte(u32::from(*byte), text);
        }
    }
}

fn push_byte(byte: u32, text: &mut String) {
    text.push('%');
    for digit in [byte / 16, byte % 16] {
        let digit = char::from_digit(digit, 16).unwrap_or('0');
        text.push(digit.to_ascii_uppercase());
    }
}

/// A glob for URIs in the spelling that it is compared with, or nothing where a letter in upper case
/// may stand for one of the host as well as for one of the path.
pub(crate) fn fold_glob(glob: &str) -> Option<Cow<'_, str>> {
    let wild = glob.find(['*', '?']).unwrap_or(glob.len());
    let (plain, rest) = glob.split_at_checked(wild)?;
    let path_begins = folded_part(plain).is_some_and(|(end, _)| end < plain.len());
    let ends_in_wild = rest.bytes().any(|b| b.is_ascii_uppercase());
    if !path_begins && ends_in_wild {
        return None;
    }
    Some(normal_glob(glob, true))
}

/// As [`normal`], with or without case; a `?` is a wildcard and may be part of the host.
pub(crate) fn normal_glob(glob: &str, folds: bool) -> Cow<'_, str> {
    let masked = glob.replace('?', "\u{1}");
    let normal = if folds {
        normal(&masked)
    } else {
        normal_to(&masked, 0, &(0..0))
    };
    match normal {
        Cow::Borrowed(_) => Cow::Borrowed(glob),
        Cow::Owned(text) => Cow::Owned(text.replace('\u{1}', "?")),
    }
}

/// Why no URI that is looked at can match a glob with these texts between its wildcards.
pub(crate) fn never(glob: &str, parts: &[&str]) -> Option<UriFault> {
    if !glob.contains(['*', '?', '\\']) {
        return check(glob, true).err();
    }
    let start = glob.split(['*', '?', '\\']).next().unwrap_or_default();
    // Up to the colon it is a scheme.
    let scheme = start.split(':').next().unwrap_or_default();
    if !scheme.is_empty() && !is_scheme(scheme) {
        return Some(UriFault::NotAbsolute);
    }
    let lower = |part: &&str| part.to_ascii_lowercase();
    let mut parts = parts.iter().map(lower);
    let is_slash = |part: &String| part.contains("%2f") || part.contains("%5c");
    parts
        .any(|part| is_slash(&part))
        .then_some(UriFault::EncodedSlash)
}

/// From here on no character is in a URI: [`marked`] and patterns use some.
const MARKS_FROM: char = '\u{10ff00}';

/// The character that stands for a letter whose case does not count.
pub(crate) fn mark(letter: char) -> char {
    let lower = u32::from(letter.to_ascii_lowercase());
    char::from_u32(u32::from(MARKS_FROM).saturating_add(lower)).unwrap_or(letter)
}

/// A checked URI with [`mark`]s for the letters of its scheme and host.
pub(crate) fn marked(uri: &str) -> String {
    let (end, user) = folded_part(uri).unwrap_or((0, 0..0));
    let mut braced = false;
    uri.char_indices()
        .map(|(at, c)| {
            braced = c == '{' || (braced && c != '}');
            if c.is_ascii_alphabetic() && at < end && !user.contains(&at) && !braced {
                mark(c)
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
