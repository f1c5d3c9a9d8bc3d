//! Query parameters: written by us, and never those of a credential (E-11).

use std::fmt::Write as _;

/// One more parameter behind those in `query`, encoded.
pub(crate) fn append(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    encode(query, name);
    query.push('=');
    encode(query, value);
}

/// A form (`application/x-www-form-urlencoded`), or a query, of these pairs.
pub fn form<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        append(&mut out, name, value);
    }
    out
}

/// Everything but the unreserved characters (RFC 3986 §2.3) is percent-encoded.
pub(crate) fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// True when a parameter of this query is one that servers may take for `name`.
pub(crate) fn has(query: &str, name: &str) -> bool {
    let name = alike(name);
    query
        .split(['&', ';'])
        .any(|pair| alike(&decoded(key(pair))) == name)
}

/// The query without the parameters of this name.
pub(crate) fn without(query: &str, name: &str) -> String {
    let name = alike(name);
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| alike(&decoded(key(pair))) != name)
        .collect();
    rest.join("&")
}

fn key(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let mut ahead = bytes.clone();
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (digit(ahead.next()), digit(ahead.next())) {
                (Some(high), Some(low)) => {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                    bytes = ahead;
                }
                _ => out.push(b'%'),
            },
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What servers make of a name: some fold case, some have `[]` for lists, and some (PHP) an underscore for
/// blanks and dots.
pub(crate) fn alike(name: &str) -> String {
    let name = name.trim().split('[').next().unwrap_or_default();
    let name = name.trim_end_matches('\0');
    name.to_ascii_lowercase().replace(['.', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_has_a_meaning_is_encoded() {
        let mut query = String::from("a=1");
        append(&mut query, "b&c", "d=e #\r\né+/?%[]\0");
        assert_eq!(
            query,
            "a=1&b%26c=d%3De%20%23%0D%0A%C3%A9%2B%2F%3F%25%5B%5D%00"
        );
    }

    #[test]
    fn a_name_is_known_in_every_spelling() {
        for query in [
            "appid=1",
            "x=1&appid",
            "x=1;appid=2",
            "%61ppid=1",
            "APPID=1",
            "appid[]=1",
            "appid%5B0%5D=1",
            "+appid=1",
            "appid%00=1",
        ] {
            assert!(has(query, "appid"), "{query}");
        }
        assert!(has("api.key=1", "api_key") && has("api%20key=1", "api_key"));
        for query in ["", "appids=1", "x=appid", "q=a%26appid=1", "my_appid=1"] {
            assert!(!has(query, "appid"), "{query}");
        }
        assert_eq!(without("a=1&appid=2&b&%61ppid=3", "appid"), "a=1&b");
    }
}
