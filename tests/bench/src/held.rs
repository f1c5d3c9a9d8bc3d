//! What a gateway still holds of what is over: sessions that came and went, and answers that it passed on.

use std::{fmt::Write as _, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    children::Children,
    client::{Ask, CallError, Connection, Plan},
    compare::Options,
    gateway::{KEY, Settings},
    load::{Fleet, Outcome, Until},
    note, procfs,
    report::{Report, mib, thousands},
    wire::{Answers, Era, Eras, Failure},
};

/// How much comes and goes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Volume {
    /// Sessions to open and leave in each round of `sessions`.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    sessions: u64,
    /// Megabytes of answers in each round of `bulk`.
    #[arg(long, value_name = "MB", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    bulk: u64,
}

/// What comes and goes.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Sessions of 2025-11-25 with one call each: every other one is ended, the others are left with their connection.
    Sessions(u64),
    /// Answers of 100 KiB.
    Bulk(u64),
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Sessions(_) => "sessions",
            Self::Bulk(_) => "bulk",
        }
    }

    fn what(self) -> String {
        match self {
            Self::Sessions(count) => format!("{} sessions", thousands(count)),
            Self::Bulk(megabytes) => format!("{} MB of 100 KiB answers", thousands(megabytes)),
        }
    }

    const fn era(self) -> Era {
        match self {
            Self::Sessions(_) => Era::Legacy,
            Self::Bulk(_) => Era::Modern,
        }
    }

    /// A server of the era that keeps sessions of its own is the harder one.
    const fn eras(self) -> Eras {
        match self {
            Self::Sessions(_) => Eras::Legacy,
            Self::Bulk(_) => Eras::Both,
        }
    }

    const fn ask(self) -> Ask {
        match self {
            Self::Sessions(_) => Ask::Echo(1024),
            Self::Bulk(_) => Ask::Echo(LARGE),
        }
    }

    async fn run(self, plan: &Plan) -> Result<Outcome, Failure> {
        match self {
            Self::Sessions(count) => Ok(come_and_go(plan, count).await),
            Self::Bulk(megabytes) => {
                let calls = (megabytes * 1_000_000).div_ceil(u64::try_from(LARGE)? * LANES);
                let mut fleet = Fleet::open(plan.clone(), AT_ONCE).await?;
                let outcome = fleet.run(Until::Calls(calls)).await;
                fleet.close().await;
                Ok(outcome)
            }
        }
    }
}

/// Memory of a gateway around one round.
#[derive(Debug)]
pub(crate) struct Held {
    what: String,
    road: &'static str,
    round: u32,
    before_kib: u64,
    end_kib: u64,
    after_kib: u64,
    /// The most since the process began.
    most_kib: u64,
    pub(crate) outcome: Outcome,
}

impl Held {
    #[cfg(test)]
    pub(crate) fn new(what: &str, kib: (u64, u64, u64), outcome: Outcome) -> Self {
        Self {
            what: what.to_owned(),
            road: "ours",
            round: 1,
            before_kib: kib.0,
            end_kib: kib.1,
            after_kib: kib.2,
            most_kib: kib.1,
            outcome,
        }
    }

    /// The line of the table.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "| {} | {} | {} | {} |",
            self.what,
            self.road,
            self.round,
            thousands(self.outcome.calls_per_second())
        );
        let after = i64::try_from(self.after_kib).unwrap_or(i64::MAX);
        let before = i64::try_from(self.before_kib).unwrap_or(i64::MAX);
        for kib in [self.before_kib, self.end_kib, self.after_kib] {
            // Writing to a string cannot fail.
            let _ = write!(text, " {:.1} |", mib(kib));
        }
        let _ = write!(text, " {:+} KiB |", after - before);
        let _ = write!(text, " {:.1} |", mib(self.most_kib));
        let _ = match self.outcome.errors {
            0 => write!(text, " 0 |"),
            errors => write!(text, " **{errors}** |"),
        };
        text
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "road": self.road,
            "round": self.round,
            "per_second": self.outcome.calls_per_second(),
            "errors": self.outcome.errors,
            "before_kib": self.before_kib,
            "end_kib": self.end_kib,
            "after_kib": self.after_kib,
            "most_kib": self.most_kib,
        })
    }
}

/// The first two lines of the table.
pub(crate) const HEAD: &str = "

| came and went | road | round | a second | RSS MiB before | at the end | 5 s after | change | most ever | errors |
|---|---|---|---|---|---|---|---|---|---|";

/// The rounds of both parts, as far as they are wanted, over ours with nothing and with everything on.
pub(crate) async fn measure(
    options: &Options,
    core: Option<usize>,
    report: &mut Report,
) -> Result<(), Failure> {
    let volume = options.volume;
    for part in [Part::Sessions(volume.sessions), Part::Bulk(volume.bulk)] {
        if !options.wants(part.name()) {
            continue;
        }
        for settings in [Settings::BARE, Settings::FULL] {
            let mut children = Children::default();
            let done = rounds(options, part, settings, &mut children, core, report).await;
            children.end().await;
            done.map_err(|error| format!("{}: {}: {error}", settings.name, part.what()))?;
        }
    }
    Ok(())
}

/// All rounds before one gateway: what it keeps of the first is normal, what each further one adds is not.
async fn rounds(
    options: &Options,
    part: Part,
    settings: Settings,
    children: &mut Children,
    core: Option<usize>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(program) = options.gateway() else {
        return Ok(());
    };
    let (_, upstream) = children.upstream(10, part.eras(), Answers::Json).await?;
    let folder = tempfile::tempdir()?;
    let file = settings.write(folder.path(), &upstream, 1, true)?;
    let (pid, url) = children.gateway(&program, &file, settings, core).await?;
    let plan = Plan {
        url: url.parse()?,
        era: part.era(),
        ask: part.ask(),
        tool: "echo".to_owned(),
        bearer: settings.is_full.then(|| KEY.to_owned()),
    };
    let mut first = Connection::open(&plan).await?;
    let answer = first.call(1, 1).await;
    answer.map_err(CallError::why)?;
    first.close().await;
    sleep(IDLE).await;
    for round in 1..=options.rounds {
        let before_kib = procfs::resident_kib(pid)?;
        let outcome = part.run(&plan).await?;
        let end_kib = procfs::resident_kib(pid)?;
        sleep(SETTLE).await;
        note(&format!("{}: {}: {outcome}", settings.name, part.what()));
        report.held.push(Held {
            what: part.what(),
            road: settings.name,
            round,
            before_kib,
            end_kib,
            after_kib: procfs::resident_kib(pid)?,
            most_kib: procfs::most_resident_kib(pid)?,
            outcome,
        });
    }
    Ok(())
}

/// Opens so many sessions, a few at a time; a session is one call of the outcome.
pub(crate) async fn come_and_go(plan: &Plan, count: u64) -> Outcome {
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let plan = plan.clone();
        lanes.spawn(async move {
            let mut outcome = Outcome::default();
            for number in (lane..count).step_by(AT_ONCE) {
                let since = Instant::now();
                let session = timeout(PATIENCE, session(&plan, number)).await;
                match session.unwrap_or_else(|_| Err("no answer within ten seconds".into())) {
                    Ok(()) => outcome.latencies.record(since.elapsed()),
                    Err(error) => outcome.fail(&error),
                }
            }
            outcome
        });
    }
    let mut outcome = Outcome::default();
    while let Some(lane) = lanes.join_next().await {
        match lane {
            Ok(part) => outcome.add(part),
            Err(error) => outcome.fail(&error.into()),
        }
    }
    outcome.elapsed = begun.elapsed();
    outcome
}

async fn session(plan: &Plan, number: u64) -> Result<(), Failure> {
    let mut connection = Connection::open(plan).await?;
    let answer = connection.call(1, number).await;
    answer.map_err(CallError::why)?;
    // Lanes take every sixteenth: half of the sessions of each are ended.
    if (number / LANES).is_multiple_of(2) {
        connection.end().await?;
    }
    Ok(())
}

const AT_ONCE: usize = 16;
const LANES: u64 = 16;
const LARGE: usize = 100 * 1024;
const IDLE: Duration = Duration::from_millis(500);
const SETTLE: Duration = Duration::from_secs(5);
/// How long a session may take.
const PATIENCE: Duration = Duration::from_secs(10);
