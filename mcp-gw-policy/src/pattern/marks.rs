//! Patterns for URIs in which letters in upper case may stand for letters of the scheme or the host,
//! whose case does not count (P-7), as well as for letters of the path, whose case does.
//!
//! The letters of scheme and host are replaced by marks before such a pattern is compared, and each
//! letter of the pattern matches its mark as well as itself. Of a class that leaves letters out (`[^X]`) the
//! effect of the rule tells: to take away it matches a mark if it has the letter in either case, to allow
//! only if it has both.

use regex_syntax::hir::{
    Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Literal, Repetition,
};

use crate::uri::mark;

/// True when something in it matches a letter in upper case and not the same one in lower case, or leaves
/// it out in upper case only.
pub(super) fn has_case(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(Literal(text)) => text.iter().any(u8::is_ascii_uppercase),
        HirKind::Class(class) => {
            let class = unicode(class);
            class.is_none_or(|class| {
                let has = |c| contains(&class, c);
                let is_open = leaves_out(&class);
                ('A'..='Z').any(|c| {
                    let lower = has(c.to_ascii_lowercase());
                    (has(c) && !lower) || (is_open && lower && !has(c))
                })
            })
        }
        HirKind::Repetition(inner) => has_case(&inner.sub),
        HirKind::Capture(inner) => has_case(&inner.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_case),
        HirKind::Empty | HirKind::Look(_) => false,
    }
}

/// The same for texts with marks; nothing when it looks at borders of words, for marks make none.
pub(super) fn of(hir: Hir, to_allow: bool) -> Option<String> {
    Some(with_marks(hir, to_allow)?.to_string())
}

fn with_marks(hir: Hir, to_allow: bool) -> Option<Hir> {
    let one = |hir: Hir| with_marks(hir, to_allow);
    let all = |parts: Vec<Hir>| parts.into_iter().map(one).collect::<Option<Vec<_>>>();
    Some(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) if is_word(look) => return None,
        HirKind::Look(look) => Hir::look(look),
        HirKind::Literal(Literal(bytes)) => {
            let text = std::str::from_utf8(&bytes).ok()?;
            Hir::concat(text.chars().map(letter).collect())
        }
        HirKind::Class(class) => {
            let mut class = unicode(&class)?;
            let marks = [ClassUnicodeRange::new(mark('a'), mark('z'))];
            let needs_both = to_allow && leaves_out(&class);
            class.difference(&ClassUnicode::new(marks));
            for c in 'a'..='z' {
                let (lower, upper) = (
                    contains(&class, c),
                    contains(&class, c.to_ascii_uppercase()),
                );
                if (lower && upper) || (!needs_both && (lower || upper)) {
                    class.push(ClassUnicodeRange::new(mark(c), mark(c)));
                }
            }
            Hir::class(Class::Unicode(class))
        }
        HirKind::Repetition(inner) => Hir::repetition(Repetition {
            sub: Box::new(one(*inner.sub)?),
            ..inner
        }),
        HirKind::Capture(inner) => Hir::capture(Capture {
            sub: Box::new(one(*inner.sub)?),
            ..inner
        }),
        HirKind::Concat(parts) => Hir::concat(all(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)?),
    })
}

/// A character as it is, or as its mark.
fn letter(c: char) -> Hir {
    let own = ClassUnicodeRange::new(c, c);
    let mut class = ClassUnicode::new([own]);
    if c.is_ascii_alphabetic() {
        class.push(ClassUnicodeRange::new(mark(c), mark(c)));
    }
    Hir::class(Class::Unicode(class))
}

fn is_word(look: regex_syntax::hir::Look) -> bool {
    use regex_syntax::hir::Look;
    !matches!(
        look,
        Look::Start | Look::End | Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF
    )
}

/// True when it is written as what it is not: it has the last of all characters.
fn leaves_out(class: &ClassUnicode) -> bool {
    contains(class, char::MAX)
}

fn unicode(class: &Class) -> Option<ClassUnicode> {
    match class {
        Class::Unicode(class) => Some(class.clone()),
        Class::Bytes(class) => class.to_unicode_class(),
    }
}

fn contains(class: &ClassUnicode, c: char) -> bool {
    let mut ranges = class.iter();
    ranges.any(|range| (range.start()..=range.end()).contains(&c))
}

/// A glob as a regular expression for the same names.
pub(super) fn of_glob(glob: &str) -> String {
    let mut regex = String::from("(?s)");
    let mut chars = glob.chars();
    while let Some(next) = chars.next() {
        match next {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '\\' => regex.extend(
                chars
                    .next()
                    .map(|c| regex_syntax::escape(c.encode_utf8(&mut [0; 4]))),
            ),
            other => regex.push_str(&regex_syntax::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}
