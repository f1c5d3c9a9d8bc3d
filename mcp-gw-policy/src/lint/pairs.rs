//! Rules of a layer beside one another.

use mcp_gw_core::Glob;

use super::{LayerView, Lint, LintKind};
use crate::condition::{ConditionCompiler, ConditionLimits};
use crate::config::{MatchOn, Method, Mode, NamePattern, PolicyConfig, RuleConfig, RuleEffect};
use crate::fault::shown;
use crate::op::Op;

/// In larger layers rules are not compared.
const MOST_RULES: usize = 2000;

/// Compares the rules of a layer.
pub(super) fn compare(config: &PolicyConfig, layer: &LayerView<'_>, lints: &mut Vec<Lint>) {
    if layer.allows_by_default {
        for (at, rule) in layer.rules.iter().enumerate() {
            if rule.effect == RuleEffect::Allow {
                let message = "the default allows what no rule decides, so this changes nothing";
                let help = "remove the rule, or write `default: deny`";
                lints.push(layer.lint(LintKind::Dead, at, None, message.to_owned(), help));
            }
        }
    }
    if layer.rules.len() > MOST_RULES {
        return;
    }
    let conditions = ConditionCompiler::new(&config.vars, &ConditionLimits::default());
    for (at, rule) in layer.rules.iter().enumerate() {
        for (other_at, other) in layer.rules.iter().enumerate() {
            if at == other_at || rule.mode == Mode::Shadow || other.mode == Mode::Shadow {
                continue;
            }
            // Of two that are the same the later one is told of.
            let is_later = at > other_at;
            lints.extend(beside(layer, at, rule, other, is_later, &conditions));
        }
    }
}

/// What `rule` looks like beside `other`.
fn beside(
    layer: &LayerView<'_>,
    at: usize,
    rule: &RuleConfig,
    other: &RuleConfig,
    is_later: bool,
    conditions: &ConditionCompiler,
) -> Option<Lint> {
    use RuleEffect::{Allow, Deny, Require};
    if !covers(other, rule) {
        return None;
    }
    let name = shown(&other.id);
    let is_same = covers(rule, other) && rule.who == other.who;
    let is_same = is_same && rule.from == other.from && rule.when == other.when;
    match (rule.effect, other.effect) {
        (Allow, Deny) if is_same => {
            let message = format!("{name} denies the same requests, and a deny overrides");
            let help = "remove one of the two";
            Some(layer.lint(LintKind::Contradictory, at, None, message, help))
        }
        (Allow, Deny) if is_unguarded(other) => {
            let message = format!("{name} denies all that this allows");
            let help = "remove this rule, or make the other one narrower";
            Some(layer.lint(LintKind::Shadowed, at, None, message, help))
        }
        (Allow, Allow) | (Deny, Deny) if is_within(rule, other) && (!is_same || is_later) => {
            let message = format!("{name} does the same for all these requests and callers");
            let help = "remove this rule, or make it say something else";
            Some(layer.lint(LintKind::Shadowed, at, None, message, help))
        }
        (Require, Require) if is_same && is_later => {
            let message = format!("{name} requires the same");
            Some(layer.lint(
                LintKind::Shadowed,
                at,
                None,
                message,
                "remove one of the two",
            ))
        }
        (Allow | Require, Require) => {
            let why = exclusion(rule, other, conditions)?;
            let message = format!("{name} requires what cannot be together with this: {why}");
            let help = "mend one of the two: nothing gets through both";
            Some(layer.lint(LintKind::Contradictory, at, None, message, help))
        }
        _ => None,
    }
}

/// True when whatever makes `rule` apply makes `other` apply: its callers, addresses and condition.
fn is_within(rule: &RuleConfig, other: &RuleConfig) -> bool {
    (other.who.is_open() || other.who == rule.who)
        && (other.from.is_none() || other.from == rule.from)
        && (other.when.is_none() || other.when == rule.when)
}

fn is_unguarded(rule: &RuleConfig) -> bool {
    rule.who.is_open() && rule.from.is_none() && rule.when.is_none()
}

/// Why the two cannot both hold.
fn exclusion(
    rule: &RuleConfig,
    other: &RuleConfig,
    conditions: &ConditionCompiler,
) -> Option<String> {
    let apart = |left: &Option<Vec<String>>, right: &Option<Vec<String>>| {
        let both = left.as_ref().zip(right.as_ref());
        both.is_some_and(|(left, right)| !left.iter().any(|id| right.contains(id)))
    };
    if apart(&rule.who.ids, &other.who.ids) {
        return Some("no caller has two ids".to_owned());
    }
    if apart(&rule.who.kinds, &other.who.kinds) {
        return Some("no caller is of two kinds".to_owned());
    }
    let (one, two) = (rule.when.as_ref()?, other.when.as_ref()?);
    if one == two {
        return None;
    }
    let both = conditions.compile(&format!("({one}) && ({two})")).ok()?;
    let alone = |text: &String| {
        conditions
            .compile(text)
            .is_ok_and(|one| one.warning().is_some())
    };
    if alone(one) || alone(two) {
        return None;
    }
    both.warning().map(str::to_owned)
}

/// The patterns of a rule, with the operations that they are for; none at all: every name.
fn targets(rule: &RuleConfig) -> Vec<(&[Op], &[NamePattern])> {
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
fn covers(wide: &RuleConfig, narrow: &RuleConfig) -> bool {
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
