//! What is in doubt counts for what takes away, and not for what gives.

use serde_json::{Value, json};

use super::{Doubt, caller, compile, miss, misses, sorted, who};
use crate::rbac::Who;

/// Ids of clients have dots, and some issuers write lists.
#[test]
fn a_path_is_divided_in_all_ways() {
    for (name, claims, fits, gives) in [
        (
            "r.my.app.roles",
            json!({"r": {"my.app": {"roles": ["x"]}}}),
            true,
            false,
        ),
        ("a.b.c", json!({"a.b": {"c": "x"}}), true, false),
        ("a.b.c", json!({"a": {"b.c": "x"}}), true, false),
        ("a.b.c", json!({"a": {"b": {"c": "x"}}}), true, true),
        ("a.b.c", json!({"a.b.c": "x"}), true, true),
        (
            "a.b.c",
            json!({"a": [{"b": 1}, {"b": {"c": "x"}}]}),
            true,
            false,
        ),
        ("a.b.c", json!({"a": [[{"b.c": ["y", "x"]}]]}), true, false),
        ("a.b.c", json!({"a": {"b": "x"}}), false, false),
        (
            "a.b.c",
            json!({"a.b": "x", "c": "x", "b": {"c": "x"}}),
            false,
            false,
        ),
        ("a..b", json!({"a": {"": {"b": "x"}}}), true, true),
        ("a..b", json!({"a": {"b": "x"}}), false, false),
        (
            "https://x.com/app.roles",
            json!({"https://x.com/app": {"roles": "x"}}),
            true,
            false,
        ),
        (
            "https://x.com/app",
            json!({"https://x": {"com/app": "x"}}),
            false,
            false,
        ),
    ] {
        let ann = caller(claims.clone());
        let config = json!({"claims": {name: "x"}});
        let expected = (!fits).then_some("claims");
        assert_eq!(
            misses(config.clone(), &ann, Doubt::Fits),
            expected,
            "{name} of {claims}"
        );
        let expected = (!gives).then_some("claims");
        assert_eq!(
            miss(config, &ann),
            expected,
            "{name} of {claims}, for an allow"
        );
    }
}

/// There are as many ways to divide a name as it has dots, to the power of two.
#[test]
fn a_long_path_in_hostile_claims_is_looked_for_once() {
    let mut claims = json!({"a": "y"});
    for _ in 0..60 {
        claims = json!({"a": [claims], "a.a": {"a.a": "y"}, "a.a.a": ["y"]});
    }
    let name = vec!["a"; 62].join(".");
    let many = json!({"a": (0..2000).map(|_| json!({"a": {"a.a": 1}})).collect::<Vec<_>>()});
    for claims in [claims, many] {
        let ann = caller(claims);
        let config = json!({"claims": {name.as_str(): "x"}});
        assert_eq!(misses(config, &ann, Doubt::Fits), Some("claims"));
    }
}

fn is_meant(config: Value, doubt: Doubt, grants: &Value, claims: Value) -> bool {
    let grants = compile(grants).unwrap();
    let ann = caller(claims);
    let who = Who::compile(&who(config), doubt).unwrap();
    who.matches(&ann, &grants.identity(&ann))
}

#[test]
fn a_membership_in_doubt_counts_against_the_caller() {
    let grants = json!({
        "roles": {
            "adm": {"members": [{"claims": {"lvl": 5}}], "inherits": ["staff"]},
            "staff": {}, "boss": {"members": [{"any_of": [{"groups": ["top"]}]}]},
            "chief": {"members": [{"groups": ["top"]}]},
        },
        "groups": {"eu": {"members": [{"claims": {"org.unit": "eu"}}], "part_of": ["top"]}, "top": {}},
    });
    let unsure = json!({"lvl": "5", "org": [{"unit": "eu"}]});
    let sure = json!({"lvl": 5, "org": {"unit": "eu"}});
    let neither = json!({"lvl": "6", "org": [{"unit": "us"}]});
    for wanted in [
        json!({"roles": ["adm"]}),
        json!({"roles": ["staff"]}),
        json!({"roles": ["boss"]}),
        json!({"roles": ["chief"]}),
        json!({"groups": ["eu"]}),
        json!({"groups": ["top"]}),
        json!({"all_of": [{"groups": ["top"]}, {"roles": ["x", "adm"]}]}),
    ] {
        for (claims, denies, gives) in [
            (&sure, true, true),
            (&unsure, true, false),
            (&neither, false, false),
        ] {
            let meant = |doubt| is_meant(wanted.clone(), doubt, &grants, claims.clone());
            assert_eq!(meant(Doubt::Fits), denies, "{wanted} of {claims}");
            assert_eq!(
                meant(Doubt::Misses),
                gives,
                "{wanted} of {claims}, for an allow"
            );
        }
    }
}

#[test]
fn what_is_certain_is_in_no_doubt() {
    let grants = json!({"roles": {
        "a": {"members": [{"claims": {"n": 1}}, {"claims": {"n": "1"}}], "inherits": ["b"]},
        "b": {"members": [{"claims": {"n": 1}}]},
    }});
    let grants = compile(&grants).unwrap();
    let ann = caller(json!({"n": "1"}));
    let identity = grants.identity(&ann);
    assert_eq!(sorted(identity.roles()), ["a", "b"]);
    assert_eq!(identity.doubtful_roles().count(), 0);
}
