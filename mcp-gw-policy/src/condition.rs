//! Conditions: `when` of a rule.

use std::cell::OnceCell;

use mcp_gw_core::{AccessRequest, Caller, RequestMeta};
use serde_json::{Map, Value};

use crate::rbac::Identity;

/// What conditions may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConditionLimits {
    /// The longest source, in bytes.
    pub(crate) longest: usize,
}

impl Default for ConditionLimits {
    fn default() -> Self {
        Self { longest: 4096 }
    }
}

/// Why a condition cannot be used.
#[derive(Debug)]
pub(crate) struct ConditionFault {
    message: String,
}

impl std::fmt::Display for ConditionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads conditions.
#[derive(Debug)]
pub(crate) struct ConditionCompiler {
    limits: ConditionLimits,
}

/// A condition that was read.
#[derive(Debug)]
pub(crate) struct Condition {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Constant(bool),
    Claim(String),
    Argument { name: String, negated: bool },
    LessThan { name: String, bound: f64 },
}

/// What a condition says of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    True,
    False,
    Error(String),
}

impl ConditionCompiler {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "there will be more limits than one"
    )]
    pub(crate) fn new(_vars: &Map<String, Value>, limits: &ConditionLimits) -> Self {
        Self { limits: *limits }
    }

    pub(crate) fn compile(&self, source: &str) -> Result<Condition, ConditionFault> {
        if source.len() > self.limits.longest {
            return Err(ConditionFault {
                message: format!("the condition is longer than {} bytes", self.limits.longest),
            });
        }
        let argument = |name: &str| name.strip_prefix("mcp.tool.arguments.").map(str::to_owned);
        let kind = match source.trim() {
            "true" => Some(Kind::Constant(true)),
            "false" => Some(Kind::Constant(false)),
            text => {
                if let Some(name) = text.strip_prefix("jwt.") {
                    Some(Kind::Claim(name.to_owned()))
                } else if let Some((name, bound)) = text.split_once(" < ") {
                    argument(name)
                        .zip(bound.parse().ok())
                        .map(|(name, bound)| Kind::LessThan { name, bound })
                } else {
                    let negated = text.starts_with('!');
                    argument(text.trim_start_matches('!'))
                        .map(|name| Kind::Argument { name, negated })
                }
            }
        };
        kind.map(|kind| Condition { kind })
            .ok_or_else(|| ConditionFault {
                message: "the condition cannot be read".to_owned(),
            })
    }
}

impl Condition {
    pub(crate) const fn reads_arguments(&self) -> bool {
        matches!(self.kind, Kind::Argument { .. } | Kind::LessThan { .. })
    }

    pub(crate) fn evaluate(&self, facts: &RequestFacts<'_>) -> Verdict {
        let truth = |value: Option<&Value>, name: &str| match value {
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(format!("{name} is not true or false")),
            None => Err(format!("there is no {name}")),
        };
        let answer = match &self.kind {
            Kind::Constant(value) => Ok(*value),
            Kind::Claim(name) => truth(facts.facts.caller.claims.get(name), name),
            Kind::Argument { name, negated } => {
                truth(facts.argument(name), name).map(|value| value != *negated)
            }
            Kind::LessThan { name, bound } => match facts.argument(name).and_then(Value::as_f64) {
                Some(value) => Ok(value < *bound),
                None => Err(format!("{name} is no number")),
            },
        };
        match answer {
            Ok(true) => Verdict::True,
            Ok(false) => Verdict::False,
            Err(why) => Verdict::Error(why),
        }
    }
}

/// What conditions can see of the caller, the same for all items of a list.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    caller: &'a Caller,
}

impl<'a> Facts<'a> {
    pub(crate) const fn new(
        caller: &'a Caller,
        _identity: &Identity<'a>,
        _meta: &'a RequestMeta,
    ) -> Self {
        Self { caller }
    }

    pub(crate) const fn of(&'a self, request: &'a AccessRequest<'a>) -> RequestFacts<'a> {
        RequestFacts {
            facts: self,
            request,
            arguments: OnceCell::new(),
        }
    }
}

/// What conditions can see of one request.
#[derive(Debug)]
pub(crate) struct RequestFacts<'a> {
    facts: &'a Facts<'a>,
    request: &'a AccessRequest<'a>,
    arguments: OnceCell<Value>,
}

impl RequestFacts<'_> {
    fn argument(&self, name: &str) -> Option<&Value> {
        let read = || {
            let arguments = self.request.arguments?;
            arguments.as_raw().to_value().ok()
        };
        self.arguments
            .get_or_init(|| read().unwrap_or_default())
            .get(name)
    }
}
