//! `policy import`: the policy of another gateway as one of ours.

use std::path::PathBuf;

use clap::Args;
use mcp_gw_policy::{ImportNoteKind, NamePattern, PolicyConfig, import_mcp_acl};

use super::{Outcome, say, warn};
use crate::cli::count;
use crate::config::read_file;

#[derive(Debug, Clone, Args)]
pub(super) struct ImportArgs {
    /// The configuration of `mcp-acl` as JSON, the policy step of a flow that holds it, or the export
    /// of an API with one such step
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The server that the rules are for, as `servers` of the gateway calls it; their ids begin with
    /// it, so that the rules of several APIs fit into one policy
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// End with 0 although a part could not be translated and allows nothing
    #[arg(long)]
    lenient: bool,
}

/// A policy in a file of its own has no variables, the file of a gateway has.
const VARIABLE: &str = "a name holds `${`, which the configuration of a gateway takes for a variable: write \
                        `$${` there";

pub(super) fn run(args: &ImportArgs) -> Result<Outcome, String> {
    let file = args.file.display().to_string();
    let text = read_file(&args.file).map_err(|faults| {
        let line = faults.to_string();
        line.lines().next().unwrap_or_default().to_owned()
    })?;
    let mut imported = import_mcp_acl(&text).map_err(|error| {
        format!(
            "{file}: {error}; give the `configuration` of the policy step as it is in the API \
             definition"
        )
    })?;
    if let Some(server) = &args.server {
        for rule in &mut imported.policy.rules {
            rule.id = format!("{server}-{}", rule.id);
            rule.servers = Some(vec![NamePattern::Literal(server.clone())]);
        }
    }
    let yaml = imported.policy.to_yaml();
    // What is handed over can be used.
    PolicyConfig::from_yaml(&yaml).map_err(|faults| format!("{file}: {faults}"))?;
    say(&format!("# Made of the `mcp-acl` configuration in {file}"))?;
    say("# It comes into force below `policy:` in the configuration of a gateway")?;
    for note in &imported.notes {
        say(&format!("# {note}").replace('\n', " "))?;
    }
    let has_variable = yaml.contains("${");
    if has_variable {
        say(&format!("# {VARIABLE}"))?;
    }
    say(&yaml)?;
    if has_variable {
        warn(&format!("{file}: {VARIABLE}"));
    }
    for note in &imported.notes {
        warn(&format!("{file}: {note}").replace('\n', " "));
    }
    let is_stricter = |note: &&mcp_gw_policy::ImportNote| note.kind == ImportNoteKind::Stricter;
    let lost = imported.notes.iter().filter(is_stricter).count();
    let rules = count(imported.policy.rules.len(), "rule");
    if lost == 0 {
        warn(&format!(
            "{file}: {rules}; look at `policy check`, and at some decisions with `policy explain`"
        ));
        return Ok(Outcome::Good);
    }
    warn(&format!(
        "{file}: {rules}, of which some allow less than before: {} could not be translated. Write \
         their `when` by hand",
        count(lost, "part")
    ));
    Ok(if args.lenient {
        Outcome::Good
    } else {
        Outcome::Bad
    })
}
