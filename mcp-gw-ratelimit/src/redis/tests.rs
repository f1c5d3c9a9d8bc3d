//! The script against the maths, step by step, on a real server.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::SystemClock;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use super::*;
use crate::algorithm::{Algorithm, Limit, Period};
use crate::maths::State;
use crate::store::Key;

#[path = "../../tests/support/mod.rs"]
mod support;

use support::{Program, Server};

/// 2026-02-28, a quarter of an hour before midnight, in microseconds: a month ends soon.
const START: u64 = 1_772_322_300_000_000;

/// Refuses to stand in for anything.
struct Nobody;

#[async_trait]
impl Store for Nobody {
    async fn charge(&self, _: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        Err(StoreError::new("nobody"))
    }
    async fn peek(&self, _: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        Err(StoreError::new("nobody"))
    }
    async fn reset(&self, _: &[Demand<'_>]) -> Result<(), StoreError> {
        Ok(())
    }
    fn is_shared(&self) -> bool {
        false
    }
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
}

/// A store on `server` that is told the time.
fn store(server: &Server, now: &Arc<AtomicU64>) -> RedisStore {
    let config = RedisConfig::new(server.url())
        .with_timeout(Duration::from_secs(10))
        .with_on_error(OnError::Deny, 1);
    let script = Script::with_time_of_test(&config.prefix, Arc::clone(now));
    RedisStore::with_script(
        &config,
        Arc::new(Nobody),
        Arc::new(SystemClock::new()),
        script,
    )
    .unwrap()
}

/// The same decisions by the maths alone.
#[derive(Default)]
struct Model(HashMap<Key, State>);

impl Model {
    fn decide(&mut self, mode: Mode, now: u64, demands: &[Demand<'_>]) -> Vec<Standing> {
        let mut states: Vec<State> = demands
            .iter()
            .map(|demand| self.0.get(&demand.key).cloned().unwrap_or_default())
            .collect();
        let fits: Vec<bool> = demands
            .iter()
            .zip(&mut states)
            .map(|(demand, state)| demand.cost == 0 || state.fits(demand.limit, now, demand.cost))
            .collect();
        let all = fits.iter().all(|fits| *fits);
        let mut standings = Vec::new();
        for ((demand, mut state), fits) in demands.iter().zip(states).zip(fits) {
            let Demand { limit, key, cost } = *demand;
            let is_charged = mode == Mode::Charge && cost > 0 && (all || limit.penalty());
            match (is_charged, fits) {
                (true, true) => state.take(limit, now, cost),
                (true, false) => state.punish(limit, now, cost),
                (false, _) => {}
            }
            standings.push(state.standing(limit, now, cost, fits));
            if is_charged {
                self.0.insert(key, state);
            }
        }
        standings
    }
}

/// What one test step does: time passes, then some of the limits are asked.
#[derive(Clone, Debug)]
struct Step {
    /// Microseconds; time goes back when negative.
    passes: i64,
    mode: Mode,
    /// Which limit, in which of its two sizes, and the cost.
    demands: Vec<(usize, bool, u64)>,
}

fn algorithms() -> impl Strategy<Value = (Algorithm, Duration)> {
    let seconds = prop_oneof![
        Just(1),
        Just(7),
        Just(60),
        Just(3_600),
        Just(7_200),
        Just(86_400),
        1_u64..4_000_000
    ];
    let burst = (1_u64..40).prop_map(|burst| NonZeroU64::new(burst).unwrap());
    let algorithm = prop_oneof![
        4 => Just(Algorithm::SlidingWindow),
        3 => burst.prop_map(Algorithm::gcra),
        1 => Just(Algorithm::Calendar(Period::Day)),
        1 => Just(Algorithm::Calendar(Period::Month)),
    ];
    (algorithm, seconds.prop_map(Duration::from_secs))
}

/// Two sizes of one limit, as before and after a change of the configuration.
fn limits() -> impl Strategy<Value = [Limit; 2]> {
    let quota = || prop_oneof![1_u64..12, 1_u64..12, 250_u64..262, 1_u64..100_000];
    (algorithms(), quota(), quota(), any::<bool>()).prop_map(
        |((algorithm, window), one, other, penalty)| {
            [one, other].map(|quota| {
                Limit::new("l", quota, window, algorithm)
                    .unwrap()
                    .with_penalty(penalty)
            })
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let passes = prop_oneof![
        3 => Just(0_i64),
        3 => 0_i64..100_000,
        3 => 0_i64..5_000_000,
        2 => 0_i64..2_000_000_000,
        1 => 0_i64..90_000_000_000,
        1 => -3_000_000_i64..0,
    ];
    let cost = prop_oneof![6 => Just(1_u64), 1 => Just(0), 3 => 0_u64..6, 1 => 0_u64..300];
    let is_other = prop_oneof![9 => Just(false), 1 => Just(true)];
    let mode = prop_oneof![9 => Just(Mode::Charge), 1 => Just(Mode::Peek)];
    let demands = vec((0_usize..4, is_other, cost), 1..4).prop_map(|mut demands| {
        demands.sort_by_key(|(index, ..)| *index);
        demands.dedup_by_key(|(index, ..)| *index);
        demands
    });
    let step = (passes, mode, demands).prop_map(|(passes, mode, demands)| Step {
        passes,
        mode,
        demands,
    });
    vec(step, 1..60)
}

/// The script and the maths agree on each number of each step.
fn agrees_with_the_maths(program: Program, cases: u32) {
    let Some(server) = Server::start_program(program, &[]) else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let now = Arc::new(AtomicU64::new(START));
    let store = store(&server, &now);
    let case = AtomicU64::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let traces = (vec(limits(), 4), steps());
    let outcome = runner.run(&traces, |(limits, steps)| {
        let mut model = Model::default();
        let case = case.fetch_add(1, Ordering::Relaxed);
        now.store(START, Ordering::Relaxed);
        for (number, step) in steps.iter().enumerate() {
            let time = now.load(Ordering::Relaxed).strict_add_signed(step.passes);
            now.store(time, Ordering::Relaxed);
            let demands: Vec<_> = step
                .demands
                .iter()
                .map(|&(index, is_other, cost)| {
                    let mut key = [u8::try_from(index).unwrap(); 16];
                    key[..8].copy_from_slice(&case.to_be_bytes());
                    Demand::new(
                        &limits[index][usize::from(is_other)],
                        Key::from_bytes(key),
                        cost,
                    )
                })
                .collect();
            let expected = model.decide(step.mode, time, &demands);
            let got = runtime.block_on(store.decide(step.mode, &demands)).unwrap();
            prop_assert_eq!(got, expected, "step {}", number);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // All of that was one round trip each.
    assert_eq!(store.redis_stats().reloads, 0);
}

#[test]
fn the_script_agrees_with_the_maths_step_by_step() {
    agrees_with_the_maths(Program::Redis, 300);
}

#[test]
fn the_script_agrees_with_the_maths_on_valkey() {
    agrees_with_the_maths(Program::Valkey, 100);
}
