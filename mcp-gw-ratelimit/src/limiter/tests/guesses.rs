//! Names that nobody may know of.

use super::*;

/// What is refused or unknown has no name here, and must not be free where all rules are about names.
#[tokio::test]
async fn guesses_cost_where_all_rules_are_about_names() {
    let rules = [
        json!({ "name": "r", "quota": 3, "window": "60s", "for": { "tools": ["search_*"] } }),
        json!({ "name": "r", "quota": 3, "window": "60s", "for": { "servers": ["test"] } }),
        json!({ "name": "r", "quota": 3, "window": "60s", "for": { "roles": ["trial"] },
                "per": "caller_and_tool" }),
    ];
    for rule in rules {
        let other = json!({ "quota": 5, "window": "60s" });
        let (limiter, _) = limiter(json!({ "rules": [rule], "other": other }));
        let ann = user("ann");
        for n in 0..8 {
            let methods = [
                "tools/call",
                "resources/read",
                "prompts/get",
                "completion/complete",
            ];
            let answer = admit(&limiter, &ann, methods[n % 4], None).await;
            assert_eq!(answer.is_admitted(), n < 5, "{rule} {n}");
            let (Admission::Admitted { standings, .. } | Admission::Limited { standings, .. }) =
                answer
            else {
                panic!("no answer of a limiter");
            };
            let names: Vec<_> = standings.iter().map(|it| &*it.name).collect();
            assert_eq!(names, ["other"], "{rule}");
        }
        assert!(
            !admit(&limiter, &ann, "tools/list", None)
                .await
                .is_admitted()
        );
        // What no rule is about, and has a name that may be known, is free.
        let read = admit(&limiter, &ann, "resources/read", Some("test://a")).await;
        assert!(read.is_admitted());
        let bob = admit(&limiter, &user("bob"), "tools/call", None).await;
        assert!(bob.is_admitted(), "each caller has a count");
    }
    // Who has no limit on any name has none on guesses.
    let (limiter, _) = limiter(json!({ "rules": [
        { "name": "r", "quota": 3, "window": "60s", "overrides": [
            { "for": { "roles": ["admin"] }, "unlimited": true }] }], "other": { "quota": 1 } }));
    let admin = user("root").with_roles(["admin"]);
    for name in [None, Some("a"), None, None] {
        let answer = admit(&limiter, &admin, "tools/call", name).await;
        assert_eq!(answer, Admission::admitted(None));
    }
}
