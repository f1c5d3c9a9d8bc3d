//! An explanation for people.

use std::fmt::Write as _;

use mcp_gw_policy::{Explanation, LayerExplanation, Mode, NearMiss, RuleConfig};

use super::super::{quoted, say as line};
use super::{Told, advice, came_out, why, word};

/// Prints it: the verdict first, then what led there, then what can be done.
pub(super) fn say(told: &Told<'_>) -> Result<(), String> {
    line(&verdict(told)?)?;
    line(&layers(&told.explanation))?;
    let sections = [
        (
            "what is required and does not hold",
            unmet(&told.explanation),
        ),
        ("rules that could not be evaluated", errors(told)),
        ("rules that nearly applied", misses(told)),
        ("what to do", advice::lines(told)),
    ];
    for (title, lines) in sections {
        if !lines.is_empty() {
            line(&format!("\n{title}"))?;
            lines.iter().try_for_each(|one| line(&format!("  {one}")))?;
        }
    }
    let version = &told.explanation.version;
    line(&format!("\n{}, version {version}", told.subject.file))
}

/// Who wants what, how it comes out, and why.
fn verdict(told: &Told<'_>) -> Result<String, String> {
    let (case, explanation) = (told.case, &told.explanation);
    let caller = case.caller.to_caller()?;
    let mut who = format!("{} ({})", caller.id, caller.kind.as_str());
    if let Some(from) = case.from {
        let _ = write!(who, " from {from}");
    }
    let mut what = format!("{} {}", case.method, case.name);
    if !case.server.is_empty() {
        let _ = write!(what, " of server {}", case.server);
    }
    let mut text = format!(
        "{}: {}\n  {}\n  for {}",
        came_out(explanation),
        why(explanation),
        one_line(&what),
        one_line(&who),
    );
    let held = &explanation.held;
    for (noun, names) in [
        ("roles", &held.roles),
        ("groups", &held.groups),
        ("scopes", &held.scopes),
    ] {
        if !names.is_empty() {
            let names = one_line(&names.join(", "));
            let _ = write!(text, "\n    {noun}: {names}");
        }
    }
    if let Some(shadow) = &explanation.shadow {
        let _ = write!(
            text,
            "\nif nothing were in shadow it would be {}: {}",
            word(shadow.effect),
            shadow.reason.sentence(&shadow.rules)
        );
    }
    let scopes = &told.explanation.missing_scopes;
    if !scopes.is_empty() {
        let _ = write!(
            text,
            "\nthe client is told that it lacks: {}",
            scopes.join(" ")
        );
    }
    Ok(text)
}

fn layers(told: &Explanation) -> String {
    if told.layers.is_empty() {
        return "\nno rule was asked".to_owned();
    }
    let title = match &*told.layers {
        [_] => "\nby layer",
        _ => "\nby layer; each must allow it",
    };
    let widest = told.layers.iter().map(|layer| layer.layer.chars().count());
    let widest = widest.max().unwrap_or(0).min(40);
    let line = |layer: &LayerExplanation| {
        let shadow = match layer.mode {
            Mode::Shadow => " (in shadow, so it does not count)",
            _ => "",
        };
        format!(
            "  {:widest$}  {:7}  {}{shadow}",
            one_line(&layer.layer),
            word(layer.effect),
            layer.reason.sentence(&layer.rules)
        )
    };
    let lines = std::iter::once(title.to_owned()).chain(told.layers.iter().map(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn unmet(told: &Explanation) -> Vec<String> {
    let unmet = told.unmet.iter();
    unmet
        .map(|one| {
            format!(
                "rule `{}` in {}: {}",
                one.rule,
                one.layer,
                one_line(&one.because)
            )
        })
        .collect()
}

fn errors(told: &Told<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for error in &told.explanation.errors {
        let so = match error.effect {
            mcp_gw_policy::RuleEffect::Allow => "so it does not allow",
            mcp_gw_policy::RuleEffect::Deny => "so it denies",
            _ => "so what it requires does not hold",
        };
        let why = one_line(&error.error);
        lines.push(format!("rule `{}`: {why}, {so}", error.rule));
        lines.extend(condition(told, &error.rule));
    }
    lines
}

fn misses(told: &Told<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let errors = &told.explanation.errors;
    let is_told = |miss: &&NearMiss| errors.iter().any(|error| error.rule == miss.rule);
    let misses = told.explanation.near_misses.iter();
    for miss in misses.filter(|miss| !is_told(miss)) {
        let NearMiss {
            rule,
            layer,
            effect,
            because,
            ..
        } = miss;
        lines.push(format!(
            "rule `{rule}`, which would {} it, in {layer}",
            verb(*effect)
        ));
        lines.extend(because.iter().map(|why| format!("  {}", one_line(why))));
        if because.iter().any(|why| why.starts_with("when:")) {
            lines.extend(condition(told, rule));
        }
    }
    lines
}

const fn verb(effect: mcp_gw_policy::RuleEffect) -> &'static str {
    match effect {
        mcp_gw_policy::RuleEffect::Allow => "allow",
        mcp_gw_policy::RuleEffect::Deny => "deny",
        _ => "restrict",
    }
}

/// The condition of a rule, as it is written.
fn condition(told: &Told<'_>, id: &str) -> Option<String> {
    let rule = rules(told).find(|rule| rule.id == id)?;
    let when = one_line(rule.when.as_deref()?);
    Some(format!("  the condition is  {when}"))
}

fn rules<'t>(told: &'t Told<'_>) -> impl Iterator<Item = &'t RuleConfig> {
    let policy = &told.subject.policy;
    let servers = policy.servers.values().flat_map(|layer| &layer.rules);
    let consumers = policy.consumers.iter().flat_map(|layer| &layer.rules);
    policy.rules.iter().chain(servers).chain(consumers)
}

/// What callers and files say stays within its line.
pub(super) fn one_line(text: &str) -> String {
    let line: Vec<_> = text.split(['\n', '\r']).map(str::trim).collect();
    line.join(" ").trim().to_owned()
}

/// Names in quotes, on one line.
pub(super) fn names(names: &[String]) -> String {
    one_line(&quoted(names.iter().map(String::as_str)))
}
