//! The decision of the memory store, run in every order that threads may take.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Mutex, MutexGuard};

use super::*;
use crate::algorithm::Algorithm;

impl Lock for Mutex<Shard> {
    type Guard<'a> = MutexGuard<'a, Shard>;

    fn around(shard: Shard) -> Self {
        Self::new(shard)
    }

    fn enter(&self) -> Self::Guard<'_> {
        self.lock().unwrap()
    }
}

const NOW: Now = Now {
    steady: 1_000_000,
    wall: 1_000_000,
};

fn limit(name: &str, quota: u64) -> Limit {
    Limit::new(
        name,
        quota,
        Duration::from_secs(60),
        Algorithm::SlidingWindow,
    )
    .unwrap()
}

/// Keys of different shards.
fn key(n: u8) -> Key {
    Key::from_bytes([n; 16])
}

fn admits(tables: &Tables<Mutex<Shard>>, demands: &[Demand<'_>]) -> bool {
    let mut out = Vec::new();
    tables.decide(demands, NOW, &mut out);
    out.iter().all(|standing| standing.admitted)
}

fn remaining(tables: &Tables<Mutex<Shard>>, limit: &Limit, key: Key) -> u64 {
    tables.peek(&[Demand::new(limit, key, 1)], NOW)[0].remaining
}

/// Two callers, each with a limit of its own, and one that both share. They name them in opposite
/// order, and one of them may not: nothing hangs, and what is refused takes nothing.
#[test]
fn decisions_are_one_step_in_any_order() {
    loom::model(|| {
        let tables = Arc::new(Tables::<Mutex<Shard>>::new(128));
        assert_eq!(tables.shards.len(), 2);
        let decide = |tables: &Tables<Mutex<Shard>>, own: u8, all_first: bool| {
            let (mine, all) = (limit("own", 1), limit("all", 2));
            let mut demands = [
                Demand::new(&mine, key(own), 1),
                Demand::new(&all, key(0), 1),
            ];
            if all_first {
                demands.reverse();
            }
            u64::from(admits(tables, &demands))
        };
        let other = {
            let tables = Arc::clone(&tables);
            loom::thread::spawn(move || decide(&tables, 1, true) + decide(&tables, 3, true))
        };
        let here = decide(&tables, 1, false);
        let there = other.join().unwrap();
        // Key 1 may once, key 3 may once, and the one that was refused took nothing of the rest.
        assert_eq!(here + there, 2);
        assert_eq!(remaining(&tables, &limit("all", 2), key(0)), 0);
        assert_eq!(remaining(&tables, &limit("own", 1), key(3)), 0);
    });
}

/// Three threads, one key, room for two.
#[test]
fn as_many_are_admitted_as_there_is_room_for() {
    loom::model(|| {
        let tables = Arc::new(Tables::<Mutex<Shard>>::new(1));
        let ask = |tables: &Tables<Mutex<Shard>>| {
            let burst = NonZeroU64::new(2).unwrap();
            let bucket = Limit::new("l", 1, Duration::from_secs(60), Algorithm::gcra(burst));
            u64::from(admits(tables, &[Demand::new(&bucket.unwrap(), key(1), 1)]))
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let tables = Arc::clone(&tables);
                loom::thread::spawn(move || ask(&tables))
            })
            .collect();
        let here = ask(&tables);
        let there: u64 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert_eq!(here + there, 2);
    });
}

/// One place, two keys that are new, one of them twice: whoever is left without a place shares a
/// bucket, and no key gets more than its quota.
#[test]
fn a_key_that_was_folded_gains_nothing() {
    loom::model(|| {
        let tables = Arc::new(Tables::<Mutex<Shard>>::new(1));
        let ask = |tables: &Tables<Mutex<Shard>>, n| {
            let limit = limit("l", 1);
            u64::from(admits(tables, &[Demand::new(&limit, key(n), 1)]))
        };
        let other = {
            let tables = Arc::clone(&tables);
            loom::thread::spawn(move || (ask(&tables, 1), ask(&tables, 2)))
        };
        let here = ask(&tables, 1);
        let (first, second) = other.join().unwrap();
        assert_eq!(here + first, 1, "key 1 has a quota of one");
        assert_eq!(second, 1);
    });
}
