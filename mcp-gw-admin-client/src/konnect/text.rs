//! Text that came with a request: a stranger wrote it.

/// On one line, without control characters and those that are not seen, and at most `longest` characters of it.
///
/// It stays data: whoever shows it says what it is.
pub(crate) fn tame(text: &str, longest: usize) -> String {
    let mut seen = text.chars().map(|c| if is_unseen(c) { ' ' } else { c });
    let mut out: String = seen.by_ref().take(longest).collect();
    let cut = seen.next().is_some();
    out.truncate(out.trim_end().len());
    if cut {
        out.push('…');
    }
    match out.trim_start() {
        whole if whole.len() == out.len() => out,
        trimmed => trimmed.to_owned(),
    }
}

/// Direction of writing, zero width, line and paragraph separators, tags.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(tame("a\nb\u{202e}c", 10), "a b c");
        assert_eq!(tame("abcdef", 3), "abc…");
        assert_eq!(tame(&"\0".repeat(20), 3), "…");
        assert_eq!(tame(" \t", 3), "");
    }

    proptest! {
        #[test]
        fn nothing_unseen_is_left_and_it_is_bounded(text in "\\PC*|(\\PC|[\0-\u{1f}\u{200b}-\u{202e}]){0,40}") {
            let tamed = tame(&text, 16);
            prop_assert!(!tamed.chars().any(is_unseen));
            prop_assert!(tamed.chars().count() <= 17);
        }
    }
}
