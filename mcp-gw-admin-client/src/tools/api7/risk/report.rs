//! The answer of a scan for a reader.

use std::fmt::Write as _;

use serde_json::Value;

use super::rules::{Finding, Severity};
use super::{Output, RuleState, State};

/// The report.
pub(crate) fn written(output: &Output) -> String {
    let mut out = head(output);
    let mut last: Option<(Severity, &str)> = None;
    for finding in &output.findings {
        let here = (finding.severity, finding.rule);
        let Some(rule) = output.rules.iter().find(|rule| rule.id == finding.rule) else {
            continue;
        };
        if last != Some(here) {
            heading(&mut out, finding, rule);
            last = Some(here);
        }
        let _ = writeln!(out, "- {}", line(finding));
    }
    if let Some(next) = &output.next {
        let _ = writeln!(
            out,
            "\n{} of {} findings are shown; call again with {next}",
            output.findings.len(),
            output.total_findings
        );
    }
    let passed = named(output, State::Passed);
    if !passed.is_empty() {
        let _ = writeln!(out, "\nPassed: {}", passed.join(", "));
    }
    let nothing = named(output, State::Nothing);
    if !nothing.is_empty() {
        let _ = writeln!(out, "\nNothing to judge: {}", nothing.join(", "));
    }
    undecided(&mut out, output);
    not_read(&mut out, output);
    if !output.review.is_empty() {
        out.push_str("\nFor you to judge:\n");
        for review in &output.review {
            let _ = writeln!(
                out,
                "- {} ({} resources; {})",
                review.question, review.total, review.how
            );
        }
    }
    out
}

fn head(output: &Output) -> String {
    let s = &output.summary;
    let how = if output.complete { "" } else { ", incomplete" };
    format!(
        "Risk scan{how}: {} critical, {} high, {} medium, {} low.\nLooked at {} gateway groups, {} services, {} routes, {} \
         consumers, {} certificates, {} permission policies, {} users; {} requests.\n",
        s.critical,
        s.high,
        s.medium,
        s.low,
        s.gateway_groups,
        s.services,
        s.routes,
        s.consumers,
        s.certificates,
        s.permission_policies,
        s.users,
        s.requests,
    )
}

fn heading(out: &mut String, finding: &Finding, rule: &RuleState) {
    let severity = finding.severity.as_str().to_uppercase();
    let _ = writeln!(
        out,
        "\n{severity} {} [{}]: {}",
        rule.id, rule.category, rule.title
    );
    let _ = writeln!(out, "  Do: {}", rule.remedy);
    let _ = writeln!(out, "  See: {}", rule.reference);
}

fn line(finding: &Finding) -> String {
    let at = &finding.resource;
    let mut line = format!("{} {}", at.kind, at.id);
    if let Some(name) = at.name.as_ref().filter(|name| **name != at.id) {
        let _ = write!(line, " ({name})");
    }
    if let Some(owner) = &at.owner {
        let _ = write!(line, " of {owner}");
    }
    if let Some(group) = &at.gateway_group_id {
        let _ = write!(line, " in {group}");
    }
    let _ = write!(line, ": {}; {}", finding.says, finding.field);
    match &finding.value {
        Value::Null => {}
        Value::String(text) => {
            let _ = write!(line, " = {text}");
        }
        value => {
            let _ = write!(line, " = {value}");
        }
    }
    line
}

fn named(output: &Output, state: State) -> Vec<&'static str> {
    let rules = output.rules.iter().filter(|rule| rule.state == state);
    rules.map(|rule| rule.id).collect()
}

fn undecided(out: &mut String, output: &Output) {
    let open = |rule: &&RuleState| {
        matches!(rule.state, State::Partly | State::Undecided)
            || (rule.state == State::Failed && rule.why.is_some())
    };
    let open: Vec<&RuleState> = output.rules.iter().filter(open).collect();
    if open.is_empty() {
        return;
    }
    out.push_str("\nNot decided, or not for all:\n");
    for rule in open {
        let why = rule.why.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "- {} ({} of {}): {why}",
            rule.id, rule.undecided, rule.checked
        );
    }
}

fn not_read(out: &mut String, output: &Output) {
    if output.not_read.is_empty() {
        return;
    }
    out.push_str("\nNot read:\n");
    for unread in &output.not_read {
        let _ = writeln!(
            out,
            "- {} ({} requests): {}",
            unread.what, unread.times, unread.error.message
        );
    }
}
