//! Patterns of permission policies: text, and `<…>` with a regular expression, as far as that is understood.

/// A pattern as letters and gaps. What is not understood of a regular expression is a gap, which fits more than it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    pub(super) text: &'a str,
    /// `None` is any text, also none.
    parts: Vec<Option<char>>,
    /// False when it may fit less than its parts.
    is_sure: bool,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Is {
    No,
    Maybe,
    Sure,
}

impl Is {
    const fn of(is_so: bool, is_sure: bool) -> Self {
        match (is_so, is_sure) {
            (false, _) => Self::No,
            (true, false) => Self::Maybe,
            (true, true) => Self::Sure,
        }
    }
}

/// Of longer ones only the beginning is looked at.
const LONGEST: usize = 512;

impl<'a> Pattern<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut pattern = Self {
            text,
            parts: Vec::new(),
            is_sure: true,
        };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if pattern.parts.len() >= LONGEST {
                pattern.gap(false);
                break;
            }
            let expression = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
            if let Some((expression, after)) = expression {
                pattern.expression(expression);
                rest = after;
                continue;
            }
            match c {
                '*' => pattern.gap(true),
                _ => pattern.parts.push(Some(c)),
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        pattern
    }

    fn gap(&mut self, is_sure: bool) {
        self.is_sure &= is_sure;
        if self.parts.last() != Some(&None) {
            self.parts.push(None);
        }
    }

    fn expression(&mut self, expression: &str) {
        let text = expression.strip_prefix('^').unwrap_or(expression);
        let text = text.strip_suffix('$').unwrap_or(text);
        let inner = text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'));
        let mut rest = inner
            .filter(|inner| !inner.contains(['(', ')']))
            .unwrap_or(text);
        if rest == "*" {
            return self.gap(true);
        }
        // What is beside it may be all that is wanted.
        if has_alternatives(rest) {
            return self.gap(false);
        }
        while let Some(c) = rest.chars().next() {
            let anything = [
                ".*?",
                ".+?",
                ".*",
                ".+",
                ".{0,}",
                ".{1,}",
                "[\\s\\S]*",
                "[\\s\\S]+",
            ];
            if let Some(after) = anything.iter().find_map(|any| rest.strip_prefix(any)) {
                self.gap(true);
                rest = after;
                continue;
            }
            let (letter, after) = match rest.strip_prefix("\\.") {
                Some(after) => ('.', after),
                None => (c, rest.get(c.len_utf8()..).unwrap_or_default()),
            };
            let is_plain = c == '\\' && letter == '.'
                || letter.is_alphanumeric()
                || matches!(letter, ':' | '/' | '-' | '_');
            // A letter that may be missing or come again is no letter.
            if !is_plain || after.starts_with(['*', '?', '+', '{']) {
                return self.gap(false);
            }
            self.parts.push(Some(letter));
            rest = after;
        }
    }

    /// Whether it fits `prefix` with anything behind it.
    pub(super) fn covers(&self, prefix: &str) -> Is {
        let mut wanted: Vec<Option<char>> = prefix.chars().map(Some).collect();
        wanted.push(None);
        Is::of(fits(&self.parts, &wanted), self.is_sure)
    }

    /// The letters up to the `number`th colon, with it: the namespace.
    pub(super) fn until_colon(&self, number: usize) -> Option<String> {
        let mut colons = 0;
        let mut out = String::new();
        for part in &self.parts {
            let letter = (*part)?;
            out.push(letter);
            colons += usize::from(letter == ':');
            if colons == number {
                return Some(out);
            }
        }
        None
    }

    /// What comparing the two costs.
    pub(super) fn steps(&self, other: &Self) -> usize {
        if self.is_plain() && other.is_plain() {
            return 1;
        }
        (self.parts.len() + 1).saturating_mul(other.parts.len() + 1)
    }

    fn is_plain(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    /// Whether there is a text that both fit.
    pub(super) fn overlaps(&self, other: &Self) -> Is {
        if self.is_plain() && other.is_plain() {
            return Is::of(self.parts == other.parts, true);
        }
        let is_sure = self.is_sure && other.is_sure;
        Is::of(meet(&self.parts, &other.parts), is_sure)
    }
}

/// Whether there is a `|` outside of brackets.
fn has_alternatives(expression: &str) -> bool {
    let mut depth = 0_i32;
    let mut is_escaped = false;
    expression.chars().any(|c| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = c == '\\';
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == '|' && depth <= 0
    })
}

/// Whether `pattern` fits all that `wanted` fits.
fn fits(pattern: &[Option<char>], wanted: &[Option<char>]) -> bool {
    // `row[at]`: the rest of the pattern fits what is wanted from `at` on.
    let mut row: Vec<bool> = vec![false; wanted.len()];
    row.push(true);
    for part in pattern.iter().rev() {
        let mut next = vec![false; row.len()];
        for at in (0..row.len()).rev() {
            let here = |row: &[bool], at: usize| row.get(at).copied().unwrap_or_default();
            let is_so = match part {
                None => here(&row, at) || here(&next, at + 1),
                Some(letter) => wanted.get(at) == Some(&Some(*letter)) && here(&row, at + 1),
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = is_so;
            }
        }
        row = next;
    }
    row.first().copied().unwrap_or_default()
}

/// Whether there is a text that both fit.
fn meet(a: &[Option<char>], b: &[Option<char>]) -> bool {
    let here = |row: &[bool], at: usize| row.get(at).copied().unwrap_or_default();
    // `row[at]`: the rests of both meet. After the last of `a` only gaps of `b` may be left.
    let mut row = vec![false; b.len() + 1];
    for at in (0..=b.len()).rev() {
        let is_so = at == b.len() || (b.get(at) == Some(&None) && here(&row, at + 1));
        if let Some(slot) = row.get_mut(at) {
            *slot = is_so;
        }
    }
    for part in a.iter().rev() {
        let mut next = vec![false; row.len()];
        for at in (0..row.len()).rev() {
            let is_so = match (part, b.get(at)) {
                (None, _) | (_, Some(None)) => here(&row, at) || here(&next, at + 1),
                (Some(x), Some(Some(y))) => x == y && here(&row, at + 1),
                (Some(_), None) => false,
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = is_so;
            }
        }
        row = next;
    }
    row.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_are_understood_or_said_not_to_be() {
        let covers = |text: &str| Pattern::of(text).covers("gateway:");
        for text in [
            "*",
            "<.*>",
            "<.+>",
            "<.{0,}>",
            "<^.*$>",
            "<(.*)>",
            "gateway:*",
            "gateway:<.*>",
            "<gateway:.*>",
            "<.*>:<.*>",
            "<gate.*>",
            "<*>",
        ] {
            assert_eq!(covers(text), Is::Sure, "{text}");
        }
        for text in [
            "<[a-zA-Z:]+>",
            "gateway:<[A-Z].*>",
            "<(gateway|iam):.*>",
            "<gatewayx?:.*>",
        ] {
            assert_eq!(covers(text), Is::Maybe, "{text}");
        }
        for text in [
            "gateway:<Get.*>",
            "gateway:<Get(Route|x)>",
            "iam:<.*>",
            "gateway:",
            "",
            "<",
            "<>",
        ] {
            assert_eq!(covers(text), Is::No, "{text}");
        }
    }

    #[test]
    fn patterns_overlap_where_one_text_fits_both() {
        for (a, b, is) in [
            ("gateway:GetRoute", "gateway:GetRoute", Is::Sure),
            ("gateway:GetRoute", "gateway:PutRoute", Is::No),
            ("<.*>", "gateway:DeleteRoute", Is::Sure),
            ("gateway:<.*>", "<.*>:DeleteRoute", Is::Sure),
            ("gateway:<Get.*>", "gateway:<Put.*>", Is::No),
            ("gateway:<(Get|Put).*>", "gateway:GetRoute", Is::Maybe),
            ("gateway:<(Get|Put).*>", "iam:GetRoute", Is::No),
            ("", "", Is::Sure),
            ("<.*>", "", Is::Sure),
        ] {
            assert_eq!(Pattern::of(a).overlaps(&Pattern::of(b)), is, "{a} {b}");
            assert_eq!(Pattern::of(b).overlaps(&Pattern::of(a)), is, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn overlapping_is_as_trying_all_texts(a in "[ab*]{0,5}", b in "[ab*]{0,5}", text in "[ab]{0,6}") {
            let (one, two) = (Pattern::of(&a), Pattern::of(&b));
            let plain = Pattern::of(&text);
            let both = one.overlaps(&plain) == Is::Sure && two.overlaps(&plain) == Is::Sure;
            prop_assert!(!both || one.overlaps(&two) == Is::Sure);
            prop_assert_eq!(one.overlaps(&two), two.overlaps(&one));
            prop_assert_eq!(one.overlaps(&one), Is::Sure);
        }

        #[test]
        fn nothing_breaks_reading(text in "\\PC{0,40}|[<>().*+?|a:{}0,]{0,20}") {
            let pattern = Pattern::of(&text);
            let _ = pattern.covers("gateway:");
            prop_assert!(pattern.overlaps(&Pattern::of("<.*>")) != Is::No);
        }
    }
}
