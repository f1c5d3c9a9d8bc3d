//! Patterns for names.

/// True when `name` is one of those that `glob` stands for: `*` is any run of characters, also of
/// none, `?` is one. Everything else stands for itself. It takes time in proportion to the product
/// of the two lengths at most.
///
/// ```
/// use mcp_gw_core::glob_matches;
///
/// assert!(glob_matches("get_*", "get_user"));
/// assert!(!glob_matches("get_?", "get_user"));
/// ```
pub fn glob_matches(glob: &str, name: &str) -> bool {
    let (mut glob, mut name) = (glob.chars(), name.chars());
    // What follows the star last passed, and what follows the name it has taken so far.
    let mut star = None;
    loop {
        match (glob.clone().next(), name.clone().next()) {
            (Some('*'), _) => {
                glob.next();
                star = Some((glob.clone(), name.clone()));
            }
            (Some(a), Some(b)) if a == '?' || a == b => {
                glob.next();
                name.next();
            }
            (None, None) => return true,
            _ => {
                let Some((after, rest)) = &mut star else {
                    return false;
                };
                // The star takes one more.
                if rest.next().is_none() {
                    return false;
                }
                (glob, name) = (after.clone(), rest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by its definition, for short texts.
    fn naive(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], []) => true,
            (['*', glob @ ..], _) => (0..=name.len()).any(|n| naive(glob, &name[n..])),
            (['?', glob @ ..], [_, name @ ..]) => naive(glob, name),
            ([a, glob @ ..], [b, name @ ..]) => a == b && naive(glob, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_defined(glob in "[ab?*]{0,8}", name in "[ab?*]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob_matches(&glob, &name), naive(&chars(&glob), &chars(&name)));
        }
    }
}
