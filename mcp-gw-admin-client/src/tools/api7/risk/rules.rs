//! The rules: what is a risk, how bad, and what to do about it.

mod access;
mod certificates;
mod guard;
mod health;
mod iam;
mod lua;
mod origins;
mod patterns;
mod plugins;
mod routing;
mod traffic;
mod transport;

#[cfg(test)]
mod tests;

pub(crate) use transport::numbers as version_numbers;

use mcp_gw_core::RawJson;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tools::api7::risk::config::RiskConfig;
use crate::tools::api7::risk::scan::{Resource, Scan};
use crate::tools::api7::risk::source::Source;
use crate::tools::redact::{Place, clean};

/// How bad something is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Severity {
    Critical,
    High,
    Medium,
    Low,
}

impl Severity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What is a risk.
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) category: &'static str,
    pub(crate) severity: Severity,
    pub(crate) title: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) reference: &'static str,
    /// What it looks at.
    pub(crate) needs: &'static [Source],
    pub(crate) run: fn(&mut Judge<'_>),
}

/// All of them, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    access::RULES
        .iter()
        .chain(transport::RULES)
        .chain(certificates::RULES)
        .chain(routing::RULES)
        .chain(health::RULES)
        .chain(plugins::RULES)
        .chain(iam::RULES)
        .chain(traffic::RULES)
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct At {
    /// The gateway group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway_group_id: Option<String>,
    /// The kind of resource, as `read_resource` calls it.
    pub(crate) kind: &'static str,
    /// The id; of a consumer its username.
    pub(crate) id: String,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The service of a route or upstream, the consumer of a credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

impl At {
    pub(crate) fn of(resource: &Resource) -> Self {
        let short = |text: &str| crate::http::one_line(text, 128);
        Self {
            gateway_group_id: Some(short(&resource.group)).filter(|id| !id.is_empty()),
            kind: resource.kind,
            id: short(&resource.id),
            name: resource.name.as_deref().map(short),
            owner: resource.owner.as_deref().map(short),
        }
    }
}

/// Something that is a risk.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// The rule: `rules` says what to do.
    pub(crate) rule: &'static str,
    /// How bad it is here.
    pub(crate) severity: Severity,
    /// What is concerned.
    pub(crate) resource: At,
    /// The field, as a JSON Pointer into the resource.
    pub(crate) field: String,
    /// What is there; secrets are redacted.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schemars(default)]
    pub(crate) value: Value,
    /// What is wrong with it.
    pub(crate) says: String,
}

/// Judges by one rule.
pub(crate) struct Judge<'a> {
    pub(crate) scan: &'a Scan,
    pub(crate) limits: &'a RiskConfig,
    rule: &'static Rule,
    pub(crate) findings: Vec<Finding>,
    /// How many were looked at.
    pub(crate) checked: usize,
    /// How many of them cannot be judged.
    pub(crate) undecided: usize,
    /// Why the first of these could not.
    pub(crate) why: Option<String>,
}

impl<'a> Judge<'a> {
    pub(crate) fn run(rule: &'static Rule, scan: &'a Scan, limits: &'a RiskConfig) -> Self {
        let mut judge = Self {
            scan,
            limits,
            rule,
            findings: Vec::new(),
            checked: 0,
            undecided: 0,
            why: None,
        };
        (rule.run)(&mut judge);
        judge
    }

    /// One more was looked at.
    fn look(&mut self) {
        self.checked += 1;
    }

    /// Plugins that cannot be read may be any.
    fn note_odd_plugins(&mut self, holder: &Resource) {
        if let Some(why) = holder.odd_plugins() {
            self.look();
            self.undecided(why);
        }
    }

    /// The one that was looked at cannot be judged.
    fn undecided(&mut self, why: &str) {
        self.undecided += 1;
        if self.why.is_none() {
            self.why = Some(why.to_owned());
        }
    }

    fn found(
        &mut self,
        resource: &Resource,
        field: impl Into<String>,
        value: Value,
        says: impl Into<String>,
    ) {
        self.found_as(self.rule.severity, resource, field, value, says);
    }

    /// More than that of one rule say nothing new.
    const MOST: usize = 10_000;

    fn found_as(
        &mut self,
        severity: Severity,
        resource: &Resource,
        field: impl Into<String>,
        value: Value,
        says: impl Into<String>,
    ) {
        if self.findings.len() >= Self::MOST {
            self.undecided("there are more findings than are kept");
            return;
        }
        let field = field.into();
        let value = shown(&field, value);
        self.findings.push(Finding {
            rule: self.rule.id,
            severity,
            resource: At::of(resource),
            field: crate::http::one_line(&field, 256),
            value,
            says: crate::http::one_line(&says.into(), 400),
        });
    }
}

/// Evidence without secrets, and short.
fn shown(field: &str, value: Value) -> Value {
    let leaf = field.rsplit('/').next().unwrap_or_default();
    let wrapped = Map::from_iter([(leaf.to_owned(), value)]);
    let around = field.strip_suffix(leaf).unwrap_or_default();
    let clean = RawJson::from_serialize(&wrapped)
        .map(|raw| clean(&raw, &Place::at(around), false))
        .and_then(|clean| clean.raw.to_value());
    let Ok(Value::Object(mut members)) = clean else {
        return Value::Null;
    };
    let value = members.remove(leaf).unwrap_or(Value::Null);
    match value {
        Value::String(text) => Value::from(crate::http::one_line(&text, 200)),
        value => {
            let text = value.to_string();
            if text.len() <= 300 {
                value
            } else {
                Value::from(crate::http::one_line(&text, 200))
            }
        }
    }
}

/// A step of a JSON Pointer.
fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
