//! What one check of a rate limit costs, beside `governor`: time and memory, in one run.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
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

/// The id of a caller.
#[derive(Clone, Hash, PartialEq, Eq)]
struct Id(String);

/// Something that is asked whether a key may.
trait Check: Sync {
    fn name(&self) -> String;

    /// Asks for the caller of this id.
    fn check(&self, id: &Id) -> bool;
}

struct Ours {
    name: &'static str,
    store: MemoryStore,
    limit: Limit,
    seeds: (RandomState, RandomState),
}

impl Ours {
    fn new(name: &'static str, quota: u64, algorithm: Algorithm) -> Result<Self, Failure> {
        let window = Duration::from_secs(60);
        Ok(Self {
            name,
            store: MemoryStore::with_room(SystemClock::new(), 4_000_000),
            limit: Limit::new("bench", quota, window, algorithm)?,
            seeds: (RandomState::new(), RandomState::new()),
        })
    }
}

impl Check for Ours {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn check(&self, id: &Id) -> bool {
        // As the limiter makes its keys.
        let halves = (self.seeds.0.hash_one(id), self.seeds.1.hash_one(id));
        let whole = (u128::from(halves.0) << 64) | u128::from(halves.1);
        let key = Key::from_bytes(whole.to_le_bytes());
        self.store
            .charge_one(&Demand::new(&self.limit, key, 1))
            .admitted
    }
}

struct Governor(governor::DefaultKeyedRateLimiter<Id>);

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

    fn check(&self, id: &Id) -> bool {
        self.0.check_key(id).is_ok()
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
    let ids: Vec<_> = (0..many).map(|n| Id(format!("caller-{n:012}"))).collect();
    let alone = ids.get(..1).unwrap_or_default();
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
    // Nothing is dropped before the end, or the memory of one would serve the next.
    let mut kept = Vec::new();
    for make in makes {
        let hot = make()?;
        let one = nanos(&*hot, options.checks, alone, 1)?;
        let two = nanos(&*hot, options.checks, alone, 2)?;
        let name = hot.name();
        kept.push(hot);
        let before = resident_kib(std::process::id())?;
        let cold = make()?;
        for id in &ids {
            black_box(cold.check(id));
        }
        let grown = resident_kib(std::process::id())?.saturating_sub(before) * 1_024 / many;
        let one_wide = nanos(&*cold, options.checks, &ids, 1)?;
        let two_wide = nanos(&*cold, options.checks, &ids, 2)?;
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {name} | {one} | {two} | {one_wide} | {two_wide} | {grown} |"
        );
        kept.push(cold);
    }
    Ok(table)
}

/// CPU time of a check in nanoseconds: it does not depend on what else the machine does.
fn nanos(check: &dyn Check, checks: u64, ids: &[Id], threads: u64) -> Result<u128, Failure> {
    let before = cpu_time(std::process::id())?;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut key = thread;
                for _ in 0..checks {
                    // In no order that a cache could foresee.
                    key = mix(key.wrapping_add(thread + 1));
                    let place = key % (ids.len() as u64).max(1);
                    let id = usize::try_from(place).ok().and_then(|place| ids.get(place));
                    black_box(id.is_some_and(|id| check.check(id)));
                }
            });
        }
    });
    let took = cpu_time(std::process::id())?.saturating_sub(before);
    Ok(took.as_nanos() / u128::from((checks * threads).max(1)))
}
