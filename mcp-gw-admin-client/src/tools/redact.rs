//! Secrets in what an API answers are not shown to a model that did not ask for them.
//!
//! Twice over the text, from front to back: once to see what is beside what, once to write. What nests deeper than
//! [`DEEPEST`] is cut, so that neither this nor a reader after it can be made to run out of stack.

mod names;
mod sent;
mod text;
mod words;

use std::borrow::Cow;
use std::collections::HashSet;

use mcp_gw_core::RawJson;

use crate::tools::lexer::{Lexer, decoded, is_broken};
pub(crate) use names::Place;
use names::{Beside, Heirs, Path};
pub(crate) use sent::{said_twice, unsendable};
pub(crate) use text::{is_secret_header, without_secrets};

/// What stands in the place of a secret. A body that holds it is not sent: it would overwrite the secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// More levels than that are cut: with what is put around a body, most readers stop at 128.
const DEEPEST: usize = 96;

/// What stands in the place of what nests too deep.
const TOO_DEEP: &str = "[cut: nested too deep]";

/// A value as it may be shown.
#[derive(Debug, Default)]
pub(crate) struct Clean {
    pub(crate) raw: RawJson,
    /// How many secrets were taken out.
    pub(crate) redacted: usize,
    /// What else was done to it, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// The value without secrets, unless they are wanted. What needs no change stays as it is, byte for byte.
///
/// What is shown is read by every reader of JSON, also by those that are strict.
pub(crate) fn clean(raw: &RawJson, place: &Place, with_secrets: bool) -> Clean {
    let mut survey = Survey::default();
    survey.value(&mut Lexer::new(raw), 0);
    let mut walk = Walk::new(raw, place, &mut survey);
    walk.with_secrets = with_secrets;
    walk.value(Heirs::default(), 0);
    let (redacted, is_mended) = (walk.count, walk.is_mended);
    let mut remarks = Vec::new();
    let mut shown = walk.finish().unwrap_or_else(|| raw.clone());
    if survey.is_deep {
        remarks.push(format!(
            "What nests deeper than {DEEPEST} levels was cut, and cannot be shown."
        ));
    }
    if is_mended {
        remarks.push(
            "It holds what many readers refuse: halves of characters are shown as U+FFFD, and numbers beyond 1.8e308 as \
             texts. Do not write it back."
                .to_owned(),
        );
    }
    if let Some(name) = survey.twice {
        shown = RawJson::string(shown.as_str());
        let name = crate::http::one_line(&name, 64);
        remarks.push(format!(
            "An object in it has the member {name:?} twice, which readers understand differently: it is shown as text."
        ));
    }
    Clean {
        raw: shown,
        redacted,
        remarks,
    }
}

/// JSON in a text without secrets, and how many there were; `None` when there were none.
fn clean_within(raw: &RawJson, place: &Place, levels: usize) -> Option<(RawJson, usize)> {
    let mut survey = Survey::default();
    survey.value(&mut Lexer::new(raw), 0);
    let mut walk = Walk::new(raw, place, &mut survey);
    walk.levels = levels;
    walk.value(Heirs::default(), 0);
    let count = walk.count;
    // What nests too deep was not looked at, and is cut.
    walk.finish().map(|shown| (shown, count))
}

/// So often JSON in a text, that is in JSON in a text, is read as JSON.
const LEVELS: usize = 3;

/// What has to be known of an object before its first member is judged.
#[derive(Default)]
struct Survey {
    /// In the order in which they begin.
    objects: Vec<Beside>,
    is_deep: bool,
    /// A name that an object has twice.
    twice: Option<String>,
}

impl Survey {
    fn value(&mut self, lexer: &mut Lexer<'_>, depth: usize) {
        match lexer.peek() {
            Some(b'{' | b'[') if depth >= DEEPEST => {
                self.is_deep = true;
                lexer.skip();
            }
            Some(b'{') => self.object(lexer, depth),
            Some(b'[') => {
                lexer.take(b'[');
                while !lexer.take(b']') && lexer.peek().is_some() {
                    self.value(lexer, depth + 1);
                    lexer.take(b',');
                }
            }
            _ => {
                lexer.scalar();
            }
        }
    }

    fn object(&mut self, lexer: &mut Lexer<'_>, depth: usize) {
        lexer.take(b'{');
        let at = self.objects.len();
        self.objects.push(Beside::default());
        let mut beside = Beside::default();
        let mut names = Names::default();
        while lexer.peek() == Some(b'"') {
            let name = lexer.name();
            beside.add(&name);
            if Beside::is_name(&name) && lexer.peek() == Some(b'"') {
                beside.add_name(&name, &decoded(lexer.clone().scalar()));
            }
            if self.twice.is_none() && names.has(&name) {
                self.twice = Some(name.to_string());
            }
            names.add(name);
            self.value(lexer, depth + 1);
            lexer.take(b',');
        }
        lexer.take(b'}');
        if let Some(known) = self.objects.get_mut(at) {
            *known = beside;
        }
    }
}

/// The names of an object so far: few are compared one by one, many must not cost the square of their number.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn has(&self, name: &str) -> bool {
        self.few.iter().any(|known| known == name) || self.many.contains(name)
    }

    fn add(&mut self, name: Cow<'a, str>) {
        if self.few.len() < 24 {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
    }
}

/// Writes a value with other texts in the place of some.
struct Walk<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    objects: std::vec::IntoIter<Beside>,
    path: Path<'a>,
    with_secrets: bool,
    /// So often JSON in a text may be in another one.
    levels: usize,
    out: Vec<u8>,
    /// How much of the text is in `out`, or replaced.
    copied: usize,
    count: usize,
    /// Something is there that not every reader can read.
    is_mended: bool,
}

/// The variable in a condition, and where its value is: `["arg_token", "==", "x"]`, `["arg_token", "!", "==", "x"]`.
fn compared(mut lexer: Lexer<'_>) -> Option<(String, usize)> {
    lexer.take(b'[');
    let mut text = || {
        (lexer.peek() == Some(b'"')).then(|| {
            let text = decoded(lexer.scalar());
            lexer.take(b',');
            text
        })
    };
    let (variable, mut operator, mut at) = (text()?, text()?, 2);
    if operator == "!" {
        (operator, at) = (text()?, 3);
    }
    let is_operator = matches!(
        &*operator,
        "==" | "~=" | "~~" | "~*" | "in" | "has" | "IN" | "HAS"
    );
    is_operator.then(|| (variable.into_owned(), at))
}

impl<'a> Walk<'a> {
    fn new(raw: &'a RawJson, place: &Place, survey: &mut Survey) -> Self {
        Self {
            text: raw.as_bytes(),
            lexer: Lexer::new(raw),
            objects: std::mem::take(&mut survey.objects).into_iter(),
            path: place.path(),
            with_secrets: false,
            levels: LEVELS,
            out: Vec::new(),
            copied: 0,
            count: 0,
            is_mended: false,
        }
    }

    fn value(&mut self, heirs: Heirs, depth: usize) {
        match self.lexer.peek() {
            Some(b'{' | b'[') if depth >= DEEPEST => {
                let start = self.lexer.position();
                self.lexer.skip();
                self.replace(start, TOO_DEEP);
            }
            Some(b'{') => self.object(heirs, depth),
            Some(b'[') => self.list(heirs, depth),
            _ => self.scalar(heirs),
        }
    }

    fn list(&mut self, heirs: Heirs, depth: usize) {
        let mut compared = compared(self.lexer.clone());
        self.lexer.take(b'[');
        let mut at = 0_usize;
        while !self.lexer.take(b']') && self.lexer.peek().is_some() {
            // What a condition compares a variable with is a value of that name.
            let name = compared.take_if(|(_, value)| *value == at);
            let is_named = name.is_some();
            if let Some((name, _)) = name {
                self.path.push(name.into());
            }
            self.value(heirs, depth + 1);
            if is_named {
                self.path.pop();
            }
            self.lexer.take(b',');
            at += 1;
        }
    }

    fn object(&mut self, heirs: Heirs, depth: usize) {
        let beside = self.objects.next().unwrap_or_default();
        let heirs = self.path.enter(heirs, beside);
        self.lexer.take(b'{');
        while self.lexer.peek() == Some(b'"') {
            let raw = self.lexer.scalar();
            let name = decoded(raw);
            if self.is_outermost() && is_broken(raw) {
                self.is_mended = true;
                self.replace(self.lexer.position() - raw.len(), &name);
            }
            self.lexer.take(b':');
            self.path.push(name);
            self.value(heirs, depth + 1);
            self.path.pop();
            self.lexer.take(b',');
        }
        self.lexer.take(b'}');
    }

    fn scalar(&mut self, heirs: Heirs) {
        let raw = self.lexer.scalar();
        let start = self.lexer.position() - raw.len();
        match raw.first() {
            Some(b'"') => self.string(raw, start, heirs),
            Some(b'-' | b'0'..=b'9') => self.number(raw, start, heirs),
            _ => {}
        }
    }

    fn string(&mut self, raw: &[u8], start: usize, heirs: Heirs) {
        let text = decoded(raw);
        let hidden = (!self.with_secrets)
            .then(|| self.hidden(&text, heirs))
            .flatten();
        if let Some((shown, count)) = hidden {
            self.count += count;
            self.replace(start, &shown);
        } else if self.is_outermost() && is_broken(raw) {
            self.is_mended = true;
            self.replace(start, &text);
        }
    }

    /// Not JSON in a text, which is a text to most readers.
    const fn is_outermost(&self) -> bool {
        self.levels == LEVELS
    }

    /// What stands in the place of a text that holds secrets, and how many these are.
    fn hidden(&self, text: &str, heirs: Heirs) -> Option<(Cow<'static, str>, usize)> {
        if text.is_empty() || text == REDACTED || text::is_reference(text) {
            return None;
        }
        if self.path.is_secret_text(text, heirs) {
            return Some((REDACTED.into(), 1));
        }
        let is_header = self.path.is_header();
        let found = text::hidden(text, is_header, self.levels, || self.path.place())?;
        Some((found.0.into(), found.1))
    }

    fn number(&mut self, raw: &[u8], start: usize, heirs: Heirs) {
        let text = String::from_utf8_lossy(raw);
        if !self.with_secrets && self.path.is_secret_number(&text, heirs) {
            self.count += 1;
            self.replace(start, REDACTED);
            return;
        }
        // Beyond what most readers can count to: some refuse all that is around it.
        let may_be_huge = raw.len() > 300 || raw.iter().any(|b| matches!(b, b'e' | b'E'));
        if may_be_huge && self.is_outermost() && text.parse::<f64>().is_ok_and(f64::is_infinite) {
            self.is_mended = true;
            self.replace(start, &text);
        }
    }

    /// Puts a text in the place of what was read since `start`.
    fn replace(&mut self, start: usize, with: &str) {
        let before = self.text.get(self.copied..start).unwrap_or_default();
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(RawJson::string(with).as_bytes());
        self.copied = self.lexer.position();
    }

    /// The whole, if anything was replaced.
    fn finish(mut self) -> Option<RawJson> {
        if self.copied == 0 {
            return None;
        }
        let rest = self.text.get(self.copied..).unwrap_or_default();
        self.out.extend_from_slice(rest);
        // Never half of it: what cannot be written is not shown.
        Some(RawJson::parse(self.out).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
