//! `policy test`: tables of expected decisions.

use std::path::{Path, PathBuf};

use clap::Args;
use mcp_gw_policy::{CaseFailure, CaseFile, PolicyConfig, PolicyEngine};
use serde_json::{Value, json};

use super::explain::{came_out, why};
use super::finding::Finding;
use super::subject::Subject;
use super::{Format, Outcome, say, say_json, warn};
use crate::cli::count;
use crate::config::read_file;

#[derive(Debug, Clone, Args)]
pub(super) struct TestArgs {
    /// Files with cases: requests, and how they are to be decided
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The policy that cases are run on, or the configuration of a gateway that has one, instead of
    /// the one that their file names under `policy`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How the report looks
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &TestArgs) -> Result<Outcome, String> {
    let mut outcome = Outcome::Good;
    let mut values = Vec::new();
    let given = args.config.as_deref().map(open).transpose()?;
    for path in &args.files {
        let file = path.display().to_string();
        let (count, failures) = match run_file(path, given.as_ref()) {
            Ok(done) => done,
            Err(why) => {
                warn(&why);
                outcome = Outcome::Trouble;
                continue;
            }
        };
        if failures.iter().any(|failure| failure.is_unclear) {
            outcome = outcome.max(Outcome::Trouble);
        } else if !failures.is_empty() {
            outcome = outcome.max(Outcome::Bad);
        }
        match args.format {
            Format::Text => report(&file, count, &failures)?,
            Format::Json => values.push(to_json(&file, count, &failures)),
        }
    }
    if args.format == Format::Json {
        say_json(&Value::Array(values))?;
    }
    Ok(outcome)
}

fn open(path: &Path) -> Result<Subject, String> {
    Subject::open(path).map_err(|refusal| refusal.in_words(&path.display().to_string()))
}

/// How many cases there are, and those that came out otherwise.
fn run_file(path: &Path, given: Option<&Subject>) -> Result<(usize, Vec<CaseFailure>), String> {
    let file = path.display().to_string();
    let text = read_file(path).map_err(|faults| {
        let faults = faults.to_string();
        faults.lines().next().unwrap_or_default().to_owned()
    })?;
    let mut cases = CaseFile::from_yaml(&text).map_err(|faults| {
        let faults = faults.faults().iter();
        let lines = faults.map(|fault| Finding::of_policy(fault).line(&file));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    if cases.is_empty() {
        return Err(format!(
            "{file}: there are no cases in it; write some under `cases`"
        ));
    }
    let named = match (given, &cases.policy) {
        (Some(_), _) | (None, None) => None,
        (None, Some(policy)) => {
            let folder = path.parent().unwrap_or(Path::new("."));
            Some(open(&folder.join(policy)).map_err(|why| format!("{file}: policy: {why}"))?)
        }
    };
    let engine = match given.or(named.as_ref()) {
        Some(subject) => {
            for (name, caller) in &subject.callers {
                let known = cases.callers.entry(name.clone());
                known.or_insert_with(|| caller.clone());
            }
            subject.engine()?
        }
        None if cases.cases.is_empty() => {
            // Each group has a policy of its own.
            PolicyEngine::compile(&PolicyConfig::default()).map_err(|faults| faults.to_string())?
        }
        None => {
            return Err(format!(
                "{file}: the cases are for a policy that is not named; write `policy: FILE` above \
                 them, or say --config FILE"
            ));
        }
    };
    Ok((cases.len(), cases.run(&engine)))
}

fn report(file: &str, cases: usize, failures: &[CaseFailure]) -> Result<(), String> {
    let cases = count(cases, "case");
    if failures.is_empty() {
        return say(&format!("{file}: {cases}, all as expected"));
    }
    for failure in failures {
        say(&format!("{file}: {}", failure.case.replace('\n', " ")))?;
        for difference in &failure.differences {
            say(&format!("    {}", difference.replace('\n', " ")))?;
        }
        if let Some(told) = &failure.explanation {
            say(&format!("    {}: {}", came_out(told), why(told)))?;
            for miss in told.near_misses.iter().take(3) {
                let because = miss.because.join("; ").replace('\n', " ");
                say(&format!(
                    "    rule `{}` nearly applied: {because}",
                    miss.rule
                ))?;
            }
        }
    }
    let failed = failures.len();
    say(&format!("{file}: {cases}, {failed} not as expected"))
}

fn to_json(file: &str, cases: usize, failures: &[CaseFailure]) -> Value {
    let failures: Vec<_> = failures
        .iter()
        .map(|failure| {
            json!({
                "case": failure.case,
                "differences": failure.differences,
                "explanation": failure.explanation,
            })
        })
        .collect();
    json!({ "file": file, "cases": cases, "failures": failures })
}
