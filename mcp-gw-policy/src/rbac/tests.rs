use std::collections::BTreeMap;

use mcp_gw_core::{Caller, CallerKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Doubt, Grants, GrantsConfig, GroupConfig, Identity, MOST_TRIES, RoleConfig, ScopesConfig, Who,
    WhoConfig, smallest_missing,
};

mod doubt;

fn who(value: Value) -> WhoConfig {
    serde_json::from_value(value).unwrap()
}

fn caller(claims: Value) -> Caller {
    let Value::Object(claims) = claims else {
        panic!("claims are an object");
    };
    Caller::new(CallerKind::OAuthClient, "ann").with_claims(claims)
}

fn miss(config: Value, caller: &Caller) -> Option<&'static str> {
    misses(config, caller, Doubt::Misses)
}

fn misses(config: Value, caller: &Caller, doubt: Doubt) -> Option<&'static str> {
    let who = Who::compile(&who(config), doubt).unwrap();
    who.miss(caller, &Identity::of(caller))
}

struct Sections {
    roles: BTreeMap<String, RoleConfig>,
    groups: BTreeMap<String, GroupConfig>,
    scopes: ScopesConfig,
}

fn sections(value: &Value) -> Sections {
    let of = |key: &str| value.get(key).cloned().unwrap_or_else(|| json!({}));
    Sections {
        roles: serde_json::from_value(of("roles")).unwrap(),
        groups: serde_json::from_value(of("groups")).unwrap(),
        scopes: serde_json::from_value(of("scopes")).unwrap(),
    }
}

fn compile(value: &Value) -> Result<Grants, Vec<String>> {
    let sections = sections(value);
    Grants::compile(GrantsConfig {
        roles: &sections.roles,
        groups: &sections.groups,
        scopes: &sections.scopes,
    })
    .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn each_key_must_be_met_by_one_of_its_values() {
    let ann = caller(json!({})).with_roles(["a", "b"]).with_scopes(["s"]);
    assert_eq!(
        miss(json!({"ids": ["bob", "ann"], "roles": ["b"]}), &ann),
        None
    );
    assert_eq!(
        miss(json!({"ids": ["ann"], "roles": ["c"]}), &ann),
        Some("roles")
    );
    assert_eq!(miss(json!({"kinds": ["api_key"]}), &ann), Some("kinds"));
    assert_eq!(miss(json!({"issuers": ["x"]}), &ann), Some("issuers"));
    assert_eq!(miss(json!({"scopes": ["s", "t"]}), &ann), None);
    assert_eq!(
        miss(
            json!({"all_of": [{"scopes": ["s"]}, {"scopes": ["t"]}]}),
            &ann
        ),
        Some("all_of")
    );
    assert_eq!(
        miss(json!({"any_of": [{"ids": ["x"]}, {"roles": ["a"]}]}), &ann),
        None
    );
    assert_eq!(
        miss(json!({"any_of": [{"ids": ["x"]}]}), &ann),
        Some("any_of")
    );
    assert_eq!(miss(json!({}), &ann), None);
}

#[test]
fn claims_are_compared_by_path_glob_and_membership() {
    let ann = caller(json!({
        "tenant": "acme-eu", "level": 3, "admin": false,
        "realm_access": {"roles": ["dev", "ops"]},
        "https://x.example/team": "red",
    }));
    for (claims, meets) in [
        (json!({"tenant": "acme-*"}), true),
        (json!({"tenant": "acme"}), false),
        (json!({"tenant": ["x", "acme-eu"]}), true),
        (json!({"level": 3}), true),
        (json!({"level": "3"}), false),
        (json!({"admin": false}), true),
        (json!({"realm_access.roles": "ops"}), true),
        (json!({"realm_access.roles": "o?"}), false),
        (json!({"realm_access": "ops"}), false),
        (json!({"https://x.example/team": "red"}), true),
        (json!({"missing": "*"}), false),
        (json!({"tenant": "acme-*", "level": 4}), false),
    ] {
        let expected = (!meets).then_some("claims");
        assert_eq!(miss(json!({"claims": claims}), &ann), expected, "{claims}");
    }
}

#[test]
fn bad_keys_are_refused_together_with_what_to_do() {
    let config = who(json!({
        "kinds": ["apikey"], "claims": {"a": [], "b": {"c": 1}}, "any_of": [{}],
    }));
    let faults = Who::compile(&config, Doubt::Misses).unwrap_err();
    let keys: Vec<_> = faults.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys, ["kinds", "claims", "claims", "any_of"]);
    assert_eq!(faults[0].2, "did you mean `api_key`?");
}

#[test]
fn roles_are_inherited_all_the_way() {
    let grants = compile(&json!({"roles": {
        "reader": {}, "writer": {"inherits": ["reader"]}, "admin": {"inherits": ["writer"]},
    }}))
    .unwrap();
    let ann = caller(json!({})).with_roles(["admin", "else"]);
    let roles = sorted(grants.identity(&ann).roles());
    assert_eq!(roles, ["admin", "else", "reader", "writer"]);
    let bob = caller(json!({})).with_roles(["reader"]);
    assert_eq!(sorted(grants.identity(&bob).roles()), ["reader"]);
}

/// A rule that denies by a claim is not passed by its type.
#[test]
fn claims_are_compared_by_what_they_say() {
    for (wanted, claim, fits, gives) in [
        (json!(5), json!(5.0), true, true),
        (json!(5), json!("5"), true, false),
        (json!(5), json!("5.0"), true, false),
        (json!("5"), json!(5), true, false),
        (json!("5"), json!(5.0), true, false),
        (json!("5*"), json!(50), true, false),
        (json!(5), json!(50), false, false),
        (json!(5), json!([1, 5.0]), true, true),
        (
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_992.0),
            false,
            false,
        ),
        (
            json!(18_446_744_073_709_551_615_u64),
            json!(-1),
            false,
            false,
        ),
        (json!(0), json!(false), false, false),
        (json!("*"), json!(5), true, true),
        (json!("*"), json!(true), true, true),
        (json!("*"), json!({"a": 1}), true, true),
        (json!("a*"), json!({"a": 1}), false, false),
        (json!("*"), json!(null), false, false),
        (json!("*"), json!([]), false, false),
        (json!("*"), json!([null]), false, false),
        (json!("true"), json!(true), true, false),
        (json!(true), json!("true"), true, false),
        (json!(true), json!("True"), false, false),
        (json!(true), json!(1), false, false),
        (json!([false, "x"]), json!("false"), true, false),
    ] {
        let expected = (!fits).then_some("claims");
        let ann = caller(json!({"a": claim}));
        let config = json!({"claims": {"a": wanted}});
        let found = misses(config.clone(), &ann, Doubt::Fits);
        assert_eq!(found, expected, "{wanted} of {claim}");
        let expected = (!gives).then_some("claims");
        assert_eq!(
            miss(config, &ann),
            expected,
            "{wanted} of {claim}, for an allow"
        );
    }
}

#[test]
fn a_name_with_dots_is_a_claim_and_a_path() {
    let both = caller(json!({"a.b": "t", "a": {"b": "s"}, "https://x": {"com/dept": "no"}}));
    for (name, value, fits, gives) in [
        ("a.b", "s", true, false),
        ("a.b", "t", true, true),
        ("a.b", "u", false, false),
        ("https://x.com/dept", "no", false, false),
    ] {
        let mut claims = serde_json::Map::new();
        claims.insert(name.to_owned(), json!(value));
        let expected = (!fits).then_some("claims");
        let config = json!({"claims": claims});
        assert_eq!(
            misses(config.clone(), &both, Doubt::Fits),
            expected,
            "{name}: {value}"
        );
        let expected = (!gives).then_some("claims");
        assert_eq!(
            miss(config, &both),
            expected,
            "{name}: {value}, for an allow"
        );
    }
}

#[test]
fn a_claim_without_a_value_is_refused() {
    for empty in [json!(null), json!([null]), json!(["a", null])] {
        let faults =
            Who::compile(&who(json!({"claims": {"dept": empty}})), Doubt::Misses).unwrap_err();
        assert_eq!(faults.len(), 1, "{empty}");
    }
}

#[test]
fn roles_are_bound_by_id_kind_group_scope_and_claim() {
    let grants = compile(&json!({
        "groups": {"ops": {"part_of": ["staff"], "members": [{"claims": {"team": "ops"}}]}, "staff": {}},
        "scopes": {"implies": {"all": ["write"], "write": ["read"]}},
        "roles": {
            "by-id": {"members": [{"ids": ["ann"]}]},
            "by-kind": {"members": [{"kinds": ["oauth_client"]}]},
            "by-group": {"members": [{"groups": ["staff"]}]},
            "by-scope": {"members": [{"scopes": ["read"]}]},
            "by-claim": {"members": [{"claims": {"team": "o*"}}]},
            "by-both": {"members": [{"ids": ["ann"], "groups": ["none"]}]},
            "other": {"members": [{"ids": ["bob"]}]},
        },
    }))
    .unwrap();
    let ann = caller(json!({"team": "ops"})).with_scopes(["all"]);
    let identity = grants.identity(&ann);
    assert_eq!(sorted(identity.groups()), ["ops", "staff"]);
    assert_eq!(sorted(identity.scopes()), ["all", "read", "write"]);
    assert_eq!(
        sorted(identity.roles()),
        ["by-claim", "by-group", "by-id", "by-kind", "by-scope"]
    );
}

#[test]
fn circles_and_unknown_names_are_refused() {
    let faults = compile(&json!({
        "roles": {"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}, "c": {"inherits": ["reeder"]}, "reader": {}},
        "groups": {"g": {"part_of": ["g"]}},
        "scopes": {"implies": {"x": ["y"], "y": ["z"], "z": ["x"]}},
    }))
    .unwrap_err();
    insta_like(
        &faults,
        &[
            "groups.g: these go round in a circle: g -> g; take one of them out of `part_of`",
            "roles.c.inherits[0]: there is no `reeder` in `roles`; did you mean `reader`?",
            "roles.a: these go round in a circle: a -> b -> a; take one of them out of `inherits`",
            "scopes.implies.x: these go round in a circle: x -> y -> z -> x; take one of them out of `implies`",
        ],
    );
}

fn insta_like(actual: &[String], expected: &[&str]) {
    assert_eq!(actual, expected);
}

#[test]
fn members_may_not_depend_on_what_is_being_worked_out() {
    for bad in [
        json!({"roles": {"a": {"members": [{"roles": ["b"]}]}, "b": {}}}),
        json!({"groups": {"a": {"members": [{"groups": ["b"]}]}, "b": {}}}),
        json!({"groups": {"a": {"members": [{"any_of": [{"roles": ["b"]}]}]}}}),
        json!({"roles": {"a": {"members": [{}]}}}),
    ] {
        assert_eq!(compile(&bad).unwrap_err().len(), 1, "{bad}");
    }
}

#[test]
fn nothing_is_derived_without_roles_groups_and_scopes() {
    let grants = compile(&json!({})).unwrap();
    let ann = caller(json!({})).with_roles(["a"]);
    assert!(grants.identity(&ann).derived.is_none());
}

#[test]
fn the_smallest_missing_set_is_found_in_order() {
    let needs = |set: &[&str], wanted: &[&str]| wanted.iter().all(|scope| set.contains(scope));
    let all = ["a", "b", "c", "d"];
    assert_eq!(
        smallest_missing(&all, MOST_TRIES, |set| needs(set, &["c"])),
        ["c"]
    );
    assert_eq!(
        smallest_missing(&all, MOST_TRIES, |set| needs(set, &["d", "b"])),
        ["b", "d"]
    );
    // Two ways of the same size: the one that comes first.
    assert_eq!(
        smallest_missing(&all, MOST_TRIES, |set| needs(set, &["c", "d"])
            || needs(set, &["a", "d"])),
        ["a", "d"]
    );
    assert!(smallest_missing(&all, MOST_TRIES, |_| false).is_empty());
    assert!(smallest_missing(&[], MOST_TRIES, |_| true).is_empty());
}

#[test]
fn the_search_for_missing_scopes_has_an_end() {
    let names: Vec<String> = (0..40).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tries = 0;
    let found = smallest_missing(&names, MOST_TRIES, |_| {
        tries += 1;
        false
    });
    assert!(found.is_empty());
    assert_eq!(tries, MOST_TRIES);
}

proptest! {
    #[test]
    fn a_smallest_set_is_found_when_there_is_one(masks in prop::collection::vec(1_u8..32, 1..4)) {
        let all = ["a", "b", "c", "d", "e"];
        let of = |set: &[&str]| -> u8 {
            set.iter().map(|s| 1_u8 << all.iter().position(|a| a == s).unwrap()).sum()
        };
        let allows = |set: &[&str]| masks.iter().any(|mask| of(set) & mask == *mask);
        let found = smallest_missing(&all, MOST_TRIES, allows);
        let fewest = masks.iter().map(|mask| mask.count_ones()).min().unwrap();
        prop_assert_eq!(u32::try_from(found.len()).unwrap(), fewest);
        prop_assert!(allows(&found));
    }
}

#[test]
fn callers_made_of_an_empty_list_are_not_everybody() {
    let none = Vec::<String>::new;
    for who in [
        WhoConfig::ids(none()),
        WhoConfig::roles(none()),
        WhoConfig::all_scopes(none()),
    ] {
        assert!(!who.is_open());
        let faults = Who::compile(&who, Doubt::Misses).unwrap_err();
        assert!(
            faults[0].1.starts_with("an empty list is nobody"),
            "{who:?}"
        );
    }
}
