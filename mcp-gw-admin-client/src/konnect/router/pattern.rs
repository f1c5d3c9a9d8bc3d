//! Regular expressions of routes: compiled only where they may match, within bounds, and once.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, literal::Extractor};

/// The longest pattern that is looked at, in bytes.
const LONGEST: usize = 4096;
/// What one compiled pattern may take.
const SIZE: usize = 256 * 1024;
/// How many bytes of patterns are parsed for one question; those with classes of Unicode are much more work.
const MOST_PARSED: usize = 4 << 20;
const UNICODE: usize = 16;
/// How many patterns are compiled for one question, and how many bytes they may have together.
const MOST: usize = 2_000;
const MOST_TEXT: usize = 256 * 1024;

/// The patterns of one question.
#[derive(Default)]
pub(super) struct Patterns {
    seen: HashMap<String, Result<Option<Hit>, Fault>>,
    parsed: usize,
    compiled: usize,
    text: usize,
}

/// What a pattern found at the beginning of the path.
#[derive(Clone)]
pub(super) struct Hit {
    pub(super) length: usize,
    pub(super) captures: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be compiled; why.
    Syntax(String),
    /// It was not tried.
    Room,
}

impl Patterns {
    /// Matches a pattern against the beginning of a path.
    pub(super) fn find(&mut self, pattern: &str, path: &str) -> Result<Option<Hit>, Fault> {
        if let Some(known) = self.seen.get(pattern) {
            return known.clone();
        }
        let found = self.ask(pattern, path);
        self.seen.insert(pattern.to_owned(), found.clone());
        found
    }

    fn ask(&mut self, pattern: &str, path: &str) -> Result<Option<Hit>, Fault> {
        if pattern.len() > LONGEST {
            return Err(Fault::Syntax(format!("is longer than {LONGEST} bytes")));
        }
        let (hir, is_unicode) = self.parse(pattern)?;
        if !may_match(&hir, path.as_bytes()) {
            return Ok(None);
        }
        self.compiled += 1;
        self.text += pattern.len();
        if self.compiled > MOST || self.text > MOST_TEXT {
            return Err(Fault::Room);
        }
        let regex = RegexBuilder::new(pattern)
            .unicode(is_unicode)
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .build()
            .map_err(|error| Fault::Syntax(last_line(&error.to_string())))?;
        Ok(hit(&regex, path))
    }

    /// As PCRE reads it: bytes, and only where the pattern asks for it characters.
    fn parse(&mut self, pattern: &str) -> Result<(Hir, bool), Fault> {
        self.reserve(pattern.len())?;
        if let Ok(hir) = parse(pattern, false) {
            return Ok((hir, false));
        }
        self.reserve(pattern.len() * UNICODE)?;
        parse(pattern, true).map(|hir| (hir, true))
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), Fault> {
        self.parsed += bytes;
        if self.parsed > MOST_PARSED {
            return Err(Fault::Room);
        }
        Ok(())
    }
}

fn parse(pattern: &str, is_unicode: bool) -> Result<Hir, Fault> {
    regex_syntax::ParserBuilder::new()
        .unicode(is_unicode)
        .utf8(false)
        .nest_limit(64)
        .build()
        .parse(pattern)
        .map_err(|error| Fault::Syntax(last_line(&error.to_string())))
}

/// Whether the path begins with something that the pattern can begin with.
fn may_match(hir: &Hir, path: &[u8]) -> bool {
    let prefixes = Extractor::new().extract(hir);
    prefixes
        .literals()
        .is_none_or(|all| all.iter().any(|one| path.starts_with(one.as_bytes())))
}

fn hit(regex: &Regex, path: &str) -> Option<Hit> {
    // The leftmost match is the one at the beginning where there is one.
    let captures = regex.captures(path.as_bytes())?;
    let whole = captures.get(0).filter(|whole| whole.start() == 0)?;
    let named = regex.capture_names().flatten().filter_map(|name| {
        let found = captures.name(name)?;
        let text = String::from_utf8_lossy(found.as_bytes());
        Some((name.to_owned(), text.into_owned()))
    });
    Some(Hit {
        length: whole.end(),
        captures: named.collect(),
    })
}

/// The last line says what is wrong; those before draw the pattern.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    crate::konnect::text::tame(line, 160)
}
