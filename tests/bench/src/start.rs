//! How long a gateway takes from nothing to its first right answer, and what it then holds.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    children::Children,
    client::{Ask, Connection, Plan},
    compare::Options,
    gateway::{KEY, Settings},
    procfs,
    report::{Report, Started},
    wire::{Answers, Era, Eras, Failure},
};

/// Starts ours again and again, with nothing and with everything on.
pub(crate) async fn measure(
    options: &Options,
    children: &mut Children,
    core: Option<usize>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(program) = options.gateway() else {
        return Ok(());
    };
    let (_, upstream) = children.upstream(10, Eras::Both, Answers::Json).await?;
    for settings in [Settings::BARE, Settings::FULL] {
        let folder = tempfile::tempdir()?;
        let file = settings.write(folder.path(), &upstream, 1, true)?;
        let mut times = Vec::new();
        let mut idle_kib = 0;
        for _ in 0..TIMES {
            let mut own = Children::default();
            let begun = Instant::now();
            let (pid, url) = own.gateway(&program, &file, settings, core).await?;
            let plan = Plan {
                url: url.parse()?,
                era: Era::Modern,
                ask: Ask::Echo(1024),
                tool: "echo".to_owned(),
                bearer: settings.is_full.then(|| KEY.to_owned()),
            };
            let mut connection = Connection::open(&plan).await?;
            let first = connection.call(1, 1).await;
            first.map_err(|error| format!("the first call: {error:?}"))?;
            times.push(begun.elapsed());
            sleep(IDLE).await;
            idle_kib = idle_kib.max(procfs::resident_kib(pid)?);
            connection.close().await;
            own.end().await;
        }
        times.sort_unstable();
        report.starts.push(Started {
            road: settings.name.to_owned(),
            program_bytes: fs::metadata(&program)?.len(),
            first_answer: (
                times.get(TIMES / 2).copied().unwrap_or_default(),
                times.last().copied().unwrap_or_default(),
            ),
            idle_kib,
        });
    }
    Ok(())
}

const TIMES: usize = 11;
const IDLE: Duration = Duration::from_millis(500);
