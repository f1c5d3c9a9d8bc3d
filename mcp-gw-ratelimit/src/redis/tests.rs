//! The script against the maths, step by step, on a real server.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::SystemClock;
use mcp_gw_core::testing::ManualClock;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use super::*;
use crate::algorithm::{Algorithm, Limit, Period};
use crate::maths::{State, period_end};
use crate::memory::MemoryStore;
use crate::store::Key;

#[expect(dead_code, reason = "it serves the tests in `tests/` too")]
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
            .map(|(demand, state)| state.fits(demand.limit, now, demand.cost) || demand.cost == 0)
            .collect();
        let all = fits.iter().all(|fits| *fits);
        let mut standings = Vec::new();
        for ((demand, mut state), fits) in demands.iter().zip(states).zip(fits) {
            let Demand {
                limit, key, cost, ..
            } = *demand;
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

/// Which limits a test is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// All algorithms, limits that change, and time that goes back.
    Anything,
    /// What the memory store does too: no calendar, which goes by another clock there.
    Steady,
}

fn algorithms(of: Of) -> impl Strategy<Value = (Algorithm, Duration)> {
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
        u32::from(of == Of::Anything) => Just(Algorithm::Calendar(Period::Day)),
        u32::from(of == Of::Anything) => Just(Algorithm::Calendar(Period::Month)),
    ];
    (algorithm, seconds.prop_map(Duration::from_secs))
}

/// Two sizes of one limit, as before and after a change of the configuration.
fn limits(of: Of) -> impl Strategy<Value = [Limit; 2]> {
    let quota = || prop_oneof![1_u64..12, 1_u64..12, 250_u64..262, 1_u64..100_000];
    (algorithms(of), quota(), quota(), any::<bool>()).prop_map(
        |((algorithm, window), one, other, penalty)| {
            [one, other].map(|quota| {
                Limit::new("l", quota, window, algorithm)
                    .unwrap()
                    .with_penalty(penalty)
            })
        },
    )
}

fn steps(of: Of) -> impl Strategy<Value = Vec<Step>> {
    let passes = prop_oneof![
        3 => Just(0_i64),
        3 => 0_i64..100_000,
        3 => 0_i64..5_000_000,
        2 => 0_i64..2_000_000_000,
        1 => 0_i64..90_000_000_000,
        u32::from(of == Of::Anything) => -3_000_000_i64..0,
    ];
    let cost = prop_oneof![6 => Just(1_u64), 1 => Just(0), 3 => 0_u64..6, 1 => 0_u64..300];
    let changes = u32::from(of == Of::Anything);
    let is_other = prop_oneof![9 => Just(false), changes => Just(true)];
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

impl Step {
    /// What is asked in this step, of keys of its own for each case.
    fn demands<'a>(&self, limits: &'a [[Limit; 2]], case: u64) -> Vec<Demand<'a>> {
        let demand = |&(index, is_other, cost): &(usize, bool, u64)| {
            let mut key = [u8::try_from(index).unwrap(); 16];
            key[..8].copy_from_slice(&case.to_be_bytes());
            let limit = &limits[index][usize::from(is_other)];
            Demand::new(limit, Key::from_bytes(key), cost)
        };
        self.demands.iter().map(demand).collect()
    }
}

/// What a trace is decided by in the place of Redis, given a case's steps one by one.
type Other<'a> = Box<dyn FnMut(Mode, u64, &[Demand<'_>]) -> Vec<Standing> + 'a>;

/// The script and `other` agree on each number of each step.
fn agrees(program: Program, of: Of, cases: u32, start: u64, other: impl Fn() -> Other<'static>) {
    let Some(server) = Server::start_program(program, &[]) else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let now = Arc::new(AtomicU64::new(start));
    let store = store(&server, &now);
    let case = AtomicU64::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let traces = (vec(limits(of), 4), steps(of));
    let outcome = runner.run(&traces, |(limits, steps)| {
        let mut other = other();
        let case = case.fetch_add(1, Ordering::Relaxed);
        now.store(start, Ordering::Relaxed);
        for (number, step) in steps.iter().enumerate() {
            let time = now
                .load(Ordering::Relaxed)
                .saturating_add_signed(step.passes);
            now.store(time, Ordering::Relaxed);
            let demands = step.demands(&limits, case);
            let expected = other(step.mode, time, &demands);
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

fn maths() -> Other<'static> {
    let mut model = Model::default();
    Box::new(move |mode, now, demands| model.decide(mode, now, demands))
}

fn memory() -> Other<'static> {
    let clock = ManualClock::new();
    let store = MemoryStore::new(clock.clone());
    let mut last = 0;
    Box::new(move |mode, now, demands| {
        clock.advance(Duration::from_micros(now - last));
        last = now;
        match mode {
            Mode::Charge => store.charge_now(demands),
            Mode::Peek => store.peek_now(demands),
        }
    })
}

#[test]
fn the_script_agrees_with_the_maths_step_by_step() {
    agrees(Program::Redis, Of::Anything, 200, START, maths);
}

#[test]
fn the_script_agrees_with_the_maths_on_valkey() {
    agrees(Program::Valkey, Of::Anything, 100, START, maths);
}

#[test]
fn the_script_agrees_with_the_memory_store() {
    agrees(Program::Redis, Of::Steady, 100, 0, memory);
}

/// A bucket that was emptier than a penalty makes it was left as a greater quota had written it.
#[test]
fn a_penalty_brings_a_bucket_to_the_parts_of_its_quota() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let store = store(&server, &Arc::new(AtomicU64::new(START)));
    let limit = |quota, burst| {
        let burst = Algorithm::gcra(NonZeroU64::new(burst).unwrap());
        let limit = Limit::new("l", quota, Duration::from_secs(1), burst).unwrap();
        limit.with_penalty(true)
    };
    let (great, small) = (limit(7, 14), limit(1, 1));
    let mut maths = maths();
    for (limit, cost, is_admitted) in [(&great, 13, true), (&small, 1, false), (&great, 1, false)] {
        let demands = [Demand::new(limit, Key::from_bytes([1; 16]), cost)];
        let standings = runtime.block_on(store.charge(&demands)).unwrap();
        assert_eq!(standings, maths(Mode::Charge, START, &demands));
        assert_eq!(standings[0].admitted, is_admitted);
    }
}

#[test]
fn months_end_where_the_calendar_says() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let now = Arc::new(AtomicU64::new(0));
    let store = store(&server, &now);
    let month = Algorithm::Calendar(Period::Month);
    let limit = Limit::new("l", 1, Duration::ZERO, month).unwrap();
    let demands = [Demand::new(&limit, Key::from_bytes([1; 16]), 1)];
    let decide = || runtime.block_on(store.charge(&demands)).unwrap()[0];
    let mut time = 1;
    // Each month to the year 2200: at its start, in its middle, in its last moment.
    while time < 7_258_118_400_000_000 {
        let end = period_end(Period::Month, time);
        now.store(time, Ordering::Relaxed);
        assert!(decide().admitted, "{time}");
        for (time, is_last) in [(time.midpoint(end), false), (end - 1, true)] {
            now.store(time, Ordering::Relaxed);
            let standing = decide();
            let left = Duration::from_micros(end - time);
            assert_eq!(standing, Standing::refused(0, left, Some(left)), "{time}");
            assert_eq!(is_last, left == Duration::from_micros(1));
        }
        time = end;
    }
}

#[test]
fn an_answer_that_is_not_the_scripts_is_no_decision() {
    let number = Value::Int;
    let read = |values: Vec<Value>| standings(Value::Array(values), 1);
    let good = vec![number(1), number(4), number(5), number(0)];
    let five = Duration::from_micros(5);
    assert_eq!(read(good).unwrap(), [Standing::admitted(4, five)]);
    for bad in [
        vec![],
        vec![number(1), number(4), number(5)],
        vec![number(2), number(4), number(5), number(0)],
        vec![number(1), number(-4), number(5), number(0)],
        vec![number(0), number(4), number(-5), number(0)],
        vec![number(1), Value::Nil, number(5), number(0)],
        vec![Value::SimpleString("x".to_owned()); 4],
    ] {
        let failure = read(bad).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Nonsense);
    }
    assert!(standings(Value::Okay, 1).is_err());
}

/// Nobody is asked, so that `on_error` does not decide either.
#[tokio::test]
async fn a_key_that_is_asked_for_twice_is_an_error() {
    let config = RedisConfig::new("redis://127.0.0.1:1").with_on_error(OnError::Allow, 1);
    let clock = Arc::new(mcp_gw_core::SystemClock::new());
    let store = RedisStore::new(&config, Arc::new(Nobody), clock).unwrap();
    let window = Duration::from_secs(60);
    let limit = Limit::new("l", 5, window, Algorithm::SlidingWindow).unwrap();
    let demand = Demand::new(&limit, Key::from_bytes([1; 16]), 3);
    let error = store.charge(&[demand, demand]).await.unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}
