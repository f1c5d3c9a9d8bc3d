//! Tables of expected decisions: how people test a policy, and how this crate tests itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use mcp_gw_core::{
    AccessRequest, Arguments, Effect, Feature, Phase, RawJson, RequestMeta, Transport,
};
use serde::Deserialize;
use serde_json::Value;

use crate::config::PolicyConfig;
use crate::engine::PolicyEngine;
use crate::explain::{Explanation, Reason};
use crate::fault::{PolicyFault, PolicyFaults};
use crate::load;

mod caller;
mod differences;

pub use caller::CaseCaller;
use differences::Differences;

/// A file of cases: some for a policy that is given elsewhere, and groups with a policy of their own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CaseFile {
    /// The file of the policy that the cases are run on, from the folder of this one. It is read by
    /// whoever runs them; nothing here reads files.
    pub policy: Option<PathBuf>,
    /// Callers, under the names that cases call them by.
    pub callers: BTreeMap<String, CaseCaller>,
    /// Cases for the policy that they are run on.
    pub cases: Vec<Case>,
    /// Policies with their cases.
    pub groups: Vec<CaseGroup>,
}

/// A policy and what is expected of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CaseGroup {
    /// What is shown, for people.
    pub about: String,
    /// The policy, which may be one that is refused.
    pub policy: Value,
    /// Parts of what is said about the policy when it is refused, one for each fault; empty when it
    /// is good.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Parts of its warnings, one for each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The cases.
    #[serde(default)]
    pub cases: Vec<Case>,
}

/// A request and the decision that is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Case {
    /// What is shown, for people.
    pub case: String,
    /// Who asks: a caller, or the name of one; nobody in particular when absent.
    #[serde(default, rename = "as")]
    pub caller: CaseCaller,
    /// The address that the request comes from.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// Headers of the HTTP request that conditions see; names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The method, `tools/call` when absent.
    #[serde(default = "tools_call")]
    pub method: String,
    /// `tool`, `resource`, `resource_template` or `prompt`; what the method is about when absent.
    #[serde(default)]
    pub feature: Option<String>,
    /// The name or URI that clients see.
    pub name: String,
    /// The name that the server knows; the same when absent.
    #[serde(default)]
    pub upstream_name: Option<String>,
    /// The server.
    #[serde(default)]
    pub server: String,
    /// The arguments of a call.
    #[serde(default)]
    pub arguments: Option<Value>,
    /// The same as text, for what no value can say.
    #[serde(default)]
    pub arguments_text: Option<String>,
    /// `allow` or `deny`.
    pub expect: Expected,
    /// What decides. A request that is refused before any rule is asked, for it is none, needs it.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// The ids of all rules that decide, in any order.
    #[serde(default)]
    pub rules: Option<Vec<String>>,
    /// The ids of the rules that cannot be evaluated, in any order; not looked at when absent.
    #[serde(default)]
    pub errors: Option<Vec<String>>,
    /// The scopes that a challenge names, in their order; not looked at when absent.
    #[serde(default)]
    pub missing_scopes: Option<Vec<String>>,
    /// What the whole policy would have decided, where that is something else.
    #[serde(default)]
    pub shadow: Option<ExpectedShadow>,
    /// The ids of some rules that nearly applied.
    #[serde(default)]
    pub near: Vec<String>,
}

/// An effect that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Expected {
    /// It is allowed.
    Allow,
    /// It is refused.
    Deny,
}

/// A verdict of the whole policy that is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedShadow {
    /// Its effect.
    pub effect: Expected,
    /// The ids of the rules that would decide, in any order.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// A case that came out otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseFailure {
    /// The group and the case, as they name themselves.
    pub case: String,
    /// Each difference.
    pub differences: Vec<String>,
    /// Why it came out as it did, when there was a decision.
    pub explanation: Option<Explanation>,
    /// True when the case does not say which request it is, as with an unknown caller.
    pub is_unclear: bool,
}

fn tools_call() -> String {
    "tools/call".to_owned()
}

impl From<Expected> for Effect {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Allow => Self::Allow,
            Expected::Deny => Self::Deny,
        }
    }
}

impl CaseFile {
    /// Reads cases from YAML.
    ///
    /// # Errors
    /// What is wrong with the file. The policies in it are not looked at yet.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyFaults> {
        load::value_of(text)
    }

    /// How many cases there are, a policy that is to be refused being one.
    pub fn len(&self) -> usize {
        let of_groups = self.groups.iter();
        self.cases.len()
            + of_groups
                .map(|group| group.cases.len().max(1))
                .sum::<usize>()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs the cases that have no policy of their own on `engine`, and the groups on theirs; what
    /// came out otherwise than expected.
    pub fn run(&self, engine: &PolicyEngine) -> Vec<CaseFailure> {
        let mut failures = run_cases("", &self.cases, &self.callers, engine);
        for group in &self.groups {
            failures.extend(group.run(&self.callers));
        }
        failures
    }
}

impl CaseGroup {
    fn run(&self, callers: &Callers) -> Vec<CaseFailure> {
        let engine = PolicyConfig::from_value(self.policy.clone())
            .and_then(|config| PolicyEngine::compile(&config));
        let (differences, engine) = match &engine {
            Ok(engine) => {
                let warnings = compare(&self.warnings, &engine.warnings(), "warning");
                let refused = compare(&self.refused, &[], "fault");
                ([warnings, refused].concat(), Some(engine))
            }
            Err(faults) => (compare(&self.refused, faults.faults(), "fault"), None),
        };
        let mut failures = Vec::new();
        if !differences.is_empty() {
            failures.push(CaseFailure {
                case: self.about.clone(),
                differences,
                explanation: None,
                is_unclear: false,
            });
        }
        if let Some(engine) = engine {
            failures.extend(run_cases(&self.about, &self.cases, callers, engine));
        }
        failures
    }
}

/// Each expected text must be in one fault of its own.
fn compare(expected: &[String], faults: &[PolicyFault], what: &str) -> Vec<String> {
    let mut found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let mut differences = Vec::new();
    for text in expected {
        match found.iter().position(|fault| fault.contains(text.as_str())) {
            Some(at) => drop(found.swap_remove(at)),
            None => differences.push(format!("there is no {what} with {text:?}")),
        }
    }
    differences.extend(
        found
            .iter()
            .map(|fault| format!("an unexpected {what}: {fault}")),
    );
    differences
}

type Callers = BTreeMap<String, CaseCaller>;

fn run_cases(
    about: &str,
    cases: &[Case],
    callers: &Callers,
    engine: &PolicyEngine,
) -> Vec<CaseFailure> {
    let run = |case: &Case| {
        let (differences, explanation, is_unclear) = match case.meet(callers, engine) {
            Ok((differences, told)) => (differences, Some(told), false),
            Err(why) => (vec![why], None, true),
        };
        let name = match about {
            "" => case.case.clone(),
            about => format!("{about}: {}", case.case),
        };
        (!differences.is_empty()).then_some(CaseFailure {
            case: name,
            differences,
            explanation,
            is_unclear,
        })
    };
    cases.iter().filter_map(run).collect()
}

impl Case {
    /// A case of nobody in particular, who wants to use `name` by `method`.
    pub fn new(method: impl Into<String>, name: impl Into<String>, expect: Expected) -> Self {
        let (method, name) = (method.into(), name.into());
        Self {
            case: format!("{method} {name}"),
            caller: CaseCaller::default(),
            from: None,
            headers: BTreeMap::new(),
            method,
            feature: None,
            name,
            upstream_name: None,
            server: String::new(),
            arguments: None,
            arguments_text: None,
            expect,
            reason: None,
            rules: None,
            errors: None,
            missing_scopes: None,
            shadow: None,
            near: Vec::new(),
        }
    }

    /// Calls `ask` with the request of this case.
    ///
    /// # Errors
    /// When the case does not say which request it is; also when it names a caller, as only
    /// [`CaseFile::run`] knows who that is.
    pub fn with_request<T>(&self, ask: impl FnOnce(&AccessRequest<'_>) -> T) -> Result<T, String> {
        self.ask_as(&self.caller, ask)
    }

    fn ask_as<T>(
        &self,
        caller: &CaseCaller,
        ask: impl FnOnce(&AccessRequest<'_>) -> T,
    ) -> Result<T, String> {
        let caller = caller.to_caller()?;
        let headers = self.headers.clone().into_iter().collect();
        let meta = RequestMeta::new("case", Transport::Http)
            .with_client_addr(self.from)
            .with_headers(headers);
        let arguments = self.arguments()?;
        let mut request =
            AccessRequest::new(&caller, &meta, &self.method, self.feature()?, &self.name);
        if self.method.ends_with("/list") {
            request.phase = Phase::List;
        }
        if let Some(name) = &self.upstream_name {
            request.upstream_name = name;
        }
        request.server = &self.server;
        request.arguments = arguments.as_ref();
        Ok(ask(&request))
    }

    fn arguments(&self) -> Result<Option<Arguments>, String> {
        let raw = match (&self.arguments, &self.arguments_text) {
            (None, None) => return Ok(None),
            (Some(value), _) => RawJson::from_serialize(value),
            (None, Some(text)) => RawJson::parse(text.clone()),
        };
        let raw = raw.map_err(|error| format!("the arguments cannot be read: {error}"))?;
        let arguments = Arguments::from_raw(raw);
        arguments
            .map(Some)
            .map_err(|_| "the arguments are no object".to_owned())
    }

    fn feature(&self) -> Result<Feature, String> {
        let method = self.method.as_str();
        Ok(match self.feature.as_deref() {
            Some("tool") => Feature::Tool,
            Some("resource") => Feature::Resource,
            Some("resource_template") => Feature::ResourceTemplate,
            Some("prompt") => Feature::Prompt,
            Some(other) => return Err(format!("there is no feature `{other}`")),
            None if method.starts_with("resources/templates/") => Feature::ResourceTemplate,
            None if method.starts_with("resources/") || method.starts_with("subscriptions/") => {
                Feature::Resource
            }
            None if method.starts_with("prompts/") => Feature::Prompt,
            None if method.starts_with("completion/") => {
                return Err("say whose arguments are completed: `feature`".to_owned());
            }
            None => Feature::Tool,
        })
    }

    /// Runs the case; each difference from what is expected.
    ///
    /// # Errors
    /// When the case does not say which request it is.
    pub fn run(&self, engine: &PolicyEngine) -> Result<Vec<String>, String> {
        let (differences, _) = self.meet(&Callers::new(), engine)?;
        Ok(differences)
    }

    fn meet(
        &self,
        callers: &Callers,
        engine: &PolicyEngine,
    ) -> Result<(Vec<String>, Explanation), String> {
        let caller = self.caller.among(callers)?;
        self.ask_as(caller, |request| {
            let mut differences = Differences::default();
            let decision = self.check_decision(engine, request, &mut differences);
            let told = engine.explain(request);
            let decided = (decision.effect().as_str(), decision.kind());
            differences.see("explained effect", decided.0, told.effect.as_str());
            differences.see("explained reason", decided.1, told.reason.as_str());
            self.check_explanation(&told, &mut differences);
            (differences.0, told)
        })
    }
}
