//! What one check of a rate limit costs, beside `governor`: time and memory, in one run.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::Args;
use mcp_gw_core::SystemClock;
use mcp_gw_ratelimit::{Algorithm, Demand, Key, Limit, MemoryStore};

use crate::procfs::{cpu_time, resident_kib};
use crate::wire::Failure;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Checks of each thread in each cell.
    #[arg(long, default_value_t = 3_000_000)]
    checks: u64,
    /// Keys of the rows with many.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
}

/// Something that is asked whether a key may.
trait Check: Sync {
    fn name(&self) -> String;

    /// Asks for the key of this number.
    fn check(&self, key: u64) -> bool;
}

struct Ours {
    name: &'static str,
    store: MemoryStore,
    limit: Limit,
}

impl Ours {
    fn new(name: &'static str, quota: u64, algorithm: Algorithm) -> Result<Self, Failure> {
        let window = Duration::from_secs(60);
        Ok(Self {
            name,
            store: MemoryStore::with_room(SystemClock::new(), 4_000_000),
            limit: Limit::new("bench", quota, window, algorithm)?,
        })
    }
}

impl Check for Ours {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn check(&self, key: u64) -> bool {
        let key =
            Key::from_bytes((u128::from(mix(key)) << 64 | u128::from(mix(!key))).to_le_bytes());
        self.store
            .charge_one(&Demand::new(&self.limit, key, 1))
            .admitted
    }
}

struct Governor(governor::DefaultKeyedRateLimiter<u64>);

impl Governor {
    fn new() -> Self {
        let (quota, burst) = (
            NonZeroU32::MIN.saturating_add(99),
            NonZeroU32::MIN.saturating_add(9),
        );
        Self(governor::RateLimiter::keyed(
            governor::Quota::per_minute(quota).allow_burst(burst),
        ))
    }
}

impl Check for Governor {
    fn name(&self) -> String {
        "governor, 100 a minute, burst 10".to_owned()
    }

    fn check(&self, key: u64) -> bool {
        self.0.check_key(&mix(key)).is_ok()
    }
}

/// Spreads numbers as a hash does.
const fn mix(n: u64) -> u64 {
    let a = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// Prints one Markdown table.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let many = options.keys.max(1);
    let bucket = Algorithm::gcra(NonZeroU64::MIN.saturating_add(9));
    let mut table = format!(
        "| CPU ns a check | 1 key, 1 thread | 1 key, 2 threads | {many} keys, 1 thread | \
         {many} keys, 2 threads | bytes a key |\n|---|---|---|---|---|---|\n"
    );
    let makes: [&dyn Fn() -> Result<Box<dyn Check>, Failure>; 4] = [
        &|| Ok(Box::new(Governor::new())),
        &|| {
            Ok(Box::new(Ours::new(
                "bucket, 100 a minute, burst 10",
                100,
                bucket,
            )?))
        },
        &|| {
            Ok(Box::new(Ours::new(
                "window, 100 a minute",
                100,
                Algorithm::SlidingWindow,
            )?))
        },
        &|| {
            Ok(Box::new(Ours::new(
                "window, 1,000,000 a minute",
                1_000_000,
                Algorithm::SlidingWindow,
            )?))
        },
    ];
    for make in makes {
        let hot = make()?;
        let one = nanos(&*hot, options.checks, 1, 1)?;
        let two = nanos(&*hot, options.checks, 1, 2)?;
        let name = hot.name();
        drop(hot);
        let before = resident_kib(std::process::id())?;
        let cold = make()?;
        for key in 0..many {
            black_box(cold.check(key));
        }
        let grown = resident_kib(std::process::id())?.saturating_sub(before) * 1_024 / many;
        let one_wide = nanos(&*cold, options.checks, many, 1)?;
        let two_wide = nanos(&*cold, options.checks, many, 2)?;
        table.push_str(&format!(
            "| {name} | {one} | {two} | {one_wide} | {two_wide} | {grown} |\n"
        ));
    }
    Ok(table)
}

/// CPU time of a check in nanoseconds: it does not depend on what else the machine does.
fn nanos(check: &dyn Check, checks: u64, keys: u64, threads: u64) -> Result<u128, Failure> {
    let before = cpu_time(std::process::id())?;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut key = thread;
                for _ in 0..checks {
                    // In no order that a cache could foresee.
                    key = mix(key.wrapping_add(thread + 1));
                    black_box(check.check(key % keys));
                }
            });
        }
    });
    let took = cpu_time(std::process::id())?.saturating_sub(before);
    Ok(took.as_nanos() / u128::from((checks * threads).max(1)))
}
