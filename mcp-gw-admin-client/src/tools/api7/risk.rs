//! `check_risk`: reads a configuration, and decides by rules what of it is a risk.

mod collect;
mod config;
mod key;
mod report;
mod review;
mod rules;
mod scan;
mod source;

use std::borrow::Cow;

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tools::answer::Failure;
use crate::tools::api7::input::Id;
use crate::tools::api7::risk::collect::{collect, with_ways};
use crate::tools::api7::risk::review::Review;
use crate::tools::api7::risk::rules::{Finding, Judge, Rule, Severity};
use crate::tools::api7::risk::scan::Scan;
use crate::tools::api7::risk::source::{Reader, Source};
use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Effect, Operation};
use crate::tools::spoken::Spoken;

pub use config::{RiskConfig, RiskFault};

/// More kinds of failures are not listed.
const MOST_FAILURES: usize = 20;

/// The id of a rule, with all ids in its schema.
#[derive(Deserialize)]
#[serde(transparent)]
struct RuleId(String);

impl JsonSchema for RuleId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let ids: Vec<&str> = rules::all().map(|rule| rule.id).collect();
        schemars::json_schema!({ "type": "string", "enum": ids })
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// Only these gateway groups, by their ids; all when it is missing.
    #[schemars(length(min = 1, max = 100))]
    gateway_group_ids: Option<Vec<Id>>,
    /// Only these rules; all when it is missing. Only what they look at is read.
    #[schemars(length(min = 1, max = 100))]
    rules: Option<Vec<RuleId>>,
    /// Only findings that are at least so bad.
    min_severity: Option<Severity>,
    /// Leave out so many findings at the beginning: to read on where the last answer was cut.
    skip: Option<u32>,
    /// The longest list of findings, in bytes.
    #[schemars(range(min = 1024, max = 1_048_576))]
    max_bytes: Option<u32>,
}

/// How many there are of each.
#[derive(Default, Serialize, JsonSchema)]
struct Summary {
    /// Findings that are critical.
    critical: usize,
    /// Findings that are high.
    high: usize,
    /// Findings that are medium.
    medium: usize,
    /// Findings that are low.
    low: usize,
    /// Gateway groups that were looked at.
    gateway_groups: usize,
    /// Services.
    services: usize,
    /// Routes, with stream routes.
    routes: usize,
    /// Consumers.
    consumers: usize,
    /// Certificates, with those of authorities.
    certificates: usize,
    /// Permission policies.
    permission_policies: usize,
    /// Users of the dashboard.
    users: usize,
    /// Requests that were sent to the dashboard.
    requests: usize,
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum State {
    /// There are findings.
    Failed,
    /// There are none, and all was looked at.
    Passed,
    /// There are none, but not all could be judged.
    Partly,
    /// Nothing could be judged.
    Undecided,
    /// There is nothing to judge.
    Nothing,
}

/// A rule, and what came of it.
#[derive(Serialize, JsonSchema)]
struct RuleState {
    /// The id.
    id: &'static str,
    /// What it is about: authentication, transmission, access, plugins, exposure, roles, monitoring.
    category: &'static str,
    /// How bad it usually is.
    severity: Severity,
    /// What is a risk.
    title: &'static str,
    /// failed: there are findings. passed: there are none. partly: none, but not all could be judged. undecided:
    /// nothing could be judged. nothing: there is nothing to judge.
    state: State,
    /// How many findings there are.
    findings: usize,
    /// How many were looked at.
    checked: usize,
    /// How many of them could not be judged.
    undecided: usize,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What to do about it.
    remedy: String,
    /// Where to read more.
    reference: &'static str,
}

/// What could not be read.
#[derive(Serialize, JsonSchema)]
struct NotRead {
    /// What it is.
    what: &'static str,
    /// How many requests failed so.
    times: usize,
    /// The first of them.
    paths: Vec<String>,
    /// Why, and what to do next.
    error: Failure,
    /// The rules that look at it.
    rules: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    /// True when everything that rules look at could be read.
    complete: bool,
    /// How many there are of each.
    summary: Summary,
    /// What is a risk, the worst first.
    findings: Vec<Finding>,
    /// How many findings there are in all.
    total_findings: usize,
    /// What to call again with for the next findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// All rules that were asked for.
    rules: Vec<RuleState>,
    /// What could not be read, and why.
    not_read: Vec<NotRead>,
    /// What no rule can decide: for you to look at.
    review: Vec<Review>,
}

impl Spoken for Output {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        for rule in &mut self.rules {
            change(&mut rule.remedy);
            rule.why.iter_mut().for_each(&mut *change);
        }
        for not_read in &mut self.not_read {
            not_read.error.each_text(change);
        }
        for review in &mut self.review {
            change(&mut review.how);
        }
    }
}

pub(crate) struct CheckRisk;

impl Operation<Api7> for CheckRisk {
    const NAME: &'static str = "check_risk";
    const TITLE: &'static str = "Look for risks";
    const DESCRIPTION: &'static str = "Reads the configuration of all gateway groups, roles and metrics, and decides by rules \
        what is a risk: routes without authentication, weak secrets, certificates that expire, TLS, duplicate routes, \
        upstreams without health checks, conflicting plugins, code in plugins, exposed endpoints, wide permissions, \
        errors and sudden changes of traffic. Only reads. Answers with findings (resource, field, value), the state of \
        each rule with its remedy, what could not be read, and what is left for you to judge. Report findings with \
        their remedies; read details with get_resource only where they are needed.";
    const EFFECT: Effect = Effect::Reads;
    type Args = Args;
    type Output = Output;

    async fn run(shared: &Api7, args: Args) -> Result<Output, ToolError> {
        let rules = wanted(shared, &args);
        if rules.is_empty() {
            return Err(ToolError::invalid_arguments(
                "all these rules are switched off by the configuration of this server (risk.rules_off)",
            ));
        }
        let sources = with_ways(rules.iter().flat_map(|rule| rule.needs.iter().copied()));
        let mut reader = Reader::new(shared, sources);
        let groups: Vec<String> = args
            .gateway_group_ids
            .iter()
            .flatten()
            .map(|id| id.0.clone())
            .collect();
        let now = shared.clock.wall();
        let scan = collect(
            &mut reader,
            &groups,
            shared.risk.traffic_minutes.max(1),
            now,
        )
        .await;
        if reader.answers == 0 {
            return Err(nothing_read(&reader));
        }
        Ok(judged(shared, &args, &rules, &scan, &reader))
    }

    fn text(output: &Output) -> Option<String> {
        Some(report::written(output))
    }
}

fn wanted(shared: &Api7, args: &Args) -> Vec<&'static Rule> {
    rules::all()
        .filter(|rule| shared.risk.rules_off.iter().all(|off| off != rule.id))
        .filter(|rule| {
            let named = args.rules.as_deref();
            named.is_none_or(|named| named.iter().any(|id| id.0 == rule.id))
        })
        .collect()
}

/// Ids of rules that there are not, and all that there are.
pub(crate) fn unknown_rules(config: &RiskConfig) -> Option<(Vec<String>, String)> {
    let is_unknown = |id: &&String| rules::all().all(|rule| rule.id != **id);
    let unknown: Vec<String> = config
        .rules_off
        .iter()
        .filter(is_unknown)
        .cloned()
        .collect();
    let known: Vec<&str> = rules::all().map(|rule| rule.id).collect();
    (!unknown.is_empty()).then(|| (unknown, known.join(", ")))
}

/// Nothing at all was read: that is no scan.
fn nothing_read(reader: &Reader<'_>) -> ToolError {
    let mut all: Vec<String> = Vec::new();
    for ((source, _), unread) in &reader.unread {
        let same = all
            .iter()
            .any(|known| known.ends_with(&unread.failure.message));
        if !same {
            all.push(format!("{}: {}", source.what(), unread.failure.message));
        }
    }
    ToolError::failed(format!("Nothing could be read.\n{}", all.join("\n")))
}

fn judged(
    shared: &Api7,
    args: &Args,
    rules: &[&'static Rule],
    scan: &Scan,
    reader: &Reader<'_>,
) -> Output {
    let (mut states, mut findings) = (Vec::new(), Vec::new());
    for (order, rule) in rules.iter().enumerate() {
        let judge = Judge::run(rule, scan, &shared.risk);
        states.push(state(rule, &judge, reader));
        let few = judge.findings.into_iter();
        findings.extend(few.map(|finding| (order, finding)));
    }
    if let Some(least) = args.min_severity {
        findings.retain(|(_, finding)| finding.severity <= least);
    }
    findings.sort_by(|(a_order, a), (b_order, b)| {
        (a.severity, a_order, &a.resource, &a.field, &a.says).cmp(&(
            b.severity,
            b_order,
            &b.resource,
            &b.field,
            &b.says,
        ))
    });
    let summary = summary(scan, &findings, reader.requests);
    let total_findings = findings.len();
    let wanted = args.max_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let budget = wanted.unwrap_or(shared.answer_bytes / 2);
    let skip = args.skip.map_or(0, |skip| skip as usize);
    let findings = within(findings.into_iter().skip(skip), budget);
    let end = skip.saturating_add(findings.len());
    let not_read = not_read(rules, reader);
    Output {
        complete: not_read.is_empty(),
        summary,
        total_findings,
        next: (end < total_findings).then(|| format!("skip: {end}")),
        findings,
        rules: states,
        not_read,
        review: review::of(scan),
    }
}

/// Findings until there is no room left; at least one.
fn within(all: impl Iterator<Item = (usize, Finding)>, budget: usize) -> Vec<Finding> {
    let mut room = budget;
    let mut kept: Vec<Finding> = Vec::new();
    for (_, finding) in all {
        let length = RawJson::from_serialize(&finding).map_or(0, |raw| raw.len() + 1);
        if length > room && !kept.is_empty() {
            break;
        }
        room = room.saturating_sub(length);
        kept.push(finding);
    }
    kept
}

fn state(rule: &'static Rule, judge: &Judge<'_>, reader: &Reader<'_>) -> RuleState {
    let unread = reader
        .unread
        .keys()
        .find(|(source, _)| with_ways(rule.needs.iter().copied()).contains(source));
    let why = judge
        .why
        .clone()
        .or_else(|| unread.map(|(source, _)| format!("not all {} could be read", source.what())));
    let state = if !judge.findings.is_empty() {
        State::Failed
    } else if judge.checked == 0 && why.is_none() {
        State::Nothing
    } else if judge.checked <= judge.undecided {
        State::Undecided
    } else if why.is_some() {
        State::Partly
    } else {
        State::Passed
    };
    RuleState {
        id: rule.id,
        category: rule.category,
        severity: rule.severity,
        title: rule.title,
        state,
        findings: judge.findings.len(),
        checked: judge.checked,
        undecided: judge.undecided,
        why,
        remedy: rule.remedy.to_owned(),
        reference: rule.reference,
    }
}

fn summary(scan: &Scan, findings: &[(usize, Finding)], requests: usize) -> Summary {
    let count = |severity| {
        findings
            .iter()
            .filter(|(_, one)| one.severity == severity)
            .count()
    };
    let groups = || scan.groups.iter();
    Summary {
        critical: count(Severity::Critical),
        high: count(Severity::High),
        medium: count(Severity::Medium),
        low: count(Severity::Low),
        gateway_groups: scan.groups.len(),
        services: scan.services().count(),
        routes: scan
            .services()
            .map(|(_, service)| service.routes.len() + service.stream_routes.len())
            .sum(),
        consumers: groups().map(|group| group.consumers.len()).sum(),
        certificates: groups()
            .map(|group| group.certificates.len() + group.ca_certificates.len())
            .sum(),
        permission_policies: scan.policies.len(),
        users: scan.users.len(),
        requests,
    }
}

fn not_read(rules: &[&'static Rule], reader: &Reader<'_>) -> Vec<NotRead> {
    let all = reader.unread.iter().take(MOST_FAILURES);
    all.map(|((source, _), unread)| NotRead {
        what: source.what(),
        times: unread.times,
        paths: unread
            .paths
            .iter()
            .map(|path| crate::http::one_line(path, 256))
            .collect(),
        error: unread.failure.clone(),
        rules: looking_at(rules, *source),
    })
    .collect()
}

fn looking_at(rules: &[&'static Rule], source: Source) -> Vec<&'static str> {
    let all = rules.iter();
    all.filter(|rule| with_ways(rule.needs.iter().copied()).contains(&source))
        .map(|rule| rule.id)
        .collect()
}
