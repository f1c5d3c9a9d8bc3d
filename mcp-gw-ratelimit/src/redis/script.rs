//! The script that decides, and how questions and answers are written.

use std::time::Duration;

use redis::{Cmd, Value, cmd};

use crate::algorithm::{Period, Shape};
use crate::store::{Demand, Standing};

use super::failure::{Failure, FailureKind};

/// Decides inside of Redis.
const DECIDE: &str = include_str!("decide.lua");

/// Whether a decision charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Charge,
    Peek,
}

/// The script with its digest, and what the names of keys begin with.
pub(super) struct Script {
    digest: String,
    text: String,
    /// With braces: what stands in them decides on the slot of a cluster, so that all keys of a
    /// decision, whatever they are, lie together.
    prefix: String,
    #[cfg(test)]
    pub(super) now: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl Script {
    pub(super) fn new(prefix: &str) -> Self {
        Self::of_text(prefix, DECIDE.to_owned())
    }

    fn of_text(prefix: &str, text: String) -> Self {
        Self {
            digest: redis::Script::new(&text).get_hash().to_owned(),
            text,
            prefix: format!("{{{prefix}}}:"),
            #[cfg(test)]
            now: None,
        }
    }

    /// The same script, told the time by a test: its last argument, in microseconds.
    #[cfg(test)]
    pub(super) fn with_time_of_test(
        prefix: &str,
        now: std::sync::Arc<std::sync::atomic::AtomicU64>,
    ) -> Self {
        let clock = "local now = tonumber(time[1]) * 1000000 + tonumber(time[2])\n";
        assert_eq!(DECIDE.matches(clock).count(), 1);
        assert_eq!(DECIDE.matches("'TIME'").count(), 1);
        let text = DECIDE.replace(clock, "local now = tonumber(ARGV[#ARGV])\n");
        // Keys go by the time of the server, which is not that of the test.
        let expiry = "call('PEXPIRE', self.key, ";
        assert_eq!(text.matches(expiry).count(), 1);
        let text = text.replace(expiry, "call('PEXPIRE', self.key, 600000 + ");
        let mut script = Self::of_text(prefix, text);
        script.now = Some(now);
        script
    }

    /// Makes the server know the script.
    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }

    /// Asks by the digest of the script.
    pub(super) fn ask(&self, mode: Mode, demands: &[Demand<'_>]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.digest);
        self.arguments(&mut command, mode, demands);
        command
    }

    /// Asks with the text of the script, which the server then knows.
    pub(super) fn ask_with_text(&self, mode: Mode, demands: &[Demand<'_>]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(&self.text);
        self.arguments(&mut command, mode, demands);
        command
    }

    /// Asks for a key that is never there, in the slot of all keys.
    pub(super) fn whereabouts(&self) -> Cmd {
        let mut command = cmd("HMGET");
        command.arg(format!("{}whereabouts", self.prefix)).arg("0");
        command
    }

    /// Forgets the keys.
    pub(super) fn forget(&self, demands: &[Demand<'_>]) -> Cmd {
        let mut command = cmd("DEL");
        for demand in demands {
            command.arg(self.key(demand));
        }
        command
    }

    /// Name of the key of a demand. The last letter tells what is kept there, so that a limit whose
    /// algorithm was changed does not meet what the old one left.
    pub(super) fn key(&self, demand: &Demand<'_>) -> String {
        format!("{}{}:{}", self.prefix, demand.key, kind(demand))
    }

    fn arguments(&self, command: &mut Cmd, mode: Mode, demands: &[Demand<'_>]) {
        command.arg(demands.len());
        for demand in demands {
            command.arg(self.key(demand));
        }
        command.arg(match mode {
            Mode::Charge => "charge",
            Mode::Peek => "peek",
        });
        for demand in demands {
            let limit = demand.limit;
            command
                .arg(kind(demand))
                .arg(limit.capacity())
                // What is above the capacity is refused, however far.
                .arg(demand.cost.min(limit.capacity() + 1))
                .arg(u8::from(limit.penalty()));
            for word in words(demand) {
                command.arg(word);
            }
        }
        #[cfg(test)]
        if let Some(now) = &self.now {
            command.arg(now.load(std::sync::atomic::Ordering::Relaxed));
        }
    }
}

/// Which part of the script it is for.
const fn kind(demand: &Demand<'_>) -> &'static str {
    match demand.limit.shape() {
        Shape::Window { .. } => "w",
        Shape::Bucket { .. } => "b",
        Shape::Calendar(_) => "c",
    }
}

/// The numbers of the limit that the script needs.
fn words(demand: &Demand<'_>) -> [u64; 5] {
    match demand.limit.shape() {
        Shape::Window { exact, .. } => {
            let window = demand.limit.window_micros();
            let (fine, fine_span) = Shape::units(window);
            let (parts, parts_span) = Shape::parts(window);
            [u64::from(exact), fine, fine_span, parts, parts_span]
        }
        Shape::Bucket {
            step,
            step_part,
            depth,
            depth_part,
            ..
        } => [step, step_part, depth, depth_part, demand.limit.quota()],
        Shape::Calendar(period) => [u64::from(period == Period::Month), 0, 0, 0, 0],
    }
}

/// Reads the script's answer to `count` demands: four numbers for each.
pub(super) fn standings(answer: Value, count: usize) -> Result<Vec<Standing>, Failure> {
    let nonsense = || {
        Failure::new(
            FailureKind::Nonsense,
            "the answer is not that of the script",
        )
    };
    let numbers: Vec<i64> = redis::from_owned_redis_value(answer).map_err(|_| nonsense())?;
    if numbers.len() != count.saturating_mul(4) {
        return Err(nonsense());
    }
    let micros = |number: i64| u64::try_from(number).map(Duration::from_micros);
    let standing = |numbers: &[i64]| {
        let &[admitted, remaining, reset, retry] = numbers else {
            return None;
        };
        let (remaining, reset) = (u64::try_from(remaining).ok()?, micros(reset).ok()?);
        match admitted {
            1 => Some(Standing::admitted(remaining, reset)),
            0 => Some(Standing::refused(remaining, reset, micros(retry).ok())),
            _ => None,
        }
    };
    numbers
        .chunks_exact(4)
        .map(|numbers| standing(numbers).ok_or_else(nonsense))
        .collect()
}
