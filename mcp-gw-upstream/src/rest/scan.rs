//! What can be known of a JSON text without making anything of it.

/// What a text has in it, if it is JSON; anything else has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// How many values at the most, names of members included.
    pub(super) values: u64,
    /// How many lists and objects are within each other.
    pub(super) depth: usize,
}

impl Scan {
    /// Goes over the text once.
    pub(super) fn of(text: &[u8]) -> Self {
        // Each value but the first comes after one of the signs.
        let (mut values, mut depth, mut deepest) = (1, 0_usize, 0);
        let mut rest = text;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            match byte {
                b'"' => rest = after_string(rest),
                b',' | b':' => values += 1,
                b'[' | b'{' => {
                    values += 1;
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Self {
            values,
            depth: deepest,
        }
    }
}

/// What comes after the end of a string that begins before this.
pub(super) fn after_string(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let found = rest.get(at..).unwrap_or_default();
        match found {
            [b'"', behind @ ..] | [b'\\', _, behind @ ..] => {
                rest = behind;
                if found.first() == Some(&b'"') {
                    return rest;
                }
            }
            _ => break,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_no_structure() {
        for (text, values, depth) in [
            ("1", 1, 0),
            ("[]", 2, 1),
            (r#"{"a":[1,{"b":2}]}"#, 7, 3),
            (r#"["[[\"[,:", "\\", []]"#, 5, 2),
            ("[", 2, 1),
            (r#""\"#, 1, 0),
        ] {
            let scan = Scan::of(text.as_bytes());
            assert_eq!((scan.values, scan.depth), (values, depth), "{text}");
        }
    }
}
