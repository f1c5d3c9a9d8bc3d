//! The store against the maths, alone and under floods.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::sync::Barrier;

use mcp_gw_core::testing::ManualClock;
use proptest::prelude::*;

use super::*;
use crate::algorithm::{Algorithm, Period};
use crate::maths::check_at;

fn sliding(name: &str, quota: u64) -> Limit {
    Limit::new(
        name,
        quota,
        Duration::from_secs(60),
        Algorithm::SlidingWindow,
    )
    .unwrap()
}

fn key(n: u64) -> Key {
    // As well spread as a hash.
    let a = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_le_bytes());
    bytes[8..].copy_from_slice(&(b ^ (b >> 32)).to_le_bytes());
    Key::from_bytes(bytes)
}

fn one(store: &MemoryStore, limit: &Limit, key: Key, cost: u64) -> Standing {
    store.charge_now(&[Demand::new(limit, key, cost)])[0]
}

/// A window, a great window, a bucket, one with a penalty, and a quota by the day.
fn five() -> [Limit; 5] {
    let minute = Duration::from_secs(60);
    let bucket = Algorithm::gcra(NonZeroU64::new(3).unwrap());
    [
        sliding("window", 5),
        sliding("great", 300),
        Limit::new("bucket", 20, minute, bucket).unwrap(),
        sliding("penalty", 6).with_penalty(true),
        Limit::new("day", 40, minute, Algorithm::Calendar(Period::Day)).unwrap(),
    ]
}

proptest! {
    /// Several limits at once, against the maths applied to each: all are charged or none.
    #[test]
    fn decides_as_the_maths_does(
        steps in proptest::collection::vec(
            (0_u64..30, proptest::collection::vec((0_usize..5, 0_u64..4, 0_u64..4), 0..5)), 0..60,
        ),
    ) {
        let (limits, clock) = (five(), ManualClock::new());
        let store = MemoryStore::with_room(clock.clone(), 1_000);
        let start = clock.now();
        let mut states: HashMap<(usize, u64), State> = HashMap::new();
        for (seconds, asked) in steps {
            clock.advance(Duration::from_secs(seconds));
            // A key occurs once in a decision.
            let asked: BTreeMap<_, _> = asked.iter().map(|(l, n, cost)| ((*l, *n), *cost)).collect();
            let of = |(limit, n): (usize, u64)| key(n * 10 + limit as u64);
            let demands: Vec<_> = asked.iter()
                .map(|(id, cost)| Demand::new(&limits[id.0], of(*id), *cost)).collect();
            let now = |limit: usize| match limit {
                4 => unix(clock.wall()),
                _ => micros(clock.now() - start),
            };
            let ask = |id: (usize, u64), limit: &Limit, cost| {
                let state = states.get(&id).cloned().unwrap_or_default();
                check_at(state, now(id.0), limit, cost)
            };
            let looks = store.peek_now(&demands);
            let all = asked.iter().all(|(id, cost)| *cost == 0 || ask(*id, &limits[id.0], *cost).1.admitted);
            let standings = store.charge_now(&demands);
            let mut next = Vec::new();
            for (((id, cost), standing), look) in asked.iter().zip(&standings).zip(looks) {
                let limit = &limits[id.0];
                let (state, expected) = ask(*id, limit, *cost);
                let (_, before) = ask(*id, limit, 0);
                prop_assert_eq!(look.admitted, standing.admitted);
                prop_assert_eq!(look.remaining, before.remaining);
                if all || limit.penalty() {
                    prop_assert_eq!(*standing, expected);
                    next.push((*id, state));
                } else {
                    prop_assert_eq!(standing.admitted, expected.admitted);
                    prop_assert_eq!(standing.remaining, before.remaining);
                    prop_assert_eq!(standing.retry_after, expected.retry_after);
                }
            }
            states.extend(next);
        }
    }

    /// However full the store is, nobody gets more than the limit in any window.
    #[test]
    fn no_key_gains_by_a_full_store(
        steps in proptest::collection::vec((0_u64..20, 0_u64..12), 0..200), room in 1_usize..8,
    ) {
        let (limit, clock) = (sliding("l", 3), ManualClock::new());
        let store = MemoryStore::with_room(clock.clone(), room);
        let mut log: HashMap<u64, Vec<std::time::Instant>> = HashMap::new();
        for (seconds, n) in steps {
            clock.advance(Duration::from_secs(seconds));
            let now = clock.now();
            let admitted = one(&store, &limit, key(n), 1).admitted;
            let log = log.entry(n).or_default();
            log.retain(|at| now - *at < Duration::from_secs(60));
            prop_assert!(!admitted || log.len() < 3, "{n} got a fourth");
            if admitted {
                log.push(now);
            }
            prop_assert!(store.stats().keys <= room as u64);
        }
    }
}

#[test]
fn a_flood_of_keys_takes_bounded_memory_and_resets_nobody() {
    let (limit, clock) = (sliding("l", 2), ManualClock::new());
    let store = MemoryStore::with_room(clock.clone(), 20_000);
    let known = key(u64::MAX);
    assert!(one(&store, &limit, known, 2).admitted);
    let mut admitted = 0;
    for n in 0..1_000_000 {
        admitted += u64::from(one(&store, &limit, key(n), 1).admitted);
    }
    let stats = store.stats();
    assert!(stats.keys <= 20_032, "{stats:?}");
    assert_eq!(stats.evicted, 0, "all of them are active");
    // One call each for those that found a place, and the bucket for all others.
    assert_eq!(admitted, stats.keys - 1 + 2);
    assert_eq!(stats.folded, 2);
    assert!(store.bytes() < 20_000 * 120, "{}", store.bytes());
    assert!(
        !one(&store, &limit, known, 1).admitted,
        "the flood has reset a limit"
    );
    // When the flood has ended, its keys go, a few with each call, after a while: a minute of the
    // limit, and one in which they could come back.
    clock.advance(Duration::from_secs(60));
    for n in 0..20_000 {
        one(&store, &limit, key(n % 500), 1);
    }
    assert_eq!(store.stats().keys, stats.keys, "there is room");
    clock.advance(Duration::from_secs(61));
    for n in 0..120_000 {
        one(&store, &limit, key(n % 500), 1);
    }
    assert!(store.stats().keys < 1_000, "{:?}", store.stats());
    assert!(store.bytes() < 300_000, "{}", store.bytes());
}

/// Each place is found by somebody, whatever part of the store it is in, before keys share a bucket.
#[test]
fn all_places_are_used_before_keys_share() {
    for room in [1, 64, 640, 4_096] {
        let (limit, clock) = (sliding("l", 5), ManualClock::new());
        let store = MemoryStore::with_room(clock.clone(), room);
        let room = room as u64;
        for n in 0..room {
            assert!(one(&store, &limit, key(n), 1).admitted, "{n} of {room}");
        }
        let stats = store.stats();
        assert_eq!((stats.keys, stats.folded), (room, 0));
        let more = (room..room + 1_000).filter(|n| one(&store, &limit, key(*n), 1).admitted);
        assert_eq!(more.count(), 5, "one bucket for all others");
        assert_eq!(store.stats().keys, room);
        // Places that nobody needs any more are found by those who come next, wherever they are. The
        // last of them may take some looking for.
        clock.advance(Duration::from_secs(60));
        for n in 0..room.div_ceil(2) {
            let id = key(1_000_000 + n);
            assert!(one(&store, &limit, id, 1).admitted, "{n} of {room}");
        }
        assert!(store.stats().keys <= room);
    }
}

/// Places that get free while the shared bucket is used up are good for those who used none of it.
#[test]
fn a_used_up_bucket_refuses_nobody_else_a_free_place() {
    let (limit, clock) = (sliding("l", 2), ManualClock::new());
    let store = MemoryStore::with_room(clock.clone(), 1);
    assert!(one(&store, &limit, key(0), 1).admitted);
    clock.advance(Duration::from_secs(30));
    for _ in 0..2 {
        assert!(one(&store, &limit, key(1), 1).admitted, "of the bucket");
    }
    assert!(!one(&store, &limit, key(2), 1).admitted, "it is used up");
    clock.advance(Duration::from_secs(31));
    assert!(
        !one(&store, &limit, key(1), 1).admitted,
        "a place of its own forgives nothing"
    );
    for _ in 0..2 {
        assert!(one(&store, &limit, key(2), 1).admitted, "the place of 0");
    }
    assert!(!one(&store, &limit, key(2), 1).admitted);
}

/// Callers who come in turns, few and many, each turn others: keys are moved for the first turns, and
/// not for each. When few are left, memory is given back.
#[test]
fn callers_who_swing_are_not_moved_each_time() {
    let (limit, clock) = (sliding("l", 5), ManualClock::new());
    let store = MemoryStore::with_room(clock.clone(), 100_000);
    let moved = || {
        let shards = store.tables.shards.iter();
        shards.map(|shard| shard.enter().moved()).sum::<usize>()
    };
    let mut next = 0;
    // A call each, evenly over two minutes, and as many again of those who came in this turn.
    let mut turn = |callers: u64| {
        let first = next;
        for n in 0..2 * callers {
            if n % (callers / 60) == 0 {
                clock.advance(Duration::from_secs(1));
            }
            let id = if n % 2 == 0 {
                first + n / 2
            } else {
                first + n / 4
            };
            assert!(one(&store, &limit, key(id), 1).admitted);
        }
        next += callers;
        store.bytes()
    };
    let most = (0..3).map(|_| turn(12_000).max(turn(4_000))).max();
    let (before, most) = (moved(), most.unwrap());
    for _ in 0..5 {
        let _ = turn(12_000);
        let bytes = turn(4_000);
        // A part of the store may get a few more than ever before.
        assert!(bytes <= most + most / 4, "{bytes} {most}");
    }
    let since = moved() - before;
    assert!(
        since < 5 * 16_000 / 10,
        "{since} were moved for 80,000 new keys"
    );
    for _ in 0..7 {
        let _ = turn(600);
    }
    assert!(store.bytes() < most / 2, "{} {most}", store.bytes());
    assert!(moved() - before < 16_000, "{}", moved() - before);
}

#[test]
fn a_million_keys_take_less_than_120_megabytes() {
    let (limit, clock) = (sliding("l", 100), ManualClock::new());
    let store = MemoryStore::with_room(clock, 1_100_000);
    for n in 0..1_000_000 {
        one(&store, &limit, key(n), 1);
    }
    assert_eq!(store.stats().keys, 1_000_000);
    assert!(store.bytes() < 95_000_000, "{}", store.bytes());
}

#[test]
fn a_million_keys_with_several_units_each_take_less_than_120_megabytes() {
    let (limit, clock) = (sliding("l", 100), ManualClock::new());
    // A tenth of them, to be quick.
    let store = MemoryStore::with_room(clock, 110_000);
    for n in 0..800_000 {
        one(&store, &limit, key(n % 100_000), 1);
    }
    assert_eq!(store.stats().keys, 100_000);
    // With what allocators add to each of the pieces.
    let bytes = store.bytes() + 100_000 * 16;
    assert!(bytes < 12_000_000, "{bytes}");
}

#[test]
fn threads_together_get_the_quota() {
    let clock = ManualClock::new();
    for quota in [7, 300] {
        let store = MemoryStore::new(clock.clone());
        let (caller, all) = (sliding("caller", quota), sliding("all", 1_000_000));
        let barrier = Barrier::new(4);
        let admitted: u64 = std::thread::scope(|scope| {
            let ask = |thread: u64| {
                let (store, barrier, caller, all) = (&store, &barrier, &caller, &all);
                move || {
                    let (own, shared) =
                        (Demand::new(caller, key(1), 1), Demand::new(all, key(2), 1));
                    // In either order.
                    let demands = if thread.is_multiple_of(2) {
                        [own, shared]
                    } else {
                        [shared, own]
                    };
                    barrier.wait();
                    let calls = (0..200).map(|_| store.charge_now(&demands));
                    let admitted = |call: Vec<Standing>| call.iter().all(|one| one.admitted);
                    calls.map(admitted).filter(|admitted| *admitted).count() as u64
                }
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(ask(thread))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, quota);
        let left = store.peek_now(&[Demand::new(&all, key(2), 1)])[0].remaining;
        assert_eq!(
            left,
            1_000_000 - quota,
            "a refused call has taken something"
        );
    }
}

#[tokio::test]
async fn quotas_outlive_the_store() {
    let clock = ManualClock::new();
    let day = Limit::new("day", 5, Duration::ZERO, Algorithm::Calendar(Period::Day)).unwrap();
    let ledger = MemoryLedger::new();
    let first = MemoryStore::new(clock.clone());
    one(&first, &day, key(1), 4);
    one(&first, &sliding("l", 5), key(2), 4);
    first.save_quotas(&ledger).await.unwrap();
    assert_eq!(
        ledger.load().await.unwrap().len(),
        1,
        "windows are not quotas"
    );
    let second = MemoryStore::new(clock.clone());
    second.load_quotas(&ledger).await.unwrap();
    assert!(!one(&second, &day, key(1), 2).admitted);
    assert!(one(&second, &day, key(1), 1).admitted);
    // What was saved earlier does not give back what was used since.
    second.load_quotas(&ledger).await.unwrap();
    assert!(!one(&second, &day, key(1), 1).admitted);
    clock.advance(Duration::from_secs(86_400));
    let third = MemoryStore::new(clock);
    third.load_quotas(&ledger).await.unwrap();
    assert!(one(&third, &day, key(1), 5).admitted, "it is another day");
}

#[tokio::test]
async fn a_reset_forgets_what_was_used() {
    let store = MemoryStore::new(ManualClock::new());
    let limit = sliding("l", 2);
    let demands = [Demand::new(&limit, key(1), 2)];
    assert!(store.charge(&demands).await.unwrap()[0].admitted);
    assert!(!store.charge(&demands).await.unwrap()[0].admitted);
    assert_eq!(store.peek(&demands).await.unwrap()[0].remaining, 0);
    store.reset(&demands).await.unwrap();
    assert!(store.charge(&demands).await.unwrap()[0].admitted);
    assert!(!store.is_shared() && store.stats().healthy);
}

#[test]
fn what_costs_nothing_leaves_no_trace() {
    let store = MemoryStore::new(ManualClock::new());
    let limit = sliding("l", 1);
    assert!(one(&store, &limit, key(1), 0).admitted);
    assert!(!one(&store, &limit, key(2), 2).admitted);
    assert_eq!(
        one(&store, &limit, key(2), 2).retry_after,
        None,
        "it never fits"
    );
    assert!(store.charge_now(&[]).is_empty());
    assert_eq!(store.stats().keys, 0);
    let shown = format!("{store:?}");
    assert!(shown.contains("stats"), "{shown}");
}

/// Both clocks of it go where they are told.
#[derive(Clone)]
struct Hands {
    start: std::time::Instant,
    seconds: Arc<std::sync::atomic::AtomicU64>,
}

impl Clock for Hands {
    fn now(&self) -> std::time::Instant {
        let seconds = self.seconds.load(std::sync::atomic::Ordering::Relaxed);
        self.start + Duration::from_secs(seconds)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now() - self.start)
    }
}

#[test]
fn clocks_that_go_back_grant_nothing_and_hold_nobody_for_ever() {
    let start = ManualClock::new().now();
    let seconds = Arc::new(1_000_000_000.into());
    let hands = Hands { start, seconds };
    let set = |seconds| {
        hands
            .seconds
            .store(seconds, std::sync::atomic::Ordering::Relaxed);
    };
    let store = MemoryStore::new(hands.clone());
    for (limit, n) in five().iter().zip(0..) {
        let begin = 1_000_000_000;
        set(begin);
        while one(&store, limit, key(n), 1).admitted {}
        for back in [1, 61, 3_600, 2 * 86_400, begin] {
            set(begin - back);
            assert!(!one(&store, limit, key(n), 1).admitted, "{limit:?} {back}");
        }
        set(begin + 86_400);
        assert!(one(&store, limit, key(n), 1).admitted, "{limit:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_asked_for_twice_is_given_nothing() {
    let store = MemoryStore::new(ManualClock::new());
    let (limit, other) = (sliding("l", 5), sliding("m", 5));
    let demands = [
        Demand::new(&limit, key(1), 3),
        Demand::new(&other, key(2), 1),
        Demand::new(&limit, key(1), 3),
    ];
    for _ in 0..2 {
        let standings = store.charge_now(&demands);
        assert!(standings.iter().all(|standing| !standing.admitted));
        assert_eq!(standings.len(), 3);
        assert!(store.charge(&demands).await.is_err());
    }
    assert_eq!(store.stats().keys, 0, "something was charged");
    assert!(one(&store, &limit, key(1), 5).admitted);
}

/// A ledger is somebody else's, and may hold anything.
#[tokio::test]
async fn odd_records_of_quotas_neither_panic_nor_grant_nor_last() {
    let clock = ManualClock::new();
    let limit = Limit::new("l", 5, Duration::ZERO, Algorithm::Calendar(Period::Day)).unwrap();
    for (used, until) in [(u64::MAX, 1), (u64::MAX, u64::MAX), (7, u64::MAX)] {
        let store = MemoryStore::new(clock.clone());
        let key = Key::from_bytes([1; 16]);
        let until = unix(clock.wall()).saturating_add(until);
        let ledger = MemoryLedger::new();
        let record = QuotaRecord::new(key, used, until);
        ledger.save(vec![record]).await.unwrap();
        store.load_quotas(&ledger).await.unwrap();
        for cost in [1, 5, 6, u64::MAX] {
            let standing = store.charge_one(&Demand::new(&limit, key, cost));
            assert!(!standing.admitted, "{used} {until} {cost}");
        }
        clock.advance(Duration::from_secs(31 * 86_400));
        let standing = store.charge_one(&Demand::new(&limit, key, 5));
        assert!(standing.admitted, "{used} {until}");
        // Others are looked through for what may go.
        for n in 2..200 {
            store.charge_one(&Demand::new(&limit, Key::from_bytes([n; 16]), 1));
        }
    }
}
