//! The path of an operation: text and places for values, segment by segment.

use super::text::{percent_decode, percent_encode, push_triplet};

/// A path with places for values, such as `/pets/{petId}`. No value adds a segment or takes one away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Vec<Piece>>,
    /// A query that stands in the path, already encoded; empty if there is none.
    pub(super) query: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(String),
}

/// Why a request cannot have this path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathFault {
    /// The value of this place makes its segment one that stands for another.
    Dots(String),
    /// The value of this place leaves nothing of its segment.
    Empty(String),
    /// Nothing is known for this place.
    Missing(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the path is longer than {MAX_LENGTH} bytes"));
        }
        if text.contains('#') {
            return Err("the path has a `#`: nothing behind it is ever sent".to_owned());
        }
        if !text.starts_with('/') {
            return Err("the path does not begin with `/`".to_owned());
        }
        let (path, query) = split_query(text);
        if query.contains(['{', '}']) {
            return Err("the path has places for values in its query".to_owned());
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<Vec<Piece>> = split_segments(path)
            .into_iter()
            .map(pieces)
            .collect::<Result<_, _>>()?;
        if let [first, _, ..] = segments.as_slice()
            && matches!(first.as_slice(), [Piece::Text(text)] if text.is_empty())
        {
            return Err("the path begins with more than one `/`".to_owned());
        }
        for segment in &segments {
            if let [Piece::Text(text)] = segment.as_slice()
                && is_dots(text)
            {
                return Err("the path has a segment `.` or `..`".to_owned());
            }
        }
        Ok(Self {
            segments,
            query: literal(query, QUERY)?,
        })
    }

    /// The names of its places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.segments
            .iter()
            .flatten()
            .filter_map(|piece| match piece {
                Piece::Place(name) => Some(name.as_str()),
                Piece::Text(_) => None,
            })
    }

    /// True when something follows the segment that is this place and nothing else.
    pub(super) fn is_alone_before_more(&self, name: &str) -> bool {
        let is_it = |segment: &Vec<Piece>| matches!(segment.as_slice(), [Piece::Place(place)] if place == name);
        let before_last = self.segments.split_last().map(|(_, before)| before);
        before_last.unwrap_or_default().iter().any(is_it)
    }

    /// Gives its places other names: those of the parameters that are for them.
    pub(super) fn rename(&mut self, rename: impl Fn(&str) -> Option<String>) {
        for piece in self.segments.iter_mut().flatten() {
            if let Piece::Place(name) = piece
                && let Some(other) = rename(name)
            {
                *name = other;
            }
        }
    }

    /// The path with these values, which are encoded already.
    ///
    /// # Errors
    /// When a value is missing, or would leave its segment empty or made of dots.
    pub(super) fn expand<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<String, PathFault> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            let start = path.len();
            let mut last = None;
            for piece in segment {
                match piece {
                    Piece::Text(text) => path.push_str(text),
                    Piece::Place(name) => {
                        let value = value(name).ok_or_else(|| PathFault::Missing(name.clone()))?;
                        path.push_str(value);
                        last = Some(name);
                    }
                }
            }
            let Some(name) = last else { continue };
            let made = path.get(start..).unwrap_or_default();
            // What stands before a path parameter (`;x=1`) is the segment for those who know these.
            let plain = made.split(';').next().unwrap_or_default();
            if made.is_empty() {
                return Err(PathFault::Empty(name.clone()));
            }
            if is_dots(plain) {
                return Err(PathFault::Dots(name.clone()));
            }
        }
        Ok(path)
    }
}

fn split_query(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth = depth.saturating_add(1),
            b'}' => depth = depth.saturating_sub(1),
            b'?' if depth == 0 => {
                let (path, query) = text.split_at_checked(at).unwrap_or((text, ""));
                return (path, query.strip_prefix('?').unwrap_or(query));
            }
            _ => {}
        }
    }
    (text, "")
}

/// Splits at each `/` that is not in braces.
fn split_segments(path: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    path.split(|c| {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '/' && depth == 0
    })
    .collect()
}

fn pieces(segment: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else {
            return Err("the path has a `{` without its `}`".to_owned());
        };
        if name.is_empty() || name.contains(['{', '/', '?']) {
            return Err("the path has a place without a plain name".to_owned());
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(literal(before, PATH)?));
        }
        pieces.push(Piece::Place(name.to_owned()));
        rest = tail;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal(rest, PATH)?));
    }
    Ok(pieces)
}

/// Text as it goes on the wire: what may not stand there is encoded, triplets stay.
fn literal(text: &str, keep: &[u8]) -> Result<String, String> {
    if text.contains(['\\', '}']) || text.chars().any(char::is_control) {
        return Err("the path has a backslash, a lonely `}` or a control character".to_owned());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        percent_encode(&mut out, before, keep);
        let is_triplet = after
            .get(..2)
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if is_triplet {
            out.push('%');
        } else {
            push_triplet(&mut out, b'%');
        }
        rest = after;
    }
    percent_encode(&mut out, rest, keep);
    Ok(out)
}

fn is_dots(segment: &str) -> bool {
    matches!(percent_decode(segment).as_slice(), b"." | b"..")
}

/// What may stand in a segment besides unreserved characters (RFC 3986 §3.3).
const PATH: &[u8] = b"!$&'()*+,;=:@";

/// What may stand in a query besides unreserved characters (RFC 3986 §3.4).
const QUERY: &[u8] = b"!$&'()*+,;=:@/?";

/// The longest path.
const MAX_LENGTH: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_their_places() {
        let template = Template::parse("/a b/{x}.{y}/c:{x}?k=v w").unwrap();
        assert_eq!(template.places().collect::<Vec<_>>(), ["x", "y", "x"]);
        let value = |name: &str| Some(if name == "x" { "1" } else { "2" });
        assert_eq!(template.expand(value).unwrap(), "/a%20b/1.2/c:1");
        assert_eq!(template.query, "k=v%20w");
        assert_eq!(Template::parse("/").unwrap().expand(|_| None).unwrap(), "/");
        assert_eq!(
            Template::parse("/a/").unwrap().expand(|_| None).unwrap(),
            "/a/"
        );
    }

    #[test]
    fn a_segment_stays_a_segment() {
        for (template, value, fault) in [
            ("/a/{x}", "..", PathFault::Dots("x".into())),
            ("/a/{x}", ".", PathFault::Dots("x".into())),
            ("/a/{x}", "%2E%2e", PathFault::Dots("x".into())),
            ("/a/.{x}", ".", PathFault::Dots("x".into())),
            ("/a/.{x}/b", "", PathFault::Dots("x".into())),
            ("/a/{x}", "..;m=1", PathFault::Dots("x".into())),
            ("/a/{x}", "", PathFault::Empty("x".into())),
        ] {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.expand(|_| Some(value)), Err(fault), "{value}");
        }
        let template = Template::parse("/a/{x}").unwrap();
        assert_eq!(template.expand(|_| Some("...")).unwrap(), "/a/...");
        assert_eq!(
            template.expand(|_| None),
            Err(PathFault::Missing("x".into()))
        );
    }

    #[test]
    fn templates_that_mean_nothing_are_refused() {
        for text in [
            "",
            "a",
            "/a#b",
            "/{",
            "/{}",
            "/{a{b}}",
            "/}",
            "/a/../b",
            "/%2e%2e/a",
            "/a?b={c}",
            "//evil.example/x",
            "//",
            "/a\\b",
            "/a\u{0}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
