//! `pins show`, `pins diff`, `pins approve`: what is pinned, what differs from it, and to accept that.

mod accept;
mod place;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::accept::{accept, headline, own_name, summary};
use self::place::{Pins, Server};
use super::{count, print};
use crate::config::PinMode;
use crate::pins::{Kind, Sight, chain, compare, difference, visible};

/// What to do about pins.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct PinsArgs {
    #[command(subcommand)]
    command: PinsCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum PinsCommand {
    /// Show what is pinned, without asking the servers
    Show {
        #[command(flatten)]
        file: FileArg,

        /// Only these servers
        servers: Vec<String>,
    },
    /// Ask the servers, and show what differs from the pins: 0 when nothing does, 1 when something
    /// does, 2 when that cannot be told
    Diff {
        #[command(flatten)]
        file: FileArg,

        /// Only these servers
        servers: Vec<String>,
    },
    /// Pin what the servers offer now
    Approve {
        #[command(flatten)]
        file: FileArg,

        /// Everything that every server offers
        #[arg(long, conflicts_with = "server")]
        all: bool,

        /// The server whose offer is approved
        server: Option<String>,

        /// Only these tools and prompts of it
        items: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
struct FileArg {
    /// The configuration file, such as mcp-gw.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a command about pins, and says how it ended: 0 when all is well, 1 when `diff` found a
/// difference, 2 when something went wrong. For a program without a database: the pins are in a file.
pub fn pins(args: &PinsArgs) -> ExitCode {
    run_with(args, false)
}

/// The same for a program that has a database where its configuration has one: the pins are there, unless
/// a file is named for them, and servers that were registered have pins, too.
#[cfg(feature = "management")]
pub fn stored_pins(args: &PinsArgs) -> ExitCode {
    run_with(args, true)
}

fn run_with(args: &PinsArgs, has_database: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"));
    match runtime.and_then(|runtime| runtime.block_on(run(args, has_database))) {
        Ok(Outcome::Same) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::from(1),
        Ok(Outcome::Trouble) => ExitCode::from(2),
        Err(error) => {
            super::tell(&error);
            ExitCode::from(2)
        }
    }
}

/// How a command ended; the greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    Differs,
    Trouble,
}

async fn run(args: &PinsArgs, has_database: bool) -> Result<Outcome, String> {
    let (file, names) = match &args.command {
        PinsCommand::Show { file, servers } | PinsCommand::Diff { file, servers } => {
            (file, servers.clone())
        }
        PinsCommand::Approve {
            all: false,
            server: None,
            ..
        } => {
            return Err(
                "name the server whose offer is approved, or say --all; `pins diff` shows what \
                 that is"
                    .to_owned(),
            );
        }
        PinsCommand::Approve { file, server, .. } => (file, server.iter().cloned().collect()),
    };
    let pins = Pins::open(file.config.as_deref(), has_database).await?;
    let servers = pins.servers(&names)?;
    let outcome = match &args.command {
        PinsCommand::Show { .. } => pins.show(&servers).await,
        PinsCommand::Diff { .. } => pins.each(&servers, None).await,
        PinsCommand::Approve { items, .. } => pins.each(&servers, Some(items)).await,
    };
    pins.close().await;
    outcome
}

impl Pins {
    async fn show(&self, servers: &[Server<'_>]) -> Result<Outcome, String> {
        for server in servers {
            let (name, mode) = (server.name, server.mode.as_str());
            let Some(pins) = self.of(name).await? else {
                print(&format!("{name} ({mode}): no pins yet"))?;
                continue;
            };
            print(&format!(
                "{name} ({mode}): {}",
                count(pins.pins.len(), "pin")
            ))?;
            for ((kind, item), pin) in &pins.pins {
                let text = pin.text.as_ref().and_then(|text| {
                    let text = text.member("description").ok()??;
                    text.decode_owned::<String>().ok()
                });
                let line: String = text
                    .unwrap_or_default()
                    .lines()
                    .next()
                    .map_or_else(String::new, |line| visible(line).chars().take(80).collect());
                let (kind, item, digest) = (kind.as_str(), visible(item), pin.digest.short());
                print(format!("  {digest}  {kind} {item}  {line}").trim_end())?;
            }
        }
        Ok(Outcome::Same)
    }

    /// Asks each server what it offers, and shows what differs, or approves what is named. One that
    /// cannot be asked does not keep the others from it.
    async fn each(
        &self,
        servers: &[Server<'_>],
        approved: Option<&[String]>,
    ) -> Result<Outcome, String> {
        // Before a server is started for nothing.
        for server in servers {
            self.of(server.name).await?;
        }
        let mut outcome = Outcome::Same;
        for server in servers {
            let name = server.name;
            match self.ask(server).await {
                Ok(sight) => {
                    let came = match approved {
                        None => self.diff(name, &sight).await?,
                        Some(items) => self.approve(name, &sight, items).await?,
                    };
                    outcome = outcome.max(came);
                }
                Err(reason) => {
                    super::tell(&format!("{name}: {reason}"));
                    outcome = Outcome::Trouble;
                }
            }
            if server.mode == PinMode::Off {
                super::tell(&format!(
                    "{name}: its pins are off, so the gateway does not hold it to them; set \
                     `pins.mode`"
                ));
            }
        }
        Ok(outcome)
    }

    async fn diff(&self, name: &str, sight: &Sight) -> Result<Outcome, String> {
        let Some(pins) = self.of(name).await? else {
            print(&format!(
                "{name}: no pins yet; it offers {}, which the gateway pins when it first sees them",
                count(sight.0.len(), "item")
            ))?;
            return Ok(Outcome::Same);
        };
        let drifts = compare(&pins, sight);
        if drifts.is_empty() {
            print(&format!("{name}: as pinned"))?;
            return Ok(Outcome::Same);
        }
        for (key, drift) in &drifts {
            let pin = pins.pins.get(key);
            print(&headline(name, key, drift))?;
            print(&difference(pin, drift, None))?;
        }
        print(&format!("{name}: {}\n", summary(&drifts)))?;
        Ok(Outcome::Differs)
    }

    async fn approve(
        &self,
        name: &str,
        sight: &Sight,
        items: &[String],
    ) -> Result<Outcome, String> {
        let edited = self.store.edit(name, |kept| {
            let before = kept.clone().unwrap_or_default();
            let mut pins = before.clone();
            let (done, faults) = accept(&mut pins, sight, items);
            // What was offered to `diff` may have been something else: it is shown again.
            let done: Vec<_> = done
                .into_iter()
                .map(|(key, drift)| {
                    let shown = difference(before.pins.get(&key), &drift, None);
                    (key, drift, shown)
                })
                .collect();
            // Names that are not there must not make a server one that was seen.
            if kept.is_some() || !done.is_empty() || items.is_empty() {
                *kept = Some(pins);
            }
            (done, faults)
        });
        let (done, mut faults) = edited.await.map_err(|error| chain(&error))?;
        for (key, drift, shown) in &done {
            print(&headline(name, key, drift).replacen(": ", " approved: ", 1))?;
            print(shown)?;
        }
        if done.is_empty() && faults.is_empty() {
            print(&format!("{name}: nothing to approve"))?;
        }
        let outcome = if faults.is_empty() {
            Outcome::Same
        } else {
            Outcome::Trouble
        };
        faults.extend(items.iter().filter_map(|item| self.hint(name, sight, item)));
        faults
            .drain(..)
            .for_each(|fault| super::tell(&format!("{name}: {fault}")));
        Ok(outcome)
    }

    /// What to say instead of a name that only clients know.
    fn hint(&self, name: &str, sight: &Sight, item: &str) -> Option<String> {
        let offers = |item: &str| {
            let mut kinds = Kind::ALL.into_iter();
            kinds.any(|kind| sight.0.contains_key(&(kind, item.to_owned())))
        };
        let own = own_name(&self.config, name, item).filter(|own| offers(own))?;
        (!offers(item)).then(|| {
            let (item, own) = (visible(item), visible(&own));
            format!("`{item}` is the name for clients; pins go by the server's own: say `{own}`")
        })
    }
}

#[cfg(test)]
#[cfg(feature = "management")]
mod tests;
