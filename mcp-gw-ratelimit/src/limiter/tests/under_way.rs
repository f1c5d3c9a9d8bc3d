//! Limits on what is under way, beside limits that a store takes its time to decide on.

use std::sync::Arc;

use mcp_gw_core::Admission;
use tokio::sync::Semaphore;

use super::*;

/// A store that decides as often as it is told to.
struct Slow(MemoryStore, Semaphore);

#[async_trait]
impl Store for Slow {
    async fn charge(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        self.1.acquire().await.unwrap().forget();
        self.0.charge(demands).await
    }

    async fn peek(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        self.0.peek(demands).await
    }

    async fn reset(&self, demands: &[Demand<'_>]) -> Result<(), StoreError> {
        self.0.reset(demands).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

fn slow(limits: serde_json::Value) -> (Arc<Limiter>, Arc<Slow>) {
    let memory = MemoryStore::new(ManualClock::new());
    let store = Arc::new(Slow(memory, Semaphore::new(0)));
    let set = LimitSet::new(&config(limits)).unwrap();
    (
        Arc::new(Limiter::new(set, Arc::<Slow>::clone(&store))),
        store,
    )
}

/// Comes as `id`; the answer is that of the limiter, and ends the call.
fn come(limiter: &Arc<Limiter>, id: &'static str) -> tokio::task::JoinHandle<Admission> {
    let limiter = Arc::clone(limiter);
    tokio::spawn(async move { call(&limiter, &user(id), "a").await })
}

/// Lets everything go on that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_is_over_a_quota_takes_no_place_from_others() {
    let (limiter, store) = slow(json!({
        "rules": [{ "name": "w", "quota": 1000, "window": "60s", "overrides": [
            { "for": { "callers": [{ "id": "mal" }] }, "quota": 1 }] }],
        "concurrent": [{ "name": "c", "per": "server", "max": 4 }],
    }));
    store.1.add_permits(1);
    assert!(come(&limiter, "mal").await.unwrap().is_admitted());
    let mut mal: Vec<_> = (0..40).map(|_| come(&limiter, "mal")).collect();
    settle().await;
    for _ in 0..20 {
        let bob = come(&limiter, "bob");
        settle().await;
        // The places are asked for by calls that will be refused; two of those are in front of bob at
        // most, and his own question comes then.
        store.1.add_permits(4 + 2);
        settle().await;
        assert!(bob.is_finished(), "he waits for no more than that");
        assert!(bob.await.unwrap().is_admitted());
        mal.push(come(&limiter, "mal"));
    }
    store.1.add_permits(1_000);
    for one in mal {
        let (name, _) = refusal(&one.await.unwrap()).expect("it is over its quota");
        assert_eq!(name, "w", "it is not told of places that it never had");
    }
    assert_eq!(limiter.stats().under_way, 0);
}

#[tokio::test]
async fn what_is_refused_for_want_of_a_place_costs_nothing_but_a_penalty() {
    let rule =
        |name, penalty| json!({ "name": name, "quota": 5, "window": "60s", "penalty": penalty });
    let (limiter, clock) = limiter(json!({
        "rules": [rule("mild", false), rule("hard", true)],
        "concurrent": [{ "name": "c", "max": 1 }],
    }));
    let ann = user("ann");
    let left = async || {
        let meta = meta();
        let all = limiter.peek(&charge(&ann, &meta, "tools/call")).await;
        let all = all.unwrap();
        let left = |name| {
            all.iter()
                .find(|it| &*it.name == name)
                .unwrap()
                .quota
                .remaining
        };
        (left("mild"), left("hard"))
    };
    let first = call(&limiter, &ann, "a").await;
    assert!(first.is_admitted());
    assert_eq!(left().await, (4, 4));
    for n in 1..=4 {
        let refused = call(&limiter, &ann, "a").await;
        assert_eq!(refusal(&refused), Some(("c".to_owned(), 1)));
        assert_eq!(left().await, (4, 4 - n));
    }
    clock.advance(Duration::from_secs(30));
    let refused = call(&limiter, &ann, "a").await;
    assert_eq!(refusal(&refused).unwrap().0, "hard", "which takes longer");
    drop(first);
    clock.advance(Duration::from_secs(31));
    let refused = call(&limiter, &ann, "a").await;
    assert!(
        refused.is_admitted(),
        "of five refusals only the last counts still: {refused:?}"
    );
}

#[tokio::test]
async fn a_call_that_goes_on_needs_no_second_place_and_costs_as_any_other() {
    let (limiter, _) = limiter(json!({
        "calls_per_minute": 3,
        "concurrent": [{ "name": "one", "max": 1 }],
    }));
    let (ann, meta) = (user("ann"), meta());
    let mut charge = charge(&ann, &meta, "tools/call");
    charge.name = Some("a");
    charge.server = Some("test");
    let waits = limiter.admit(&charge).await.unwrap();
    assert!(waits.is_admitted());
    let busy = limiter.admit(&charge).await.unwrap();
    assert_eq!(refusal(&busy), Some(("one".to_owned(), 1)));
    charge.goes_on = true;
    for _ in 0..2 {
        let round = limiter.admit(&charge).await.unwrap();
        assert!(round.is_admitted(), "the call that waits has the place");
    }
    let round = limiter.admit(&charge).await.unwrap();
    let (limit, _) = refusal(&round).expect("a round costs a unit");
    assert_eq!(limit, "calls_per_minute");
    charge.goes_on = false;
    drop(waits);
    let next = limiter.admit(&charge).await.unwrap();
    let (limit, _) = refusal(&next).expect("the place is free again, the minute is not over");
    assert_eq!(limit, "calls_per_minute");
}

/// A quota that is used up as well is told of, with its wait: who came back after a moment would only
/// be refused again.
#[tokio::test]
async fn where_quotas_refuse_too_the_longest_is_told() {
    for penalty in [false, true] {
        let (limiter, _clock) = limiter(json!({
            "rules": [
                { "name": "w", "quota": 1, "window": "1h", "penalty": penalty },
                { "name": "v", "quota": 9, "window": "1h" },
            ],
            "concurrent": [{ "name": "c", "max": 1 }],
        }));
        let ann = user("ann");
        let first = call(&limiter, &ann, "a").await;
        assert!(first.is_admitted());
        let second = call(&limiter, &ann, "a").await;
        let (name, wait) = refusal(&second).unwrap();
        assert_eq!((name.as_str(), wait / 60), ("w", 60), "{second:?}");
        let Admission::Limited { standings, .. } = &second else {
            panic!("{second:?}");
        };
        let told = standings
            .iter()
            .map(|one| (&*one.name, one.quota.remaining));
        assert_eq!(told.collect::<Vec<_>>(), [("w", 0), ("c", 0), ("v", 8)]);
        let stats = limiter.stats().limits;
        let refusing = stats.iter().map(|one| (&*one.name, one.limited));
        let refusing: Vec<_> = refusing.filter(|(_, count)| *count > 0).collect();
        assert_eq!(refusing, [("w", 1), ("c", 1)]);
        drop(first);
    }
}
