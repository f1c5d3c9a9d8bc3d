use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn form(text: &str) -> String {
    let json = RawJson::parse(text.to_owned()).unwrap();
    canonical(&json).unwrap().to_string()
}

#[test]
fn the_example_of_rfc_8785_comes_out_sorted_and_with_the_fewest_escapes() {
    // Section 3.2.3: sorted by UTF-16 code units, in which the emoji comes before U+FB33.
    let text = r#"{ "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis" }"#;
    let names: Vec<_> = form(text)
        .trim_matches(['{', '}'])
        .split(',')
        .map(|member| member.split(':').next().unwrap().to_owned())
        .collect();
    let expected = [
        r#""\r""#,
        r#""1""#,
        "\"\u{80}\"",
        "\"\u{f6}\"",
        "\"\u{20ac}\"",
        "\"\u{1f600}\"",
        "\"\u{fb33}\"",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        form(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#),
        "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""
    );
}

#[test]
fn numbers_keep_their_text() {
    for number in ["1", "1.0", "1e0", "1E0", "-0", "12345678901234567890123"] {
        assert_eq!(form(&format!(" [ {number} ] ")), format!("[{number}]"));
    }
}

#[test]
fn what_rfc_8785_refuses_has_a_form_too() {
    assert_eq!(form(r#"{"b":1,"a":2,"a":1}"#), r#"{"a":2,"a":1,"b":1}"#);
    assert_ne!(form(r#"{"a":1,"a":2}"#), form(r#"{"a":2,"a":1}"#));
    assert_eq!(form(r#""\uDEAD\ud83d""#), r#""\udead\ud83d""#);
    assert_eq!(form(r#"{"\ud800":"\uDC00"}"#), r#"{"\ud800":"\udc00"}"#);
}

#[test]
fn deep_nesting_costs_no_stack_and_no_square_of_its_depth() {
    let depth = 100_000;
    let text = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(form(&text), text);
    let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(form(&text), text);
}

#[test]
fn a_text_that_is_too_long_has_none() {
    let long = RawJson::string(&"x".repeat(LONGEST));
    assert_eq!(canonical(&long), None);
}

/// A value, and no second one that means the same: members have different names, in their order.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Plain(&'static str),
    Text(String),
    List(Vec<Self>),
    Object(std::collections::BTreeMap<String, Self>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let text = "[a-c\"\\\\/\n\u{1}é\u{1f600}]{0,3}";
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "0", "1", "1.0", "1e2", "100"])
            .prop_map(Tree::Plain),
        text.prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::btree_map(text, inner, 0..4).prop_map(Tree::Object),
        ]
    })
}

/// Writes `tree` in one of the ways that there are, which `dice` chooses.
fn write(tree: &Tree, dice: &mut dyn FnMut(usize) -> usize, out: &mut String) {
    const BLANKS: [&str; 5] = ["", "", " ", "\n\t", "\r\n  "];
    out.push_str(BLANKS[dice(BLANKS.len())]);
    match tree {
        Tree::Plain(text) => out.push_str(text),
        Tree::Text(text) => quote(text, dice, out),
        Tree::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, dice, out);
            }
            out.push(']');
        }
        Tree::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for place in (1..members.len()).rev() {
                members.swap(place, dice(place + 1));
            }
            out.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(BLANKS[dice(BLANKS.len())]);
                quote(name, dice, out);
                out.push_str(BLANKS[dice(BLANKS.len())]);
                out.push(':');
                write(value, dice, out);
            }
            out.push('}');
        }
    }
    out.push_str(BLANKS[dice(BLANKS.len())]);
}

fn quote(text: &str, dice: &mut dyn FnMut(usize) -> usize, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let must = c < ' ' || matches!(c, '"' | '\\');
        if must || dice(3) == 0 {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04X}").unwrap();
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// Numbers that look random, the same ones for the same seed.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |sides| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % sides
    }
}

fn written(tree: &Tree, seed: u64) -> String {
    let mut text = String::new();
    write(tree, &mut dice(seed), &mut text);
    text
}

/// Changes one leaf, or one place that has none, which `dice` chooses.
fn change(tree: &mut Tree, dice: &mut dyn FnMut(usize) -> usize) {
    match tree {
        Tree::Plain(text) => *text = if *text == "1" { "1.00" } else { "1" },
        Tree::Text(text) => text.push('x'),
        Tree::List(items) if items.is_empty() => items.push(Tree::Plain("null")),
        Tree::List(items) => {
            let at = dice(items.len());
            change(&mut items[at], dice);
        }
        Tree::Object(members) if members.is_empty() => {
            members.insert(String::new(), Tree::Plain("null"));
        }
        Tree::Object(members) => {
            let at = dice(members.len());
            let name = members.keys().nth(at).unwrap().clone();
            if dice(2) == 0 {
                let value = members.remove(&name).unwrap();
                members.insert(format!("{name}zz"), value);
            } else {
                change(members.get_mut(&name).unwrap(), dice);
            }
        }
    }
}

proptest! {
    #[test]
    fn order_of_members_blanks_and_escapes_do_not_matter(tree in tree(), a: u64, b: u64) {
        prop_assert_eq!(form(&written(&tree, a)), form(&written(&tree, b)));
    }

    #[test]
    fn the_form_of_a_form_is_itself(tree in tree(), seed: u64) {
        let once = form(&written(&tree, seed));
        prop_assert_eq!(form(&once), once);
    }

    #[test]
    fn everything_else_matters(tree in tree(), seed: u64) {
        let mut other = tree.clone();
        change(&mut other, &mut dice(seed));
        prop_assert_ne!(form(&written(&tree, seed)), form(&written(&other, seed)));
    }

    #[test]
    fn different_values_have_different_forms(a in tree(), b in tree(), seed: u64) {
        prop_assert_eq!(a == b, form(&written(&a, seed)) == form(&written(&b, seed)));
    }

    #[test]
    fn it_means_the_same_as_the_text(tree in tree(), seed: u64) {
        let text = written(&tree, seed);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        prop_assert_eq!(value(&form(&text)), value(&text));
    }
}
