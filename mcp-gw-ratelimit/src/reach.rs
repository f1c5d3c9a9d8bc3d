//! What can be said of patterns and matches without knowing any tool, server or caller: which can
//! never be about the same call, and which is about all that another is about.

use mcp_gw_core::Glob;

use crate::config::MatchConfig;

/// True when some name may match both lists; an empty one matches all. Which names there are, nobody
/// knows here.
pub(crate) fn may_meet(some: &[String], others: &[String]) -> bool {
    some.is_empty()
        || others.is_empty()
        || some
            .iter()
            .any(|one| others.iter().any(|other| meet(one, other)))
}

fn meet(one: &str, other: &str) -> bool {
    // What cannot be read is a fault of its own.
    let (Some(one), Some(other)) = (Glob::parse(one), Glob::parse(other)) else {
        return true;
    };
    match (one.as_literal(), other.as_literal()) {
        (_, Some(name)) => one.matches(name),
        (Some(name), None) => other.matches(name),
        (None, None) => true,
    }
}

/// True when each name that matches `small` matches `great`, for certain.
pub(crate) fn covers(great: &[String], small: &[String]) -> bool {
    // A star in the text is matched by a star only, and that matches whatever it stands for; so is a
    // question mark.
    let holds = |one: &String, other: &String| {
        one == other || (!one.contains(['?', '\\']) && !other.contains('\\') && matches(one, other))
    };
    let held = |other: &String| great.iter().any(|one| holds(one, other));
    great.is_empty() || (!small.is_empty() && small.iter().all(held))
}

fn matches(glob: &str, text: &str) -> bool {
    Glob::parse(glob).is_some_and(|glob| glob.matches(text))
}

/// Why no call can match both, if that is so: the key of which no value can.
pub(crate) fn apart(one: &MatchConfig, other: &MatchConfig) -> Option<&'static str> {
    // A caller may have roles of both lists.
    if !may_meet(&one.tools, &other.tools) {
        Some("tools")
    } else if !may_meet(&one.servers, &other.servers) {
        Some("servers")
    } else if !share(&one.kinds, &other.kinds) {
        Some("kinds")
    } else if !share(&one.callers, &other.callers) {
        Some("callers")
    } else {
        None
    }
}

fn share<T: PartialEq>(some: &[T], others: &[T]) -> bool {
    some.is_empty() || others.is_empty() || some.iter().any(|one| others.contains(one))
}

/// True when `great` matches all that `small` and `rule` match both.
pub(crate) fn takes_all(great: &MatchConfig, small: &MatchConfig, rule: &MatchConfig) -> bool {
    let names = |great: &[String], small: &[String], rule: &[String]| {
        covers(great, small) || covers(great, rule)
    };
    names(&great.tools, &small.tools, &rule.tools)
        && names(&great.servers, &small.servers, &rule.servers)
        && holds(&great.roles, &small.roles, &rule.roles)
        && holds(&great.kinds, &small.kinds, &rule.kinds)
        && holds(&great.callers, &small.callers, &rule.callers)
}

fn holds<T: PartialEq>(great: &[T], small: &[T], rule: &[T]) -> bool {
    let all = |of: &[T]| !of.is_empty() && of.iter().all(|one| great.contains(one));
    great.is_empty() || all(small) || all(rule)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn a_list_covers_what_it_matches_in_any_case() {
        for (great, small, expected) in [
            (&["*"][..], &["echo"][..], true),
            (&["*"], &["a*", "?"], true),
            (&["a*", "b"], &["ab*", "b"], true),
            (&["a?"], &["a*"], false),
            (&["a?"], &["ab"], false),
            (&["a"], &["a", "b"], false),
            (&["a"], &[], false),
            (&[], &["a"], true),
            (&["a\\*"], &["a\\*"], true),
        ] {
            let (great, small) = (list(great), list(small));
            assert_eq!(covers(&great, &small), expected, "{great:?} {small:?}");
        }
    }

    proptest! {
        /// Against names: what is covered is matched, and what is matched by both may meet.
        #[test]
        fn no_name_says_otherwise(one in "[ab*?\\\\]{1,4}", other in "[ab*?\\\\]{1,4}", name in "[ab*]{0,5}") {
            prop_assume!(Glob::parse(&one).is_some() && Glob::parse(&other).is_some());
            let (by_one, by_other) = (matches(&one, &name), matches(&other, &name));
            let (one, other) = (vec![one], vec![other]);
            if covers(&one, &other) && by_other {
                prop_assert!(by_one, "{one:?} covers {other:?}, and not {name}");
            }
            if by_one && by_other {
                prop_assert!(may_meet(&one, &other), "{one:?} and {other:?} meet in {name}");
            }
        }
    }
}
