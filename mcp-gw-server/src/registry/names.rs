//! What templates are called in the gateway.

use sha2::{Digest as _, Sha256};

/// Longer names are cut, as servers of the configuration file have none.
const LONGEST: usize = 64;
const CUT: usize = 40;
/// What the gateway calls tools of its own.
const OWN: &str = "local";

/// The name of the server that a template becomes: its own, where that can stand before the names of
/// tools and begins no other name that does. Otherwise what of it can, and a digest of it, so that two
/// names never come to one by what was taken out.
pub(crate) fn server_name(template: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_legal = !template.is_empty()
        && template != OWN
        && template.len() <= LONGEST
        && template.chars().all(is_plain)
        && !template.contains("__")
        && !template.starts_with(['_', '-'])
        && !template.ends_with('_');
    if is_legal {
        return template.to_owned();
    }
    let mut slug = String::new();
    for c in template.chars() {
        if slug.len() >= CUT {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if slug.is_empty() {
        slug.push_str("server");
    }
    let digest = Sha256::digest(template.as_bytes());
    let digest = digest.iter().take(4);
    let digest = digest.fold(0_u32, |all, byte| (all << 8) | u32::from(*byte));
    format!("{}-{digest:08x}", slug.trim_end_matches('-'))
}

/// The form that a name has where cases are not told apart, as in schemes of URIs: two servers of one
/// form cannot stand beside each other.
pub(crate) fn form(server: &str) -> String {
    let mut form = server.to_ascii_lowercase().replace('_', ".");
    if !form.starts_with(|c: char| c.is_ascii_lowercase()) {
        form.insert_str(0, "x-");
    }
    form
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{Mounting, Naming};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_legal_name_stays_and_others_are_made_legal() {
        for name in ["demo", "My-Server_2", "a", "0"] {
            assert_eq!(server_name(name), name);
        }
        for name in [
            "a b",
            "a__b",
            "ä",
            "",
            "../../etc",
            "a\0b",
            "_a",
            "a_",
            "日本",
            "local",
        ] {
            let made = server_name(name);
            assert_ne!(made, name);
            assert_eq!(server_name(&made), made, "{name:?}");
        }
        assert_ne!(server_name("a b"), server_name("a  b"));
        assert!(server_name(&"x".repeat(256)).len() <= LONGEST);
    }

    proptest! {
        #[test]
        fn two_templates_stand_beside_each_other_unless_their_forms_are_one(
            one in "(_|-|[aA0]|__|é){0,8}",
            other in "(_|-|[aA0]|__|é){0,8}",
        ) {
            let (one, other) = (server_name(&one), server_name(&other));
            let mounting = |name: &str| Mounting::new(Naming::Always, name);
            prop_assert!(mounting(&one).has_prefix());
            if form(&one) != form(&other) {
                prop_assert!(!mounting(&one).is_ambiguous_beside(&mounting(&other)));
            }
        }
    }
}
