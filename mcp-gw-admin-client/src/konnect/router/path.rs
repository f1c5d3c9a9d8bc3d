//! Paths of requests.

/// A path as the router compares it: without query, with one slash for several, without `.` and `..`, and with
/// `%XX` decoded where that stands for nothing that has a meaning in a path.
///
/// Bytes that are not UTF-8 stay encoded.
pub fn normalized(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let decoded = decoded(path);
    let mut out: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/') {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                out.pop();
            }
            segment => out.push(segment),
        }
    }
    let mut path = String::with_capacity(decoded.len() + 1);
    for segment in &out {
        path.push('/');
        path.push_str(segment);
    }
    if ends_open || path.is_empty() {
        path.push('/');
    }
    path
}

/// These have a meaning of their own in an address: encoded ones stay encoded.
const RESERVED: &[u8] = b"!*'();:@&=+$,/?%#[]";

fn decoded(path: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, pair(bytes.get(at + 1), bytes.get(at + 2))) {
            (b'%', Some(code)) if RESERVED.contains(&code) => {
                out.extend(format!("%{code:02X}").bytes());
                at += 3;
            }
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => text,
        // What is no text is compared as it was sent.
        Err(_) => path.to_owned(),
    }
}

fn pair(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// What is sent on of a path of which the first `length` bytes matched.
pub(super) fn forwarded(path: &str, length: usize, strip: bool) -> String {
    if !strip {
        return path.to_owned();
    }
    let rest = path.get(length..).unwrap_or_default();
    if rest.starts_with('/') {
        return rest.to_owned();
    }
    format!("/{rest}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_compared_in_one_form() {
        for (path, form) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/%61%2fb%2F", "/a%2Fb%2F"),
            ("/%2e%2e/a", "/a"),
            ("/caf%C3%A9%20", "/café "),
            ("/%ff/%61", "/%ff/%61"),
            ("/%zz%", "/%zz%"),
            ("/a?b=/c/../..", "/a"),
            ("a", "/a"),
        ] {
            assert_eq!(normalized(path), form, "{path}");
        }
        assert_eq!(forwarded("/api/users", 4, true), "/users");
        assert_eq!(forwarded("/apix", 4, true), "/x");
        assert_eq!(forwarded("/api", 4, true), "/");
        assert_eq!(forwarded("/api", 4, false), "/api");
    }

    proptest! {
        #[test]
        fn a_path_has_one_form(path in "(/|\\.|%2[eEfF5]|%61|%c3|[a-c?]|é){0,24}") {
            let form = normalized(&path);
            prop_assert!(form.starts_with('/') && !form.contains("//"));
            prop_assert!(!form.split('/').any(|s| s == "." || s == ".."));
        }
    }
}
