//! Times one call at a time, less what the clock itself takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long calls took, and what one of them allocated.
pub struct Timing {
    p50: Duration,
    p99: Duration,
    allocations: u64,
}

/// One line of the table.
pub struct Row {
    text: String,
}

impl Row {
    pub fn new(what: &str, rules: usize, timing: Timing, effect: &str) -> Self {
        let Timing {
            p50,
            p99,
            allocations,
        } = timing;
        Self {
            text: format!(
                "| {what} | {rules} | {p50:.1?} | {p99:.1?} | {allocations} | {effect} |"
            ),
        }
    }

    pub fn print(&self) {
        println!("{}", self.text);
    }
}

/// Many calls of something short.
pub fn repeated<T>(call: impl FnMut() -> T) -> Timing {
    once(100_000, call)
}

/// So many calls.
pub fn once<T>(calls: usize, mut call: impl FnMut() -> T) -> Timing {
    for _ in 0..calls / 10 {
        black_box(call());
    }
    let clock = median((0..10_000).map(|_| {
        let start = Instant::now();
        black_box(start).elapsed()
    }));
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            let start = Instant::now();
            let done = black_box(call());
            let took = start.elapsed();
            drop(done);
            took.saturating_sub(clock)
        })
        .collect();
    times.sort_unstable();
    let allocations = allocation_counter::measure(|| {
        black_box(call());
    });
    Timing {
        p50: times[calls / 2],
        p99: times[calls * 99 / 100],
        allocations: allocations.count_total,
    }
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}
