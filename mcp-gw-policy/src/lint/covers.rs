//! Whether one rule is about all that another one is about.

use mcp_gw_core::Glob;

use crate::config::{MatchOn, Method, NamePattern, RuleConfig, WhoConfig};
use crate::op::Op;

/// The patterns of a rule, with the operations that they are for; none at all: every name.
pub(super) fn targets(rule: &RuleConfig) -> Vec<(&[Op], &[NamePattern])> {
    const TOOLS: &[Op] = &[Op::ToolList, Op::ToolCall];
    const RESOURCES: &[Op] = &[
        Op::ResourceList,
        Op::ResourceRead,
        Op::ResourceSubscribe,
        Op::TemplateRead,
    ];
    const TEMPLATES: &[Op] = &[Op::TemplateList, Op::TemplateRead];
    const PROMPTS: &[Op] = &[Op::PromptList, Op::PromptGet];
    [
        (TOOLS, &rule.tools),
        (RESOURCES, &rule.resources),
        (TEMPLATES, &rule.resource_templates),
        (PROMPTS, &rule.prompts),
    ]
    .into_iter()
    .filter_map(|(ops, patterns)| Some((ops, patterns.as_deref()?)))
    .collect()
}

fn is_about(rule: &RuleConfig, op: Op) -> bool {
    let methods: Option<&[Method]> = rule.methods.as_deref();
    methods.is_none_or(|methods| methods.iter().any(|method| op.is_of(*method)))
}

/// True when `wide` is about everything that `narrow` is about. When it says no it may be so still.
pub(super) fn covers(wide: &RuleConfig, narrow: &RuleConfig) -> bool {
    if wide.match_on != narrow.match_on && wide.match_on == MatchOn::UpstreamName {
        return false;
    }
    let servers = match (&wide.servers, &narrow.servers) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => all_covered(wide, narrow),
    };
    if !servers {
        return false;
    }
    let (wides, narrows) = (targets(wide), targets(narrow));
    if wide.match_on != narrow.match_on && !wides.is_empty() {
        return false;
    }
    if narrows.is_empty() {
        return wides.is_empty()
            && Op::ALL
                .iter()
                .all(|op| !is_about(narrow, *op) || is_about(wide, *op));
    }
    narrows.iter().all(|(ops, patterns)| {
        let mut asked = ops.iter().filter(|op| is_about(narrow, **op));
        asked.all(|op| {
            is_about(wide, *op)
                && (wides.is_empty()
                    || wides
                        .iter()
                        .any(|(ops, wide)| ops.contains(op) && all_covered(wide, patterns)))
        })
    })
}

/// True when `wide` means every caller that `narrow` means. When it says no it may be so still.
pub(super) fn who_covers(wide: &WhoConfig, narrow: &WhoConfig) -> bool {
    let list = |wide: &Option<Vec<String>>, narrow: &Option<Vec<String>>| match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|name| wide.contains(name)),
    };
    list(&wide.ids, &narrow.ids)
        && list(&wide.kinds, &narrow.kinds)
        && list(&wide.issuers, &narrow.issuers)
        && list(&wide.roles, &narrow.roles)
        && list(&wide.groups, &narrow.groups)
        && list(&wide.scopes, &narrow.scopes)
        && (wide.claims.is_none() || wide.claims == narrow.claims)
        && (wide.any_of.is_none() || wide.any_of == narrow.any_of)
        && (wide.all_of.is_none() || wide.all_of == narrow.all_of)
}

fn all_covered(wide: &[NamePattern], narrow: &[NamePattern]) -> bool {
    narrow
        .iter()
        .all(|narrow| wide.iter().any(|wide| pattern_covers(wide, narrow)))
}

fn pattern_covers(wide: &NamePattern, narrow: &NamePattern) -> bool {
    if wide == narrow {
        return true;
    }
    match (wide, narrow) {
        (NamePattern::Any, _) => true,
        (NamePattern::Glob(wide), NamePattern::Literal(text)) => {
            Glob::parse(wide).is_some_and(|glob| glob.matches(text))
        }
        (NamePattern::Glob(wide), NamePattern::Glob(narrow)) => {
            // Names that the narrow one stands for, with a character that no pattern holds in place of
            // its wildcards: only a wildcard of the wide one can take it.
            let Some(glob) = Glob::parse(wide) else {
                return false;
            };
            [0, 1, 2, 7]
                .iter()
                .all(|count| sample(narrow, *count).is_some_and(|text| glob.matches(&text)))
        }
        (NamePattern::Literal(wide), NamePattern::Glob(narrow)) => {
            !narrow.contains(['*', '?', '\\']) && wide == narrow
        }
        _ => false,
    }
}

/// A name that `glob` stands for, with runs of so many characters.
fn sample(glob: &str, run: usize) -> Option<String> {
    const OTHER: char = '\u{f8ff}';
    let mut text = String::new();
    let mut chars = glob.chars();
    while let Some(next) = chars.next() {
        match next {
            '*' => text.extend(std::iter::repeat_n(OTHER, run)),
            '?' => text.push(OTHER),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
    Some(text)
}
