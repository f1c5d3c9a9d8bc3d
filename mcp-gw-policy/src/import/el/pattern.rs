//! Regular expressions of Java.

/// A pattern of Java as one of ours that matches the same texts.
pub(super) fn java_pattern(pattern: &str) -> Result<String, String> {
    let foreign = || "the pattern uses what the languages do not share".to_owned();
    // What does not hold together by itself could, put into a group, hold together otherwise.
    regex_syntax::parse(pattern).map_err(|_| foreign())?;
    let mut ours = String::with_capacity(pattern.len());
    let (mut chars, mut in_class) = (pattern.chars().peekable(), false);
    let mut last = ' ';
    while let Some(next) = chars.next() {
        match next {
            '\\' => {
                let escaped = chars.next().ok_or_else(foreign)?;
                // Classes are ASCII there, Unicode here.
                let class = match escaped {
                    'd' => "0-9",
                    'w' => "A-Za-z0-9_",
                    's' => r" \t\n\x0B\f\r",
                    't' | 'n' | 'r' | 'f' => "",
                    // These are borders of words here.
                    '<' | '>' => {
                        ours.push(escaped);
                        last = ' ';
                        continue;
                    }
                    c if c.is_ascii_punctuation() => "",
                    _ => return Err(foreign()),
                };
                match (class, in_class) {
                    ("", _) => ours.extend(['\\', escaped]),
                    (class, true) => ours.push_str(class),
                    (class, false) => ours.extend(["[", class, "]"]),
                }
            }
            '[' if in_class => return Err(foreign()),
            '[' => {
                in_class = true;
                ours.push(next);
                if chars.peek() == Some(&'^') {
                    chars.next();
                    ours.push('^');
                }
                // It ends nothing here, and the class goes on.
                if chars.peek() == Some(&']') {
                    return Err(foreign());
                }
            }
            ']' => {
                in_class = false;
                ours.push(next);
            }
            '.' if !in_class => ours.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '(' if !in_class && chars.peek() == Some(&'?') => {
                chars.next();
                if chars.peek() != Some(&':') {
                    return Err(foreign());
                }
                ours.push_str("(?");
            }
            // Before a line feed at the end as well, there.
            '$' if !in_class && chars.peek().is_some() => return Err(foreign()),
            // Possessive quantifiers, and intersections of classes.
            '+' if !in_class && matches!(last, '*' | '+' | '?' | '}') => return Err(foreign()),
            '&' | '~' | '-' if in_class && last == next => return Err(foreign()),
            c => ours.push(c),
        }
        last = if next == '\\' { ' ' } else { next };
    }
    Ok(ours)
}
