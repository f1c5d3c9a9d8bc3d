//! What is wrong with bursts.

use super::*;

#[test]
fn faults_of_a_burst_point_at_it() {
    let most = 1_000_000_000_u64;
    let sum = json!({ "name": "sum", "quota": 1, "window": "60s", "burst": most });
    let fast = json!({ "name": "fast", "quota": most, "window": "1ms", "algorithm": "gcra", "burst": most });
    let slow =
        json!({ "name": "slow", "quota": 1, "window": "366d", "algorithm": "gcra", "burst": 100 });
    let own = json!({ "name": "own", "quota": 5, "window": "60s", "burst": 5, "overrides": [
        { "for": { "callers": [{ "id": "ann" }] }, "quota": 5, "burst": most },
        { "for": { "callers": [{ "id": "bob" }] }, "quota": most },
    ] });
    assert_eq!(
        faults(json!({ "rules": [sum, fast, slow, own] })),
        [
            "limits.rules[0].burst: the quota with its burst is above 1000000000; \
             make the burst a part of the quota",
            "limits.rules[1].burst: the burst is too great for this quota and window; make it smaller",
            "limits.rules[2].burst: the burst is too great for this quota and window; make it smaller",
            "limits.rules[3].overrides[0].burst: the quota with its burst is above 1000000000; \
             make the burst a part of the quota",
            "limits.rules[3].overrides[1].quota: the quota with its burst is above 1000000000; \
             make the burst a part of the quota",
        ]
    );
}
