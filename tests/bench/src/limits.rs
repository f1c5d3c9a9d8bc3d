//! What one check of a rate limit costs, beside `governor`: time and memory, in one run.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::Args;
use mcp_gw_core::SystemClock;
use mcp_gw_ratelimit::{Algorithm, Demand, Key, Limit, MemoryStore};
use rustix::time::{ClockId, clock_gettime};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::procfs::resident_kib;
use crate::wire::Failure;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Checks of each thread in each cell and round.
    #[arg(long, default_value_t = 500_000)]
    checks: u64,
    /// Rounds: in each, all rows are measured in turn. A cell is the median of its rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
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
    prefix: SipHasher13,
}

impl Ours {
    fn new(name: &'static str, quota: u64, algorithm: Algorithm) -> Result<Self, Failure> {
        let window = Duration::from_secs(60);
        let secret = || RandomState::new().build_hasher().finish();
        Ok(Self {
            name,
            store: MemoryStore::with_room(SystemClock::new(), 4_000_000),
            limit: Limit::new("bench", quota, window, algorithm)?,
            prefix: SipHasher13::new_with_keys(secret(), secret()),
        })
    }
}

impl Check for Ours {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn check(&self, id: &Id) -> bool {
        // As the limiter makes its keys.
        let mut hash = self.prefix;
        hash.write_usize(id.0.len());
        hash.write(id.0.as_bytes());
        let key = Key::from_bytes(hash.finish128().as_bytes());
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
    let rows = makes.iter().map(|make| Row::new(make, &ids));
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    for round in 0..options.rounds {
        for row in &mut rows {
            row.round(options.checks, alone, &ids, mix(round));
        }
    }
    for mut row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(table, "{}", row.text());
    }
    Ok(table)
}

/// A limiter that knows one caller, another that knows all, and what their checks took.
struct Row {
    hot: Box<dyn Check>,
    cold: Box<dyn Check>,
    bytes: u64,
    /// One key and all keys, each with one thread and with two.
    cells: [Vec<u128>; 4],
}

impl Row {
    fn new(
        make: &dyn Fn() -> Result<Box<dyn Check>, Failure>,
        ids: &[Id],
    ) -> Result<Self, Failure> {
        let hot = make()?;
        let before = resident_kib(std::process::id())?;
        let cold = make()?;
        for id in ids {
            black_box(cold.check(id));
        }
        let grown = resident_kib(std::process::id())?.saturating_sub(before) * 1_024;
        Ok(Self {
            hot,
            cold,
            bytes: grown / (ids.len() as u64).max(1),
            cells: Default::default(),
        })
    }

    fn round(&mut self, checks: u64, alone: &[Id], ids: &[Id], seed: u64) {
        let (hot, cold) = (&*self.hot, &*self.cold);
        let kinds = [
            (hot, alone, 1),
            (hot, alone, 2),
            (cold, ids, 1),
            (cold, ids, 2),
        ];
        for (cell, (check, ids, threads)) in self.cells.iter_mut().zip(kinds) {
            cell.push(nanos(check, checks, ids, threads, seed ^ threads));
        }
    }

    fn text(&mut self) -> String {
        let medians = self.cells.each_mut().map(|cell| {
            cell.sort_unstable();
            cell.get(cell.len() / 2)
                .map(u128::to_string)
                .unwrap_or_default()
        });
        let [one, two, one_wide, two_wide] = medians;
        let (name, bytes) = (self.hot.name(), self.bytes);
        format!("| {name} | {one} | {two} | {one_wide} | {two_wide} | {bytes} |")
    }
}

/// CPU time of a check in nanoseconds: it does not depend on what else the machine does, except for
/// what that leaves in the caches.
fn nanos(check: &dyn Check, checks: u64, ids: &[Id], threads: u64, seed: u64) -> u128 {
    let run = move |thread: u64| {
        let before = clock_gettime(ClockId::ThreadCPUTime);
        let mut key = seed ^ thread << 32;
        for _ in 0..checks {
            // In no order that a cache could foresee.
            key = mix(key.wrapping_add(thread + 1));
            let place = key % (ids.len() as u64).max(1);
            let id = usize::try_from(place).ok().and_then(|place| ids.get(place));
            black_box(id.is_some_and(|id| check.check(id)));
        }
        let took = clock_gettime(ClockId::ThreadCPUTime) - before;
        Duration::try_from(took).unwrap_or_default().as_nanos()
    };
    let took: u128 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .sum()
    });
    took / u128::from((checks * threads).max(1))
}
