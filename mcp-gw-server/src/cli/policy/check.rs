//! `policy check`: what is wrong with policies, and what looks so.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use mcp_gw_policy::{
    CatalogueName, DefaultEffect, FaultPath, Lint, LintKind, Mode, PathStep, PolicyConfig, lint,
};
use serde_json::{Map, Value, json};

use super::finding::Finding;
use super::subject::{Refusal, Subject};
use super::{Format, Outcome, quoted, runtime, say, say_json, warn};
use crate::cli::{asked, count, status_lines};
use crate::config::{Config, Fault, KEY_RULE};
use crate::survey::names_of;

#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// Policies, or configurations of a gateway such as mcp-gw.yaml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Ask the servers of the configuration too, and warn of names that match nothing they offer
    #[arg(long)]
    ask: bool,

    /// End with 1 when there are warnings, too
    #[arg(long)]
    strict: bool,

    /// How the report looks
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What was found in one file.
struct Report {
    file: String,
    findings: Vec<Finding>,
    /// What can be used.
    policy: Option<(PolicyConfig, String)>,
    outcome: Outcome,
}

pub(super) fn run(args: &CheckArgs) -> Result<Outcome, String> {
    let mut outcome = Outcome::Good;
    let mut values = Vec::new();
    for path in &args.files {
        let file = path.display().to_string();
        let report = match Subject::open(path) {
            Ok(subject) => match look_over(&subject, args) {
                Ok(report) => report,
                Err(why) => {
                    warn(&why);
                    outcome = Outcome::Trouble;
                    continue;
                }
            },
            Err(Refusal::Faulty(findings)) => Report {
                file,
                findings,
                policy: None,
                outcome: Outcome::Bad,
            },
            Err(Refusal::Unreadable(why)) => {
                warn(&why);
                outcome = Outcome::Trouble;
                continue;
            }
        };
        outcome = outcome.max(report.outcome);
        match args.format {
            Format::Text => report.say()?,
            Format::Json => values.push(report.to_json()),
        }
    }
    if args.format == Format::Json {
        say_json(&Value::Array(values))?;
    }
    Ok(outcome)
}

fn look_over(subject: &Subject, args: &CheckArgs) -> Result<Report, String> {
    let engine = subject.engine()?;
    let mut outcome = Outcome::Good;
    let mut catalogue = None;
    if args.ask {
        catalogue = runtime()?.block_on(ask(subject.to_ask()?))?;
        if catalogue.is_none() {
            outcome = Outcome::Trouble;
        }
    }
    let lints = lint(&subject.policy, catalogue.as_deref())
        .map_err(|faults| format!("{}: {faults}", subject.file))?;
    // That nothing is allowed is a lint, too.
    let remarks = subject.config.iter().flat_map(Config::remarks);
    // Other remarks, as on a file of another gateway, are no matter of the policy.
    let is_of_policy = |remark: &Fault| {
        let section = remark.path().section();
        let is_whole = remark.path().to_string() == "policy";
        !is_whole && section.is_some_and(|section| ["auth", "policy"].contains(&section))
    };
    let of_names: Vec<_> = remarks.filter(is_of_policy).collect();
    let of_lints = lints.iter().filter_map(|lint| {
        let path = place(subject, lint)?;
        let is_told = of_names
            .iter()
            .any(|remark| says_the_same(remark, lint, &path));
        (!is_told).then(|| Finding::of_lint(lint, &path, &subject.places))
    });
    let findings: Vec<_> = of_names
        .iter()
        .map(Finding::of_remark)
        .chain(of_lints)
        .collect();
    if args.strict && !findings.is_empty() {
        outcome = outcome.max(Outcome::Bad);
    }
    Ok(Report {
        file: subject.file.clone(),
        findings,
        policy: Some((subject.policy.clone(), engine.version().to_string())),
        outcome,
    })
}

/// True when a remark on the configuration tells of the same name as a lint.
fn says_the_same(remark: &Fault, lint: &Lint, path: &FaultPath) -> bool {
    let name = lint.message.split('`').nth(1).unwrap_or_default();
    lint.kind == LintKind::UnknownName
        && lint.message.starts_with("there is no ")
        && remark.path().to_string().starts_with(&format!("{path}["))
        && remark.message().contains(&format!("`{name}`"))
}

/// Where in the file the cause of a lint stands. Nothing for what nobody wrote: of the rules that stand
/// for `tools` of a key, only what they match is anybody's concern.
fn place(subject: &Subject, lint: &Lint) -> Option<FaultPath> {
    let Some(config) = &subject.config else {
        return Some(subject.root.of(&lint.path));
    };
    let steps = lint.path.steps();
    if let [PathStep::Key(key), PathStep::Index(at), ..] = steps
        && key == "consumers"
        && *at >= config.policy.consumers.len()
    {
        return None;
    }
    let Some(key) = lint
        .rule
        .as_deref()
        .and_then(|rule| rule.strip_prefix(KEY_RULE))
    else {
        return Some(subject.root.of(&lint.path));
    };
    let (LintKind::MatchesNothing, Some(PathStep::Index(tool))) = (lint.kind, steps.last()) else {
        return None;
    };
    let keys = &config.auth.api_keys;
    // The longest ids are cut in the names of rules.
    let at = keys.iter().position(|one| one.id == key);
    let at = at.or_else(|| keys.iter().position(|one| one.id.starts_with(key)))?;
    let path = FaultPath::root().key("auth").key("api_keys").index(at);
    Some(path.key("tools").index(*tool))
}

/// All names that the servers offer; nothing, when one of them does not answer.
async fn ask(config: &Config) -> Result<Option<Vec<CatalogueName>>, String> {
    let gateway = asked(config).await?;
    let status = gateway.status();
    let is_complete = status.iter().all(|server| server.is_up);
    if !is_complete {
        for line in status_lines(&status) {
            warn(&line);
        }
        warn("not all servers have answered, so the names in the policy are not compared");
    }
    let names = names_of(&gateway);
    gateway.close().await;
    Ok(is_complete.then_some(names))
}

impl Report {
    fn say(&self) -> Result<(), String> {
        for finding in &self.findings {
            say(&finding.line(&self.file))?;
        }
        let found = self.findings.len();
        let Some((policy, version)) = &self.policy else {
            let is_foreign = |one: &Finding| one.is_at("authorizations");
            if self.findings.iter().any(is_foreign) {
                say("`policy import` makes a policy of the configuration of Gravitee's mcp-acl")?;
            }
            let what = count(found, "fault");
            return say(&format!("{} cannot be used: {what}", self.file));
        };
        let verdict = match found {
            0 => "is good".to_owned(),
            some => format!("can be used, with {}", count(some, "warning")),
        };
        let what = in_short(policy);
        say(&format!(
            "{} {verdict}: {what}, version {version}",
            self.file
        ))
    }

    fn to_json(&self) -> Value {
        let (faults, warnings): (Vec<_>, Vec<_>) =
            self.findings.iter().partition(|finding| finding.is_fault());
        let mut value = Map::new();
        value.insert("file".to_owned(), self.file.clone().into());
        value.insert("usable".to_owned(), self.policy.is_some().into());
        value.insert("faults".to_owned(), json!(faults));
        value.insert("warnings".to_owned(), json!(warnings));
        if let Some((policy, version)) = &self.policy {
            value.insert("version".to_owned(), version.clone().into());
            value.insert("rules".to_owned(), rules(policy).into());
        }
        Value::Object(value)
    }
}

fn rules(policy: &PolicyConfig) -> usize {
    let servers = policy.servers.values().map(|layer| layer.rules.len());
    let consumers = policy.consumers.iter().map(|layer| layer.rules.len());
    policy.rules.len() + servers.sum::<usize>() + consumers.sum::<usize>()
}

/// `3 rules and 1 role in 2 layers, what none decides is denied`.
fn in_short(policy: &PolicyConfig) -> String {
    let mut text = count(rules(policy), "rule");
    if !policy.roles.is_empty() {
        let _ = write!(text, " and {}", count(policy.roles.len(), "role"));
    }
    let layers = 1 + policy.servers.len() + policy.consumers.len();
    if layers > 1 {
        let _ = write!(text, " in {layers} layers");
    }
    text.push_str(match policy.default {
        DefaultEffect::Allow => ", what none decides is allowed",
        _ => ", what none decides is denied",
    });
    if !policy.extra_methods.is_empty() {
        let names = quoted(policy.extra_methods.iter().map(String::as_str));
        let _ = write!(text, ", {names} let through");
    }
    if policy.mode == Mode::Shadow {
        text.push_str("; it is in shadow, so nothing is refused");
    }
    text
}
