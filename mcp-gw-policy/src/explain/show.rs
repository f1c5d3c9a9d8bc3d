//! An explanation as text.

use std::fmt;

use mcp_gw_core::Effect;

use super::{Explanation, Reason};
use crate::config::Mode;
use crate::fault::shown;

impl Reason {
    /// What decided, as a sentence about these rules.
    pub fn sentence(self, rules: &[String]) -> String {
        let noun = if rules.len() == 1 { "rule" } else { "rules" };
        let rules: Vec<String> = rules.iter().map(|rule| shown(rule)).collect();
        let rules = rules.join(", ");
        match self {
            Self::AllowRule => format!("{noun} {rules} allowed it"),
            Self::DenyRule => format!("{noun} {rules} denied it"),
            Self::RequireFailed => format!("what {noun} {rules} required does not hold"),
            Self::NoRule => "no rule allowed it, and the default is to deny".to_owned(),
            Self::Default => "no rule decided, and the default is to allow".to_owned(),
            Self::Pass => "it is let through, whatever the rules say".to_owned(),
            Self::UnknownMethod => "this is no method of MCP that a policy is about".to_owned(),
            Self::Address => "the address may not come, by `ip`".to_owned(),
            Self::InvalidName => "the name holds a control character, or is too long".to_owned(),
            Self::InvalidUri => "this is no URI, or one that can be read in two ways".to_owned(),
            Self::Shadow => "nothing is in force".to_owned(),
        }
    }
}

/// Several lines: the verdict, then the layers, and what did not hold or nearly did. Names are escaped, each
/// stays on its line.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |effect: Effect| match effect {
            Effect::Deny => "denied",
            Effect::Allow => "allowed",
        };
        write!(
            f,
            "{}: {}",
            word(self.effect),
            self.reason.sentence(&self.rules)
        )?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(shadow) = &self.shadow {
            let why = shadow.reason.sentence(&shadow.rules);
            write!(f, "\nwithout shadow {}: {why}", word(shadow.effect))?;
        }
        for layer in &self.layers {
            let mode = match layer.mode {
                Mode::Shadow => " (shadow)",
                Mode::Enforce => "",
            };
            let why = layer.reason.sentence(&layer.rules);
            let name = shown(&layer.layer);
            write!(f, "\n  layer {name}{mode}: {}: {why}", word(layer.effect))?;
        }
        for unmet in &self.unmet {
            write!(
                f,
                "\n  rule {} requires {}",
                shown(&unmet.rule),
                unmet.because
            )?;
        }
        for error in &self.errors {
            write!(
                f,
                "\n  rule {} could not be evaluated: {}",
                shown(&error.rule),
                error.error
            )?;
        }
        for miss in &self.near_misses {
            let because = miss.because.join("; ");
            write!(
                f,
                "\n  rule {} nearly applied: {because}",
                shown(&miss.rule)
            )?;
        }
        if !self.missing_scopes.is_empty() {
            write!(f, "\n  missing scopes: {}", self.missing_scopes.join(" "))?;
        }
        write!(f, "\n  policy {}", self.version)
    }
}
