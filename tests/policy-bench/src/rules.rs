//! Policies of a size and a shape.

use mcp_gw_policy::{Method, NamePattern, PolicyConfig, RuleConfig, RuleEffect, WhoConfig};

/// What the rules of a policy are like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Each rule names one tool, for a role.
    Literals,
    /// Each rule is a glob of its own: beginnings, ends, middles.
    Globs,
    /// Each rule is a regular expression of its own.
    Regexes,
    /// Each rule is for all tools and another caller.
    Callers,
    /// Each rule names one tool, with a condition on the caller.
    Conditions,
    /// Each rule is for all tools and has a condition, of which one holds: the worst there can be.
    OpenConditions,
    /// Literals, globs, denies, requires.
    Mixed,
}

impl Shape {
    pub const ALL: [Self; 7] = [
        Self::Literals,
        Self::Globs,
        Self::Regexes,
        Self::Callers,
        Self::Conditions,
        Self::OpenConditions,
        Self::Mixed,
    ];

    pub fn policy(self, rules: usize) -> PolicyConfig {
        (0..rules).fold(PolicyConfig::default(), |policy, at| {
            policy.with_rule(self.rule(at))
        })
    }

    fn rule(self, at: usize) -> RuleConfig {
        let id = format!("rule-{at}");
        let allow = RuleConfig::new(id.clone(), RuleEffect::Allow);
        let roles = || WhoConfig::roles([format!("role_{}", at % 10)]);
        match self {
            Self::Literals => allow
                .with_tools([NamePattern::Literal(format!("tool_{at}"))])
                .with_who(roles()),
            Self::Globs => {
                let glob = match at % 3 {
                    0 => format!("tool_{at}_*"),
                    1 => format!("*_{at}_end"),
                    _ => format!("*_mid{at}_*"),
                };
                allow.with_tools([NamePattern::Glob(glob)])
            }
            Self::Regexes => allow.with_tools([NamePattern::Regex(format!("tool_{at}_[a-z]+"))]),
            Self::Callers => {
                let id = if at == 0 {
                    "ann".to_owned()
                } else {
                    format!("user-{at}")
                };
                allow
                    .with_tools([NamePattern::Any])
                    .with_who(WhoConfig::ids([id]))
            }
            Self::Conditions => allow
                .with_tools([NamePattern::Literal(format!("tool_{at}"))])
                .with_when(format!(
                    "identity.has_role('role_{}') && mcp.method == 'tools/call'",
                    at % 10
                )),
            Self::OpenConditions => allow.with_tools([NamePattern::Any]).with_when(format!(
                "mcp.tool.name == 'tool_{at}' && identity.id == 'ann'"
            )),
            Self::Mixed => match at % 10 {
                8 => RuleConfig::new(id, RuleEffect::Deny)
                    .with_tools([NamePattern::Glob(format!("tool_{at}_secret*"))]),
                9 => RuleConfig::new(id, RuleEffect::Require)
                    .with_methods([Method::ToolsCall])
                    .with_tools([NamePattern::Literal(format!("tool_{}", at - 2))])
                    .with_who(WhoConfig::roles(["role_7"])),
                7 => allow.with_tools([NamePattern::Glob(format!("tool_{at}*"))]),
                _ => allow
                    .with_tools([NamePattern::Literal(format!("tool_{at}"))])
                    .with_who(roles()),
            },
        }
    }

    /// Names that are asked about: one that a rule in the middle allows, one that none does.
    pub fn names(self, rules: usize) -> [String; 2] {
        let near = |rest: usize| rules / 20 * 10 + rest;
        let allowed = match self {
            Self::Literals | Self::Callers | Self::Conditions | Self::OpenConditions => {
                format!("tool_{}", near(1))
            }
            Self::Mixed => format!("tool_{}", near(7)),
            Self::Globs => format!("tool_{}_x", near(0) / 3 * 3),
            Self::Regexes => format!("tool_{}_x", near(0)),
        };
        [allowed, "unknown_tool_of_nobody".to_owned()]
    }
}
