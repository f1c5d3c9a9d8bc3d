//! `pins show`, `pins diff`, `pins approve`: what is pinned, what differs from it, and to accept that.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use mcp_gw_core::Backend;

use super::source::environment;
use super::{count, print};
use crate::compose::bare_backend;
use crate::config::{Config, PinMode, ServerConfig, read_file};
use crate::pins::{
    Drift, Drifts, Kind, PinsFile, Seen, ServerPins, Sight, Store, chain, compare, difference,
    visible,
};

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
/// difference, 2 when something went wrong.
pub fn pins(args: &PinsArgs) -> ExitCode {
    match run(args) {
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

fn run(args: &PinsArgs) -> Result<Outcome, String> {
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
    let pins = Pins::open(file)?;
    let servers = pins.servers(&names)?;
    match &args.command {
        PinsCommand::Show { .. } => pins.show(&servers),
        PinsCommand::Diff { .. } => pins.each(&servers, |name, sight| pins.diff(name, sight)),
        PinsCommand::Approve { items, .. } => {
            pins.each(&servers, |name, sight| pins.approve(name, sight, items))
        }
    }
}

/// A configuration, and where its pins are.
struct Pins {
    config: Config,
    store: Store,
}

type Server<'a> = (&'a str, &'a ServerConfig);

impl Pins {
    fn open(file: &FileArg) -> Result<Self, String> {
        let Some(path) = &file.config else {
            return Err(
                "pins belong to a configuration file, as they stand beside it: --config \
                 mcp-gw.yaml. Servers of --url, --from or `--` cannot be pinned; write them into \
                 a file"
                    .to_owned(),
            );
        };
        let text = read_file(path).map_err(|faults| faults.to_string())?;
        let config = Config::load(&path.display().to_string(), &text, &environment)
            .map_err(|faults| faults.to_string())?;
        let Some(file) = &config.pins.file else {
            return Err("the configuration names no file for pins; add `pins.file`".to_owned());
        };
        Ok(Self {
            store: Store::new(file),
            config,
        })
    }

    /// The servers of these names; all, when there are no names.
    fn servers(&self, names: &[String]) -> Result<Vec<Server<'_>>, String> {
        let servers = &self.config.servers;
        if let Some(unknown) = names.iter().find(|name| !servers.contains_key(*name)) {
            let known: Vec<_> = servers.keys().map(String::as_str).collect();
            return Err(format!(
                "there is no server `{}` in the configuration; there are {}",
                visible(unknown),
                known.join(", ")
            ));
        }
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let servers = servers.iter().filter(|(name, _)| wanted(name));
        Ok(servers.map(|(name, server)| (&**name, server)).collect())
    }

    /// What the file says now.
    fn read(&self) -> Result<PinsFile, String> {
        let file = self.store.read().map_err(|error| chain(&error))?;
        Ok(file.unwrap_or_default())
    }

    fn show(&self, servers: &[Server<'_>]) -> Result<Outcome, String> {
        let file = self.read()?;
        for (name, server) in servers {
            let mode = self.config.pin_mode(server).as_str();
            let Some(pins) = file.servers.get(*name) else {
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

    /// Asks each server what it offers, and hands that on. One that cannot be asked does not keep
    /// the others from it.
    fn each(
        &self,
        servers: &[Server<'_>],
        mut work: impl FnMut(&str, &Sight) -> Result<Outcome, String>,
    ) -> Result<Outcome, String> {
        // Before a server is started for nothing.
        self.read()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the runtime cannot be started: {error}"))?;
        let mut outcome = Outcome::Same;
        for (name, server) in servers {
            match runtime.block_on(self.ask((name, server))) {
                Ok(sight) => outcome = outcome.max(work(name, &sight)?),
                Err(reason) => {
                    super::tell(&format!("{name}: {reason}"));
                    outcome = Outcome::Trouble;
                }
            }
            if self.config.pin_mode(server) == PinMode::Off {
                super::tell(&format!(
                    "{name}: its pins are off, so the gateway does not hold it to them; set \
                     `pins.mode`"
                ));
            }
        }
        Ok(outcome)
    }

    async fn ask(&self, server: Server<'_>) -> Result<Sight, String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the command line reads the environment"
        )]
        let env: Vec<_> = std::env::vars_os().collect();
        let backend: Arc<dyn Backend> = bare_backend(
            &self.config,
            server,
            &env,
            None,
            self.config.call_timeout.get(),
        )
        .map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
        let offer = backend.offer().await;
        backend.close().await;
        match offer {
            Ok(offer) => Ok(Sight::of(&offer)),
            Err(error) => Err(visible(&format!("it cannot be asked: {error}"))),
        }
    }

    fn diff(&self, name: &str, sight: &Sight) -> Result<Outcome, String> {
        let file = self.read()?;
        let Some(pins) = file.servers.get(name) else {
            print(&format!(
                "{name}: no pins yet; it offers {}, which the gateway pins when it first sees them",
                count(sight.0.len(), "item")
            ))?;
            return Ok(Outcome::Same);
        };
        let drifts = compare(pins, sight);
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

    fn approve(&self, name: &str, sight: &Sight, items: &[String]) -> Result<Outcome, String> {
        let (done, mut faults) = self
            .store
            .change(|file| {
                let is_known = file.servers.contains_key(name);
                let pins = file.servers.entry(name.to_owned()).or_default();
                let before = pins.clone();
                let (done, faults) = accept(pins, sight, items);
                // What was offered to `diff` may have been something else: it is shown again.
                let done: Vec<_> = done
                    .into_iter()
                    .map(|(key, drift)| {
                        let shown = difference(before.pins.get(&key), &drift, None);
                        (key, drift, shown)
                    })
                    .collect();
                if done.is_empty() && !is_known && !items.is_empty() {
                    // Names that are not there must not make a server one that was seen.
                    file.servers.remove(name);
                }
                (done, faults)
            })
            .map_err(|error| chain(&error))?;
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

/// What the server itself calls a tool or prompt of it that is named as clients know it: under another
/// name that the configuration gives it, or with the server's prefix.
fn own_name(config: &Config, name: &str, item: &str) -> Option<String> {
    let server = config.servers.get(name)?;
    let prefix = server.prefix_name.as_deref().unwrap_or(name);
    let rest = item.strip_prefix(prefix);
    let bare = rest.and_then(|rest| rest.strip_prefix("__"));
    let called = bare.unwrap_or(item);
    let mut tools = server.tools.iter();
    let renamed = tools.find(|(_, shape)| shape.rename.as_deref() == Some(called));
    let own = renamed.map(|(own, _)| own.as_str()).or(bare);
    own.map(str::to_owned)
}

/// Pins what is offered: the items of these names, or everything when there are none. What was
/// accepted, and what cannot be.
fn accept(pins: &mut ServerPins, sight: &Sight, items: &[String]) -> (Drifts, Vec<String>) {
    let is_meant = |name: &String| items.is_empty() || items.contains(name);
    let mut faults = Vec::new();
    for item in items {
        let is_there = |kind: Kind| {
            let key = (kind, item.clone());
            sight.0.contains_key(&key) || pins.pins.contains_key(&key)
        };
        if !Kind::ALL.into_iter().any(is_there) {
            faults.push(format!(
                "it offers no tool or prompt `{}`, and none is pinned; `pins diff` shows what differs",
                visible(item)
            ));
        }
    }
    let mut done = compare(pins, sight);
    done.retain(|((_, name), _)| is_meant(name));
    done.retain(|((kind, name), drift)| {
        let is_twice = matches!(drift, Drift::Twice(_));
        if is_twice {
            faults.push(format!(
                "{} `{}` is offered twice with different definitions, and cannot be approved: tell \
                 those who make the server",
                kind.as_str(),
                visible(name)
            ));
        }
        !is_twice
    });
    for (key, drift) in &done {
        if *drift == Drift::Removed {
            pins.pins.remove(key);
        }
    }
    pins.put_all(done.iter().filter_map(|(key, _)| match sight.0.get(key) {
        Some(Seen::Once(print)) => Some((key.clone(), print)),
        _ => None,
    }));
    (done, faults)
}

/// `docs: tool search: changed, sha256 0a09c7062fe8`.
fn headline(server: &str, (kind, name): &(Kind, String), drift: &Drift) -> String {
    let (kind, name, how) = (kind.as_str(), visible(name), drift.as_str());
    let mut line = format!("{server}: {kind} {name}: {how}");
    if let Drift::Changed(print) | Drift::New(print) = drift {
        let _ = write!(line, ", sha256 {}", print.digest.short());
    }
    line
}

/// `2 changed, 1 new`.
fn summary(drifts: &Drifts) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (_, drift) in drifts {
        let word = drift.as_str();
        match counts.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{Offer, ToolSpec};

    use super::*;

    fn sight(tools: &[(&str, &str)]) -> Sight {
        let tools = tools
            .iter()
            .map(|(name, text)| ToolSpec::new(name, text).unwrap());
        Sight::of(&Offer::of_tools(tools.collect()))
    }

    fn names(drifts: &Drifts) -> Vec<&str> {
        drifts.iter().map(|((_, name), _)| &**name).collect()
    }

    #[test]
    fn what_is_named_is_approved_and_nothing_else() {
        let mut pins = ServerPins::of(&sight(&[("a", "1"), ("b", "1"), ("gone", "1")]));
        let now = sight(&[("a", "2"), ("b", "2"), ("c", "2")]);
        let (done, faults) = accept(&mut pins, &now, &["a".to_owned(), "d".to_owned()]);
        assert_eq!(names(&done), ["a"]);
        assert!(faults[0].contains("`d`") && faults.len() == 1, "{faults:?}");
        assert_eq!(
            summary(&compare(&pins, &now)),
            "1 changed, 1 new, 1 removed"
        );
        let (done, faults) = accept(&mut pins, &now, &[]);
        assert_eq!(names(&done), ["b", "c", "gone"]);
        assert!(faults.is_empty() && compare(&pins, &now).is_empty());
        assert_eq!(pins, ServerPins::of(&now));
    }

    #[test]
    fn a_name_for_clients_leads_to_the_servers_own() {
        let text = "policy: { default: allow }\nservers: { one: { command: x, tools: { alpha: { rename: beta } } }, \
                    two: { command: x, prefix_name: zwei } }";
        let config = Config::load("mcp-gw.yaml", text, &|_: &str| None).unwrap();
        for (server, item, own) in [
            ("one", "beta", Some("alpha")),
            ("one", "one__beta", Some("alpha")),
            ("one", "one__gamma", Some("gamma")),
            ("one", "alpha", None),
            ("two", "zwei__a", Some("a")),
            ("two", "two__a", None),
        ] {
            assert_eq!(own_name(&config, server, item).as_deref(), own, "{item}");
        }
    }

    #[test]
    fn what_is_offered_twice_is_not_approved() {
        let mut pins = ServerPins::default();
        let now = sight(&[("a", "1"), ("a", "2"), ("b", "1")]);
        let (done, faults) = accept(&mut pins, &now, &[]);
        assert_eq!(names(&done), ["b"]);
        assert!(faults[0].contains("offered twice"), "{faults:?}");
        assert_eq!(pins.pins.len(), 1);
    }
}
