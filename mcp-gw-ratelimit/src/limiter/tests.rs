//! The limiter as the pipeline sees it.

mod bursts;
mod guesses;
mod under_way;

use mcp_gw_core::testing::{ManualClock, charge, rate_limiter_contract};
use mcp_gw_core::{Caller, CallerKind, RequestMeta, Transport};
use serde_json::json;

use super::*;

fn config(json: serde_json::Value) -> LimitsConfig {
    serde_json::from_value(json).unwrap()
}

fn limiter(json: serde_json::Value) -> (Limiter, ManualClock) {
    let clock = ManualClock::new();
    (
        Limiter::in_memory(&config(json), clock.clone()).unwrap(),
        clock,
    )
}

fn faults(json: serde_json::Value) -> Vec<String> {
    let faults = LimitSet::new(&config(json)).expect_err("it is not right");
    faults.iter().map(ToString::to_string).collect()
}

fn user(id: &str) -> Caller {
    Caller::new(CallerKind::User, id)
}

fn meta() -> RequestMeta {
    RequestMeta::new("1", Transport::Http)
}

async fn admit(limiter: &Limiter, caller: &Caller, method: &str, name: Option<&str>) -> Admission {
    let meta = meta();
    let mut charge = charge(caller, &meta, method);
    charge.name = name;
    charge.server = name.map(|_| "test");
    limiter.admit(&charge).await.unwrap()
}

async fn call(limiter: &Limiter, caller: &Caller, tool: &str) -> Admission {
    admit(limiter, caller, "tools/call", Some(tool)).await
}

/// How many calls are admitted one after the other, of at most 6,000.
async fn admitted(limiter: &Limiter, caller: &Caller, tool: &str) -> usize {
    for n in 0..6_000 {
        if !call(limiter, caller, tool).await.is_admitted() {
            return n;
        }
    }
    6_000
}

/// The limit that refuses, and for how many seconds.
fn refusal(admission: &Admission) -> Option<(String, u64)> {
    match admission {
        Admission::Limited {
            limit_name,
            retry_after,
            ..
        } => Some((limit_name.to_string(), retry_after.as_secs())),
        _ => None,
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    rate_limiter_contract(&limiter(json!({ "calls_per_minute": 3 })).0).await;
    let burst =
        json!({ "name": "l", "quota": 60, "window": "60s", "algorithm": "gcra", "burst": 2 });
    rate_limiter_contract(&limiter(json!({ "rules": [burst] })).0).await;
    rate_limiter_contract(&limiter(json!({ "classes": "standard" })).0).await;
}

#[tokio::test]
async fn calls_per_minute_is_a_window_for_each_caller() {
    let (limiter, clock) = limiter(json!({ "calls_per_minute": 3 }));
    let ann = user("ann");
    for _ in 0..3 {
        assert!(call(&limiter, &ann, "a").await.is_admitted());
        clock.advance(Duration::from_secs(10));
    }
    let refused = call(&limiter, &ann, "b").await;
    assert_eq!(refusal(&refused), Some(("calls_per_minute".to_owned(), 30)));
    assert!(call(&limiter, &user("bob"), "a").await.is_admitted());
    assert!(
        admit(&limiter, &ann, "tools/list", None)
            .await
            .is_admitted()
    );
    clock.advance(Duration::from_secs(30));
    assert!(call(&limiter, &ann, "a").await.is_admitted());
}

#[tokio::test]
async fn nothing_is_limited_unless_something_is() {
    let (limiter, _) = limiter(json!({}));
    assert_eq!(admitted(&limiter, &user("ann"), "a").await, 6_000);
    assert_eq!(
        call(&limiter, &user("ann"), "a").await,
        Admission::admitted(None)
    );
}

#[tokio::test]
async fn classes_are_about_requests_of_the_management_api() {
    /// Which limits applied, and what is left of them.
    fn told(admission: Admission) -> Vec<(String, u64)> {
        let Admission::Admitted { standings, .. } = admission else {
            panic!("{admission:?}");
        };
        let told = standings.into_iter();
        told.map(|one| (one.name.to_string(), one.quota.remaining))
            .collect()
    }
    let (classes, _) = limiter(json!({ "classes": "standard", "calls_per_minute": 1 }));
    let ann = user("ann");
    for left in [999, 998] {
        let admission = admit(&classes, &ann, MANAGEMENT, None).await;
        assert_eq!(told(admission), [("class".to_owned(), left)]);
    }
    let admin = user("root").with_roles(["admin"]);
    assert_eq!(told(admit(&classes, &admin, MANAGEMENT, None).await), []);
    // Without classes it is what everything else is.
    let (plain, _) = limiter(json!({ "calls_per_minute": 1 }));
    let admission = admit(&plain, &ann, MANAGEMENT, None).await;
    assert_eq!(told(admission), [("other".to_owned(), 5_999)]);
}

#[tokio::test]
async fn classes_tell_users_keys_and_administrators_apart() {
    let (limiter, _) = limiter(json!({ "classes": "standard" }));
    assert_eq!(admitted(&limiter, &user("ann"), "a").await, 1_000);
    let key = Caller::new(CallerKind::ApiKey, "ann");
    assert_eq!(admitted(&limiter, &key, "a").await, 5_000);
    let admin = user("root").with_roles(["admin"]);
    assert_eq!(admitted(&limiter, &admin, "a").await, 6_000);
}

#[tokio::test]
async fn all_limits_that_apply_are_charged_or_none() {
    let (limiter, _) = limiter(json!({ "rules": [
        { "name": "caller", "quota": 5, "window": "60s" },
        { "name": "tool", "per": "tool", "quota": 3, "window": "60s", "for": { "tools": ["a"] } },
        { "name": "all", "per": "global", "quota": 100, "window": "1h" },
    ] }));
    let (ann, bob) = (user("ann"), user("bob"));
    let Admission::Admitted {
        quota, standings, ..
    } = call(&limiter, &ann, "a").await
    else {
        panic!()
    };
    let names: Vec<_> = standings
        .iter()
        .map(|one| (&*one.name, one.quota.remaining))
        .collect();
    assert_eq!(
        names,
        [("tool", 2), ("caller", 4), ("all", 99)],
        "the tightest comes first"
    );
    assert_eq!(quota.map(|quota| quota.remaining), Some(2));
    call(&limiter, &ann, "a").await;
    call(&limiter, &ann, "a").await;
    for _ in 0..10 {
        let refused = call(&limiter, &bob, "a").await;
        assert_eq!(
            refusal(&refused).map(|refusal| refusal.0),
            Some("tool".to_owned())
        );
    }
    // Bob has lost nothing by it, nor has everybody.
    assert_eq!(admitted(&limiter, &bob, "b").await, 5);
    let meta = meta();
    let standings = limiter
        .peek(&charge(&user("carl"), &meta, "tools/call"))
        .await
        .unwrap();
    let all = standings.iter().find(|one| &*one.name == "all").unwrap();
    assert_eq!(all.quota.remaining, 100 - 3 - 5);
    let stats = limiter.stats();
    let of = |name: &str| {
        let limit = stats
            .limits
            .iter()
            .find(|limit| &*limit.name == name)
            .unwrap();
        (limit.admitted, limit.limited)
    };
    assert_eq!(
        (of("tool"), of("caller"), of("all")),
        ((3, 10), (8, 1), (8, 0))
    );
}

#[tokio::test]
async fn each_key_has_a_count_of_its_own() {
    for (per, other_caller, other_tool) in [
        ("caller", true, false),
        ("tool", false, true),
        ("caller_and_tool", true, true),
        ("server", false, false),
        ("caller_and_server", true, false),
        ("global", false, false),
    ] {
        let rule = json!({ "name": "l", "per": per, "quota": 1, "window": "60s" });
        let (limiter, _) = limiter(json!({ "rules": [rule] }));
        let (ann, bob) = (user("ann"), user("bob"));
        assert!(call(&limiter, &ann, "a").await.is_admitted());
        assert!(!call(&limiter, &ann, "a").await.is_admitted(), "{per}");
        assert_eq!(
            call(&limiter, &bob, "a").await.is_admitted(),
            other_caller,
            "{per}"
        );
        assert_eq!(
            call(&limiter, &ann, "b").await.is_admitted(),
            other_tool,
            "{per}"
        );
    }
}

#[tokio::test]
async fn the_first_override_that_matches_counts() {
    let (limiter, _) = limiter(json!({ "rules": [{
        "name": "l", "quota": 1, "window": "60s",
        "overrides": [
            { "for": { "callers": [{ "id": "ann" }], "tools": ["cheap_*"] }, "unlimited": true },
            { "for": { "callers": [{ "id": "ann" }, { "issuer": "https://i.example", "id": "eve" }] }, "quota": 3 },
            { "for": { "roles": ["ops"] }, "quota": 2 },
        ],
    }] }));
    let ops = user("ann").with_roles(["ops"]);
    assert_eq!(admitted(&limiter, &ops, "cheap_one").await, 6_000);
    assert_eq!(admitted(&limiter, &ops, "a").await, 3);
    assert_eq!(
        admitted(&limiter, &user("bob").with_roles(["ops"]), "a").await,
        2
    );
    assert_eq!(
        admitted(&limiter, &user("eve"), "a").await,
        1,
        "another eve"
    );
    let eve = user("eve").with_issuer("https://i.example");
    assert_eq!(admitted(&limiter, &eve, "a").await, 3);
}

#[tokio::test]
async fn tools_may_cost_more_or_nothing() {
    let (limiter, _) = limiter(json!({
        "calls_per_minute": 10,
        "costs": [
            { "tools": ["search_free"], "cost": 0 },
            { "tools": ["search_*", "find"], "cost": 4 },
        ],
    }));
    let ann = user("ann");
    assert_eq!(admitted(&limiter, &ann, "search_free").await, 6_000);
    assert_eq!(admitted(&limiter, &ann, "find").await, 2);
    assert_eq!(
        admitted(&limiter, &ann, "a").await,
        2,
        "units that were left"
    );
    // A prompt of that name is no tool.
    let bob = user("bob");
    let prompt = admit(&limiter, &bob, "prompts/get", Some("find")).await;
    let Admission::Admitted {
        quota: Some(quota), ..
    } = prompt
    else {
        panic!()
    };
    assert_eq!(quota.remaining, 9);
}

#[tokio::test]
async fn invented_names_make_no_keys() {
    let rules = json!([
        { "name": "tool", "per": "tool", "quota": 5, "window": "60s" },
        { "name": "caller", "quota": 1000, "window": "60s" },
    ]);
    let (limiter, _) = limiter(json!({ "rules": rules }));
    for n in 0..100 {
        // The pipeline gives no name for what nobody serves.
        let admission = admit(&limiter, &user("ann"), "tools/call", None).await;
        assert_eq!(admission.is_admitted(), n < 5);
    }
    assert_eq!(limiter.stats().store.keys, 2);
    assert!(call(&limiter, &user("ann"), "a").await.is_admitted());
}

#[tokio::test]
async fn what_is_no_call_has_a_bound_of_its_own() {
    let (limiter, _) = limiter(json!({
        "calls_per_minute": 1, "other": { "quota": 3, "window": "60s" },
    }));
    let ann = user("ann");
    assert!(call(&limiter, &ann, "a").await.is_admitted());
    for method in ["tools/list", "ping", "initialize"] {
        assert!(admit(&limiter, &ann, method, None).await.is_admitted());
    }
    let refused = admit(&limiter, &ann, "resources/list", None).await;
    assert_eq!(
        refusal(&refused).map(|refusal| refusal.0),
        Some("other".to_owned())
    );
    assert!(
        admit(&limiter, &user("bob"), "ping", None)
            .await
            .is_admitted()
    );
}

#[tokio::test]
async fn a_burst_is_on_top_now_and_then_and_not_in_the_long_run() {
    let rule = json!({ "name": "l", "quota": 60, "window": "60s", "burst": 30 });
    let (limiter, clock) = limiter(json!({ "rules": [rule] }));
    let ann = user("ann");
    assert_eq!(admitted(&limiter, &ann, "a").await, 90);
    let refused = call(&limiter, &ann, "a").await;
    let Admission::Limited {
        quota, standings, ..
    } = &refused
    else {
        panic!()
    };
    assert_eq!(
        (quota.limit, standings[0].burst, standings.len()),
        (60, 30, 1)
    );
    // A minute later the quota has come back, and the burst has not.
    clock.advance(Duration::from_secs(60));
    assert_eq!(admitted(&limiter, &ann, "a").await, 60);
    clock.advance(Duration::from_secs(60));
    assert_eq!(admitted(&limiter, &ann, "a").await, 60);
    // Who was idle for long enough has it again.
    clock.advance(Duration::from_secs(90));
    assert_eq!(admitted(&limiter, &ann, "a").await, 90);
}

#[tokio::test]
async fn with_a_penalty_refused_calls_count() {
    let rule = json!({ "name": "l", "quota": 2, "window": "60s", "penalty": true });
    let (limiter, clock) = limiter(json!({ "rules": [rule] }));
    let ann = user("ann");
    assert_eq!(admitted(&limiter, &ann, "a").await, 2);
    for _ in 0..10 {
        clock.advance(Duration::from_secs(29));
        assert!(!call(&limiter, &ann, "a").await.is_admitted());
    }
    clock.advance(Duration::from_secs(60));
    assert!(call(&limiter, &ann, "a").await.is_admitted());
}

#[tokio::test]
async fn so_many_are_under_way_and_no_more() {
    let (limiter, _) = limiter(json!({
        "calls_per_minute": 100,
        "concurrent": [
            { "name": "busy", "max": 2 },
            { "name": "slow", "per": "tool", "max": 1, "for": { "tools": ["slow"] } },
        ],
    }));
    let (ann, bob) = (user("ann"), user("bob"));
    let first = call(&limiter, &ann, "slow").await;
    let Admission::Admitted {
        standings, hold, ..
    } = &first
    else {
        panic!()
    };
    assert!(hold.is_some());
    let windows: Vec<_> = standings
        .iter()
        .map(|one| (&*one.name, one.window.is_some()))
        .collect();
    assert_eq!(
        windows,
        [("calls_per_minute", true), ("slow", false), ("busy", false)]
    );
    assert_eq!(
        refusal(&call(&limiter, &bob, "slow").await),
        Some(("slow".to_owned(), 1))
    );
    let second = call(&limiter, &ann, "b").await;
    assert!(second.is_admitted());
    assert_eq!(
        refusal(&call(&limiter, &ann, "c").await),
        Some(("busy".to_owned(), 1))
    );
    assert_eq!(limiter.stats().under_way, 2);
    // What was refused is charged nothing, and holds nothing.
    let meta = meta();
    let left = limiter
        .peek(&charge(&ann, &meta, "tools/call"))
        .await
        .unwrap();
    let left: Vec<_> = left
        .iter()
        .map(|one| (&*one.name, one.quota.remaining))
        .collect();
    assert_eq!(left, [("calls_per_minute", 98), ("busy", 0)]);
    drop((first, second));
    assert_eq!(limiter.stats().under_way, 0);
    assert!(call(&limiter, &bob, "slow").await.is_admitted());
}

#[tokio::test]
async fn a_call_that_its_quota_refuses_is_not_under_way() {
    let (limiter, _) = limiter(json!({
        "calls_per_minute": 1, "concurrent": [{ "name": "busy", "max": 1 }],
    }));
    let ann = user("ann");
    drop(call(&limiter, &ann, "a").await);
    let refused = call(&limiter, &ann, "a").await;
    assert_eq!(
        refusal(&refused).map(|refusal| refusal.0),
        Some("calls_per_minute".to_owned())
    );
    assert_eq!(limiter.stats().under_way, 0);
}

#[tokio::test]
async fn addresses_are_limited_before_anything_is_known() {
    let rule = json!({ "name": "address", "per": "address", "quota": 2, "window": "1s" });
    let (limiter, clock) = limiter(json!({ "rules": [rule] }));
    let addr = Some("192.0.2.1".parse().unwrap());
    for _ in 0..2 {
        assert!(limiter.admit_address(addr).await.unwrap().is_admitted());
    }
    let refused = limiter.admit_address(addr).await.unwrap();
    assert_eq!(refusal(&refused), Some(("address".to_owned(), 1)));
    assert!(
        limiter
            .admit_address(Some("192.0.2.2".parse().unwrap()))
            .await
            .unwrap()
            .is_admitted()
    );
    assert!(
        call(&limiter, &user("ann"), "a").await.is_admitted(),
        "a call is not asked again"
    );
    clock.advance(Duration::from_secs(1));
    assert!(limiter.admit_address(addr).await.unwrap().is_admitted());
}

#[tokio::test]
async fn other_limits_take_over_the_counts() {
    let with = |quota| json!({ "rules": [{ "name": "l", "quota": quota, "window": "60s" }] });
    let (first, _) = limiter(with(10));
    let ann = user("ann");
    for _ in 0..6 {
        assert!(call(&first, &ann, "a").await.is_admitted());
    }
    let lower = first.with_set(LimitSet::new(&config(with(5))).unwrap());
    assert!(
        !call(&lower, &ann, "a").await.is_admitted(),
        "a lower quota holds at once"
    );
    let greater = lower.with_set(LimitSet::new(&config(with(8))).unwrap());
    assert_eq!(
        admitted(&greater, &ann, "a").await,
        2,
        "a greater one forgives nothing"
    );
    let meta = meta();
    greater
        .forget(&charge(&ann, &meta, "tools/call"))
        .await
        .unwrap();
    assert_eq!(admitted(&greater, &ann, "a").await, 8);
    let apart = greater.clone().with_tenant("other");
    assert_eq!(admitted(&apart, &ann, "a").await, 8);
}

#[tokio::test]
async fn a_quota_by_the_calendar_begins_anew() {
    let rule = json!({ "name": "day", "quota": 2, "period": "day" });
    let (limiter, clock) = limiter(json!({ "rules": [rule] }));
    let ann = user("ann");
    assert_eq!(admitted(&limiter, &ann, "a").await, 2);
    let Admission::Limited { retry_after, .. } = call(&limiter, &ann, "a").await else {
        panic!()
    };
    clock.advance(retry_after.saturating_sub(Duration::from_micros(1)));
    assert!(!call(&limiter, &ann, "a").await.is_admitted());
    clock.advance(Duration::from_micros(1));
    assert_eq!(admitted(&limiter, &ann, "a").await, 2);
}

#[tokio::test]
async fn a_store_that_fails_refuses_and_holds_nothing() {
    struct Broken;
    #[async_trait]
    impl Store for Broken {
        async fn charge(&self, _: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
            Err(StoreError::new("down"))
        }
        async fn peek(&self, _: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
            Ok(Vec::new())
        }
        async fn reset(&self, _: &[Demand<'_>]) -> Result<(), StoreError> {
            Err(StoreError::new("down"))
        }
        fn is_shared(&self) -> bool {
            true
        }
        fn stats(&self) -> StoreStats {
            StoreStats::default()
        }
    }
    let config = config(json!({
        "calls_per_minute": 1, "concurrent": [{ "name": "busy", "max": 1 }],
    }));
    let limiter = Limiter::new(LimitSet::new(&config).unwrap(), Arc::new(Broken));
    let (ann, meta) = (user("ann"), meta());
    let charge = charge(&ann, &meta, "tools/call");
    assert_eq!(limiter.admit(&charge).await.unwrap_err().reason, "down");
    assert_eq!(limiter.stats().under_way, 0);
    assert!(limiter.forget(&charge).await.is_err());
    assert!(
        limiter.peek(&charge).await.is_err(),
        "an answer for each demand, or none"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_do() {
    let wrong = json!({
        "calls_per_minute": 0,
        "keys": 0,
        "other": { "quota": 0 },
        "rules": [
            { "name": "zero", "quota": 0, "window": "60s" },
            { "name": "great", "quota": u64::MAX, "window": "60s" },
            { "name": "sum", "quota": 1, "window": "60s", "burst": u64::MAX },
            { "name": "never", "quota": 1, "window": "0s" },
            { "name": "years", "quota": 1, "window": "20000h" },
            { "name": "open", "quota": 1 },
            { "name": "both", "quota": 1, "window": "1s", "period": "day" },
            { "name": "both", "quota": 1, "window": "1s" },
            { "name": "at once", "quota": 1, "window": "1s" },
            { "name": "other", "quota": 1, "window": "1s" },
            { "name": "even", "quota": 1, "window": "1s", "algorithm": "gcra" },
            { "name": "slow", "quota": 1, "window": "8000h", "algorithm": "gcra", "burst": 900 },
            { "name": "day", "quota": 1, "period": "day", "burst": 1 },
            { "name": "early", "per": "address", "quota": 1, "window": "1s", "for": { "roles": ["a"] } },
            { "name": "over", "quota": 1, "window": "1s", "overrides": [
                { "quota": 5 },
                { "for": { "tools": [""], "callers": [{}] }, "unlimited": true },
                { "for": { "tools": ["a"] } },
                { "for": { "tools": ["a"] }, "quota": 1, "unlimited": true },
                { "for": { "tools": ["a"] }, "quota": 0 },
            ] },
        ],
        "costs": [{ "cost": 2 }, { "tools": ["a"] }],
        "concurrent": [
            { "name": "none", "max": 0 },
            { "name": "where", "max": 1, "per": "address" },
        ],
    });
    insta::assert_snapshot!(faults(wrong).join("\n"));
}

#[test]
fn a_cost_that_no_limit_can_hold_is_a_fault() {
    let with = |cost| {
        config(json!({ "calls_per_minute": 5, "costs": [{ "tools": ["a"], "cost": cost }] }))
    };
    assert!(LimitSet::new(&with(5)).is_ok());
    let [fault] = &LimitSet::new(&with(6)).unwrap_err()[..] else {
        panic!()
    };
    let text = fault.to_string();
    assert!(
        text.starts_with("limits.costs[0].cost: a call for 6 would never fit"),
        "{text}"
    );
}

#[test]
fn keys_that_nobody_knows_and_negative_numbers_are_not_read() {
    for wrong in [
        json!({ "call_per_minute": 5 }),
        json!({ "calls_per_minute": -5 }),
        json!({ "rules": [{ "name": "l", "quota": 1, "windows": "1s" }] }),
        json!({ "rules": [{ "name": "l", "quota": 1.5 }] }),
        json!({ "rules": [{ "name": "l", "per": "planet" }] }),
        json!({ "rules": [{ "name": "l", "overrides": [{ "for": { "tool": ["a"] } }] }] }),
    ] {
        assert!(
            serde_json::from_value::<LimitsConfig>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
    for quota in ["18446744073709551616", "1e300", "-0.5", "\"5\"", "null"] {
        let text =
            format!(r#"{{ "rules": [{{ "name": "l", "window": "1d", "quota": {quota} }}] }}"#);
        let read = serde_json::from_str::<LimitsConfig>(&text);
        assert!(read.is_err(), "{quota}");
    }
}

#[test]
fn patterns_that_match_nothing_are_told_with_what_may_be_meant() {
    let set = LimitSet::new(&config(json!({
        "rules": [{
            "name": "l", "quota": 1, "window": "1s", "for": { "servers": ["wether"] },
            "overrides": [{ "for": { "tools": ["get_*", "serch_web"] }, "quota": 2 }],
        }],
        "costs": [{ "tools": ["x"], "cost": 1 }],
        "concurrent": [{ "name": "c", "max": 1, "for": { "tools": ["get_user"] } }],
    })))
    .unwrap();
    let warnings = set.unmatched(&["get_user", "search_web"], &["weather"]);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "limits.rules[0].for.servers[0]: no server matches `wether`; did you mean `weather`?",
            "limits.rules[0].overrides[0].for.tools[1]: no tool matches `serch_web`; did you mean \
             `search_web`?",
            "limits.costs[0].tools[0]: no tool matches `x`; look at the names of the tools, or \
             leave it out",
        ]
    );
}

#[tokio::test]
async fn totals_go_on_with_another_set_and_another_store() {
    let (limiter, clock) = limiter(json!({ "calls_per_minute": 2 }));
    let totals = |limiter: &Limiter| -> Vec<(String, u64, u64)> {
        let limits = limiter.stats().limits.into_iter();
        limits
            .map(|one| (one.name.to_string(), one.admitted, one.limited))
            .collect()
    };
    assert_eq!(admitted(&limiter, &user("ann"), "a").await, 2);
    let set = |quota: u64| LimitSet::new(&config(json!({ "calls_per_minute": quota }))).unwrap();
    let limiter = limiter.with_set(set(3));
    assert_eq!(admitted(&limiter, &user("ann"), "a").await, 1);
    let expected = ("calls_per_minute".to_owned(), 3, 2);
    assert_eq!(totals(&limiter)[0], expected);
    let store = Arc::new(MemoryStore::new(clock));
    let limiter = limiter.with_set_and_store(set(3), store);
    assert_eq!(admitted(&limiter, &user("ann"), "a").await, 3, "new counts");
    assert_eq!(totals(&limiter)[0], ("calls_per_minute".to_owned(), 6, 3));
}

#[tokio::test]
async fn an_address_that_nobody_knows_is_one_like_any_other() {
    let (limiter, _) = limiter(json!({
        "rules": [{ "name": "door", "per": "address", "quota": 1, "window": "60s" }],
    }));
    let knock = async |addr: Option<IpAddr>| {
        let answer = limiter.admit_address(addr).await;
        answer.unwrap().is_admitted()
    };
    assert!(knock(None).await && !knock(None).await);
    assert!(knock(Some(IpAddr::from([192, 0, 2, 1]))).await);
}

#[tokio::test]
async fn a_limiter_says_when_it_counts_items_in_different_ways() {
    let rule = |more: serde_json::Value| {
        let mut rule = json!({ "name": "r", "quota": 5, "window": "60s" });
        let members = more.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(members);
        json!({ "rules": [rule] })
    };
    for (limits, apart) in [
        (json!({}), false),
        (
            json!({ "calls_per_minute": 5, "classes": "standard" }),
            false,
        ),
        (
            rule(json!({ "for": { "roles": ["a"], "kinds": ["user"] } })),
            false,
        ),
        (rule(json!({ "per": "global" })), false),
        (rule(json!({ "per": "address" })), false),
        (rule(json!({ "per": "tool" })), true),
        (rule(json!({ "per": "server" })), true),
        (rule(json!({ "per": "caller_and_tool" })), true),
        (rule(json!({ "per": "caller_and_server" })), true),
        (rule(json!({ "for": { "tools": ["a*"] } })), true),
        (rule(json!({ "for": { "servers": ["a"] } })), true),
        (
            rule(json!({ "overrides": [{ "for": { "tools": ["a"] }, "quota": 1 }] })),
            true,
        ),
        (
            json!({ "calls_per_minute": 5, "costs": [{ "tools": ["a"], "cost": 2 }] }),
            true,
        ),
        (json!({ "concurrent": [{ "name": "c", "max": 1 }] }), false),
        (
            json!({ "concurrent": [{ "name": "c", "max": 1, "per": "server" }] }),
            true,
        ),
        (
            json!({ "concurrent": [{ "name": "c", "max": 1, "for": { "tools": ["a"] } }] }),
            true,
        ),
    ] {
        let (limiter, _) = limiter(limits.clone());
        let (caller, meta) = (user("ann"), meta());
        for method in ["tools/call", "resources/read"] {
            let asked = limiter.tells_items_apart(&charge(&caller, &meta, method).of(None, None));
            assert_eq!(asked, apart, "{method} {limits}");
        }
        let list = charge(&caller, &meta, "tools/list").of(None, None);
        assert!(!limiter.tells_items_apart(&list), "{limits}");
        if !apart {
            // Then nothing says which item it was.
            let names = ["a", "b"].map(|name| call(&limiter, &caller, name));
            let [a, b] = names;
            assert_eq!(limits_of(&a.await), limits_of(&b.await), "{limits}");
        }
    }
}

fn limits_of(admission: &Admission) -> Vec<String> {
    let standings = match admission {
        Admission::Admitted { standings, .. } | Admission::Limited { standings, .. } => standings,
        other => panic!("{other:?}"),
    };
    standings.iter().map(|one| one.name.to_string()).collect()
}

/// Whoever has many addresses and no key.
#[tokio::test]
async fn a_flood_of_addresses_uses_up_no_room_of_callers() {
    let (limiter, _) = limiter(json!({
        "keys": 8, "addresses": 8,
        "rules": [
            { "name": "minute", "quota": 5, "window": "60s" },
            { "name": "door", "per": "address", "quota": 1000, "window": "60s" },
        ],
    }));
    for n in 0..700_u128 {
        let addr = IpAddr::from((0x2001_0db8_u128 << 96 | n << 64).to_be_bytes());
        assert!(
            limiter
                .admit_address(Some(addr))
                .await
                .unwrap()
                .is_admitted()
        );
    }
    for id in ["ann", "bob", "cy"] {
        assert_eq!(admitted(&limiter, &user(id), "a").await, 5, "{id}");
    }
    let stats = limiter.stats();
    assert_eq!(stats.store.folded, 0);
    assert!(stats.addresses.unwrap().folded > 600, "{stats:?}");
}

#[test]
fn addresses_are_not_counted_for_long() {
    let rule = |more: serde_json::Value| {
        let mut rule = json!({ "name": "door", "per": "address", "quota": 5 });
        let members = more.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(members);
        json!({ "rules": [rule] })
    };
    for (more, at) in [
        (json!({ "period": "month" }), "limits.rules[0].period: "),
        (json!({ "window": "2h" }), "limits.rules[0].window: "),
    ] {
        let found = faults(rule(more));
        assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
    }
    assert!(LimitSet::new(&config(rule(json!({ "window": "1h" })))).is_ok());
}
