//! URI templates (RFC 6570), read backwards: could this URI be an expansion of that template?
//!
//! It decides where a URI is read and nothing else, so it is generous where clients are known to be
//! sloppy: a value may hold characters that should have been percent-encoded, as long as they
//! cannot be mistaken for the structure of a URI.

/// A template with more expressions than this matches nothing.
const MOST_EXPRESSIONS: usize = 32;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UriTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text that stands there as it is.
    Literal(Box<str>),
    /// An expression: nothing, or its first character (if it has one) and a run of others.
    Run {
        first: Option<u8>,
        /// Characters that end the run.
        stops: &'static [u8],
    },
}

impl UriTemplate {
    /// Takes a template apart; `None` when it is not one, or too long to be matched.
    pub(crate) fn parse(template: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, tail)) = rest.split_once('{') {
            push_literal(&mut parts, literal)?;
            let (expression, tail) = tail.split_once('}')?;
            parts.push(expression_part(expression)?);
            rest = tail;
        }
        push_literal(&mut parts, rest)?;
        let expressions = parts.iter().filter(|part| matches!(part, Part::Run { .. }));
        (expressions.count() <= MOST_EXPRESSIONS).then_some(Self(parts))
    }

    /// True when `uri` may be an expansion. Takes time in the product of the two lengths at most,
    /// whatever they hold.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        let uri = uri.as_bytes();
        // All places that a prefix of the template can lead to, in their order.
        let mut places = vec![0_usize];
        for part in &self.0 {
            places = match part {
                Part::Literal(text) => after_literal(&places, uri, text.as_bytes()),
                Part::Run { first, stops } => after_run(&places, uri, *first, stops),
            };
            if places.is_empty() {
                return false;
            }
        }
        places.last() == Some(&uri.len())
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) -> Option<()> {
    if text.contains('}') {
        return None;
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
    Some(())
}

/// An expression without its braces (RFC 6570 §2.2): an operator, and variables with a modifier.
fn expression_part(expression: &str) -> Option<Part> {
    let operator = expression.bytes().next()?;
    let (operator, names) = match operator {
        b'+' | b'#' | b'.' | b'/' | b';' | b'?' | b'&' => (operator, expression.get(1..)?),
        _ => (0, expression),
    };
    let mut several = false;
    for (index, name) in names.split(',').enumerate() {
        let (name, exploded) = match name.strip_suffix('*') {
            Some(name) => (name, true),
            None => (name.split_once(':').map_or(name, |(name, _)| name), false),
        };
        several |= exploded || index > 0;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'%');
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
    }
    let (first, stops): (_, &'static [u8]) = match operator {
        b'+' => (None, b""),
        b'#' => (Some(b'#'), b""),
        b'/' if several => (Some(b'/'), b"?#"),
        b'?' | b'&' => (Some(operator), b"#"),
        0 => (None, b"/?#"),
        other => (Some(other), b"/?#"),
    };
    Some(Part::Run { first, stops })
}

fn after_literal(places: &[usize], uri: &[u8], literal: &[u8]) -> Vec<usize> {
    places
        .iter()
        .filter(|&&at| uri.get(at..).is_some_and(|rest| rest.starts_with(literal)))
        .map(|at| at + literal.len())
        .collect()
}

fn after_run(places: &[usize], uri: &[u8], first: Option<u8>, stops: &[u8]) -> Vec<usize> {
    let mut after: Vec<usize> = Vec::new();
    // How far the runs that began so far have come: each place is visited once.
    let mut reached = None;
    for &at in places {
        let begin = match first {
            None => Some(at),
            Some(byte) => (uri.get(at) == Some(&byte)).then_some(at + 1),
        };
        push_sorted(&mut after, at);
        let Some(begin) = begin else { continue };
        let mut end = reached.filter(|&reached| reached >= begin).unwrap_or(begin);
        push_sorted(&mut after, end);
        while let Some(byte) = uri.get(end)
            && !stops.contains(byte)
        {
            end += 1;
            push_sorted(&mut after, end);
        }
        reached = Some(end);
    }
    after
}

/// Adds a place, in order and once.
fn push_sorted(places: &mut Vec<usize>, at: usize) {
    match places.last() {
        Some(&last) if last == at => {}
        Some(&last) if last > at => {
            if let Err(index) = places.binary_search(&at) {
                places.insert(index, at);
            }
        }
        _ => places.push(at),
    }
}

/// True when `uri` is written as RFC 3986 §6.2.2 would have it, as far as that is the same for all
/// schemes: no segment `.` or `..` in the path, nothing percent-encoded that need not be, the scheme
/// in lower case. What is not may mean to its server what a rule knows by another text.
pub(crate) fn is_normal(uri: &str) -> bool {
    let scheme = uri.split([':', '/', '?', '#']).next().unwrap_or_default();
    let is_lower = scheme.len() == uri.len() || !scheme.bytes().any(|b| b.is_ascii_uppercase());
    is_lower && !has_needless_escape(uri) && !has_dot_segment(uri)
}

/// True for an escape of a letter, digit, `-`, `.`, `_` or `~`.
fn has_needless_escape(uri: &str) -> bool {
    uri.split('%').skip(1).any(|rest| {
        let byte = rest
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    })
}

/// True when the path has a segment `.` or `..`. An escaped slash counts as one: some servers take
/// it for one.
fn has_dot_segment(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let path = path
        .to_ascii_lowercase()
        .replace("%2f", "/")
        .replace("%5c", "/");
    path.split(['/', '\\'])
        .any(|segment| matches!(segment, "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(template: &str, uri: &str) -> bool {
        UriTemplate::parse(template).is_some_and(|template| template.matches(uri))
    }

    #[test]
    fn expansions_of_rfc_6570_match() {
        // Expansions from §3.2 of the RFC.
        for (template, uri) in [
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{x,y}", "1024,768"),
            ("{x,hello,y}", "1024,Hello%20World%21,768"),
            ("?{x,empty}", "?1024,"),
            ("{var:3}", "val"),
            ("{list*}", "red,green,blue"),
            ("{+path}/here", "/foo/bar/here"),
            ("here?ref={+path}", "here?ref=/foo/bar"),
            ("{#x,hello,y}", "#1024,Hello%20World!,768"),
            ("X{#empty}", "X#"),
            ("X{.var}", "X.value"),
            ("X{.x,y}", "X.1024.768"),
            ("{/var}", "/value"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{/list*}", "/red/green/blue"),
            ("{;x,y}", ";x=1024;y=768"),
            ("{?x,y}", "?x=1024&y=768"),
            ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
            ("{?undef}", ""),
            ("test://template/{id}/data", "test://template/7/data"),
        ] {
            assert!(matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn what_is_no_expansion_does_not_match() {
        for (template, uri) in [
            ("file:///docs/{name}", "file:///docs/a/b"),
            ("file:///docs/{name}", "file:///docs/a?b"),
            ("file:///docs/{name}", "file:///other/a"),
            ("file:///docs/{name}", "file:///docs"),
            ("a{/x}", "a/b/c"),
            ("a{?x}", "a?x=1#f"),
            ("a{?x}", "ab"),
            ("{x}.json", "a.json.txt"),
            ("plain", "plainer"),
            ("", "a"),
        ] {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn what_is_no_template_matches_nothing() {
        for template in ["{", "a}b", "{}", "{a b}", "{a{b}}", "{|x}", "{=x}", "{a,}"] {
            assert_eq!(UriTemplate::parse(template), None, "{template}");
        }
        assert_eq!(UriTemplate::parse(&"{a}".repeat(33)), None);
    }

    #[test]
    fn a_hostile_template_takes_no_time() {
        let template = UriTemplate::parse(&"{+a}b".repeat(32)).unwrap();
        assert!(!template.matches(&"b".repeat(8 * 1024).replace("bbbbbbbb", "aaaaaaac")));
        assert!(template.matches(&"b".repeat(8 * 1024)));
    }

    #[test]
    fn what_could_be_written_otherwise_is_not_normal() {
        for uri in [
            "file:///a/../b",
            "file:///a/..",
            "file:///a/./b",
            "file:///a/%2e%2E/b",
            "file:///a/..%2fb",
            "file:///a%5C..%5cb",
            "file:///a\\..\\b",
            "file:///%73ecret",
            "file:///a%7Eb",
            "FILE:///a",
            "File:a",
        ] {
            assert!(!is_normal(uri), "{uri}");
        }
        for uri in [
            "file:///a/..b",
            "file:///a?x=/../",
            "file:///a.b/c",
            "urn:a:.b",
            "file:///a%20b%2Fc",
            "x://Host/Path%",
            "x:%zz%e4",
            "NoScheme",
            "",
        ] {
            assert!(is_normal(uri), "{uri}");
        }
    }

    /// The same by its definition, for short texts.
    fn naive(parts: &[Part], uri: &[u8]) -> bool {
        let Some((part, parts)) = parts.split_first() else {
            return uri.is_empty();
        };
        match part {
            Part::Literal(text) => uri
                .strip_prefix(text.as_bytes())
                .is_some_and(|rest| naive(parts, rest)),
            Part::Run { first, stops } => {
                if naive(parts, uri) {
                    return true;
                }
                let rest = match first {
                    None => uri,
                    Some(byte) => match uri.strip_prefix(&[*byte]) {
                        Some(rest) => rest,
                        None => return false,
                    },
                };
                let longest = rest.iter().take_while(|b| !stops.contains(b)).count();
                (0..=longest).any(|n| naive(parts, &rest[n..]))
            }
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_its_definition_says(
            template in r"([ab/?]|\{[+#./;?&]?x\*?\}){0,6}",
            uri in "[ab/?#.;&]{0,8}",
        ) {
            let template = UriTemplate::parse(&template).unwrap();
            prop_assert_eq!(template.matches(&uri), naive(&template.0, uri.as_bytes()));
        }

        #[test]
        fn any_text_is_read_without_a_panic(template in "\\PC{0,40}", uri in "\\PC{0,40}") {
            let _ = matches(&template, &uri);
            let _ = is_normal(&uri);
        }
    }
}
