//! Rules of a layer beside one another.

use std::collections::HashMap;

use super::covers::{covers, targets, who_covers};
use super::{LayerView, Lint, LintKind};
use crate::config::{Mode, NamePattern, RuleConfig, RuleEffect, WhoConfig};
use crate::fault::shown;
use crate::rule::Rule;

/// So often two patterns are compared for one layer, and so often two conditions.
const MOST_PATTERNS: usize = 100_000;
const MOST_CONDITIONS: usize = 20_000;
/// So often what two rules say of callers.
const MOST_WHOS: usize = 100_000;

/// Compares the rules of a layer. What it costs follows the rules, not the pairs of them.
pub(super) fn compare(
    layer: &LayerView<'_>,
    compiled: &HashMap<&str, &Rule>,
    lints: &mut Vec<Lint>,
) {
    if layer.allows_by_default {
        for (at, rule) in layer.rules.iter().enumerate() {
            if rule.effect == RuleEffect::Allow {
                let message = "the default allows what no rule decides, so this changes nothing";
                let help = "remove the rule, or write `default: deny`";
                lints.push(layer.lint(LintKind::Dead, at, None, message.to_owned(), help));
            }
        }
    }
    let mut comparer = Comparer::new(layer, compiled);
    for at in 0..layer.rules.len() {
        lints.extend(comparer.beside_others(at));
    }
}

/// What a rule is about, and what makes it apply, as numbers: equal ones have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    selector: usize,
    who: usize,
    from: usize,
    when: usize,
}

/// The number of what says nothing.
const OPEN: usize = 0;

struct Comparer<'l, 'c> {
    layer: &'l LayerView<'c>,
    compiled: &'l HashMap<&'c str, &'l Rule>,
    /// Of each rule; none of one in shadow.
    keys: Vec<Option<Key>>,
    /// The rules of an effect with a key, in order.
    rules: HashMap<(RuleEffect, Key), Vec<usize>>,
    /// The `require` rules with a selector.
    requires: HashMap<usize, Vec<usize>>,
    /// A rule with each selector.
    selectors: Vec<&'c RuleConfig>,
    /// Selectors that may be about names they do not write out, and those that have a name.
    wide: Vec<usize>,
    with_name: HashMap<&'c str, Vec<usize>>,
    /// For each selector those that are about all it is about, once they were asked for.
    covering: HashMap<usize, Vec<usize>>,
    /// Of each `who` that is written its number, and those that mean all the callers that another one
    /// means, once they were asked for.
    whos: Vec<(usize, &'c WhoConfig)>,
    wider_whos: HashMap<usize, Vec<usize>>,
    whos_left: usize,
    patterns_left: usize,
    conditions_left: usize,
}

impl<'l, 'c> Comparer<'l, 'c> {
    fn new(layer: &'l LayerView<'c>, compiled: &'l HashMap<&'c str, &'l Rule>) -> Self {
        let mut comparer = Self {
            layer,
            compiled,
            keys: Vec::with_capacity(layer.rules.len()),
            rules: HashMap::new(),
            requires: HashMap::new(),
            selectors: Vec::new(),
            wide: Vec::new(),
            with_name: HashMap::new(),
            covering: HashMap::new(),
            whos: Vec::new(),
            wider_whos: HashMap::new(),
            whos_left: MOST_WHOS,
            patterns_left: MOST_PATTERNS,
            conditions_left: MOST_CONDITIONS,
        };
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut selectors: HashMap<String, usize> = HashMap::new();
        for (at, rule) in layer.rules.iter().enumerate() {
            if rule.mode == Mode::Shadow {
                comparer.keys.push(None);
                continue;
            }
            let mut number = |is_open: bool, text: String| {
                let next = numbers.len().saturating_add(1);
                if is_open {
                    OPEN
                } else {
                    *numbers.entry(text).or_insert(next)
                }
            };
            let who = number(rule.who.is_open(), format!("{:?}", rule.who));
            if who != OPEN && comparer.whos.last().is_none_or(|(last, _)| *last < who) {
                comparer.whos.push((who, &rule.who));
            }
            let from = number(rule.from.is_none(), format!("{:?}", rule.from));
            let when = number(rule.when.is_none(), format!("{:?}", rule.when));
            let text = format!(
                "{:?} {:?} {:?} {:?}",
                targets(rule),
                rule.methods,
                rule.servers,
                rule.match_on
            );
            let next = selectors.len();
            let selector = *selectors.entry(text).or_insert(next);
            if selector == next {
                comparer.add_selector(selector, rule);
            }
            let key = Key {
                selector,
                who,
                from,
                when,
            };
            comparer.keys.push(Some(key));
            comparer
                .rules
                .entry((rule.effect, key))
                .or_default()
                .push(at);
            if rule.effect == RuleEffect::Require {
                comparer.requires.entry(selector).or_default().push(at);
            }
        }
        comparer
    }

    fn add_selector(&mut self, selector: usize, rule: &'c RuleConfig) {
        self.selectors.push(rule);
        let targets = targets(rule);
        let mut is_wide = targets.is_empty();
        for pattern in targets.iter().flat_map(|(_, patterns)| *patterns) {
            match plain(pattern) {
                Some(name) => self.with_name.entry(name).or_default().push(selector),
                None => is_wide = true,
            }
        }
        if is_wide {
            self.wide.push(selector);
        }
    }

    /// The selectors that are about everything that this one is about; itself comes first.
    fn covering(&mut self, selector: usize) -> Vec<usize> {
        if let Some(known) = self.covering.get(&selector) {
            return known.clone();
        }
        let mut found = vec![selector];
        if let Some(narrow) = self.selectors.get(selector).copied() {
            let first = targets(narrow).first().and_then(|(_, names)| names.first());
            let named = first
                .and_then(plain)
                .and_then(|name| self.with_name.get(name));
            let candidates = self.wide.iter().chain(named.into_iter().flatten());
            for other in candidates.copied().filter(|other| *other != selector) {
                let Some(wide) = self.selectors.get(other).copied() else {
                    continue;
                };
                let price = patterns(wide).saturating_mul(patterns(narrow)).max(1);
                let Some(left) = self.patterns_left.checked_sub(price) else {
                    break;
                };
                self.patterns_left = left;
                if covers(wide, narrow) && !found.contains(&other) {
                    found.push(other);
                }
            }
        }
        self.covering.insert(selector, found.clone());
        found
    }

    /// What a rule looks like beside the others: one lint of a kind.
    fn beside_others(&mut self, at: usize) -> Vec<Lint> {
        use RuleEffect::{Allow, Deny, Require};
        let Some((key, effect)) = self.keys.get(at).copied().flatten().zip(self.effect(at)) else {
            return Vec::new();
        };
        let mut opposed = Found::default();
        let mut denied = Found::default();
        let mut repeated = Found::default();
        let mut required = Found::default();
        let mut unneeded = Found::default();
        let mut excluded: Option<(usize, String, usize)> = None;
        for selector in self.covering(key.selector) {
            let is_mutual = selector == key.selector || self.is_mutual(selector, key.selector);
            let same = Key { selector, ..key };
            let open = Key {
                selector,
                who: OPEN,
                from: OPEN,
                when: OPEN,
            };
            if effect == Allow && is_mutual {
                opposed.extend(self.others(Deny, same, at));
            }
            if effect == Require {
                unneeded.extend(self.others(Deny, open, at));
            }
            let wider = if effect == Require {
                Vec::new()
            } else {
                wider(same, &self.wider_whos(key.who))
            };
            if effect == Allow {
                for wider in wider.iter().filter(|wider| !(is_mutual && **wider == same)) {
                    denied.extend(self.others(Deny, *wider, at));
                }
            }
            if effect != Require {
                for wider in wider {
                    // Of two that are the same the later one is told of.
                    let only_before = is_mutual && wider == same;
                    let others = self.others(effect, wider, at);
                    repeated.extend(others.filter(|other| !only_before || *other < at));
                }
            } else if is_mutual {
                let others = self.others(Require, same, at);
                required.extend(others.filter(|other| *other < at));
            }
            if effect != Deny {
                self.exclusions(at, selector, &mut excluded);
            }
        }
        self.told(
            at,
            [opposed, denied, repeated, required, unneeded],
            excluded,
        )
    }

    /// What is said of callers that means all of these, and is another.
    fn wider_whos(&mut self, who: usize) -> Vec<usize> {
        if let Some(known) = self.wider_whos.get(&who) {
            return known.clone();
        }
        // They stand in the order of their numbers.
        let place = self.whos.binary_search_by_key(&who, |(number, _)| *number);
        let narrow = place.ok().and_then(|at| self.whos.get(at));
        let mut found = Vec::new();
        if let Some((_, narrow)) = narrow.copied() {
            for (number, wide) in self.whos.iter().filter(|(number, _)| *number != who) {
                let Some(left) = self.whos_left.checked_sub(1) else {
                    break;
                };
                self.whos_left = left;
                if who_covers(wide, narrow) {
                    found.push(*number);
                }
            }
        }
        self.wider_whos.insert(who, found.clone());
        found
    }

    fn effect(&self, at: usize) -> Option<RuleEffect> {
        self.layer.rules.get(at).map(|rule| rule.effect)
    }

    fn is_mutual(&self, wide: usize, narrow: usize) -> bool {
        let rules = self.selectors.get(wide).zip(self.selectors.get(narrow));
        rules.is_some_and(|(wide, narrow)| covers(narrow, wide))
    }

    fn others(&self, effect: RuleEffect, key: Key, at: usize) -> impl Iterator<Item = usize> {
        let found = self.rules.get(&(effect, key)).into_iter().flatten();
        found.copied().filter(move |other| *other != at)
    }

    /// The `require` rules with a selector that cannot hold together with this rule.
    fn exclusions(
        &mut self,
        at: usize,
        selector: usize,
        found: &mut Option<(usize, String, usize)>,
    ) {
        let Some(rule) = self.layer.rules.get(at) else {
            return;
        };
        let own = self.compiled.get(rule.id.as_str()).copied();
        for other_at in self.requires.get(&selector).into_iter().flatten() {
            let Some(other) = self.layer.rules.get(*other_at).filter(|_| *other_at != at) else {
                continue;
            };
            let Some(left) = self.conditions_left.checked_sub(1) else {
                return;
            };
            self.conditions_left = left;
            let compiled = self.compiled.get(other.id.as_str()).copied();
            if let Some(why) = exclusion(rule, other, own, compiled) {
                match found {
                    Some((.., more)) if *more >= MOST_COUNTED => return,
                    Some((.., more)) => *more = more.saturating_add(1),
                    None => *found = Some((*other_at, why, 0)),
                }
            }
        }
    }

    fn told(
        &self,
        at: usize,
        [opposed, denied, repeated, required, unneeded]: [Found; 5],
        excluded: Option<(usize, String, usize)>,
    ) -> Vec<Lint> {
        use LintKind::{Contradictory, Shadowed};
        let name = |at: usize| {
            let rule = self.layer.rules.get(at);
            rule.map_or_else(String::new, |rule| shown(&rule.id))
        };
        let mut lints = Vec::new();
        for (found, kind, message, help) in [
            (
                opposed,
                Contradictory,
                "denies the same requests, and a deny overrides",
                "remove one of the two",
            ),
            (
                denied,
                Shadowed,
                "denies all that this allows",
                "remove this rule, or make the other one narrower",
            ),
            (
                repeated,
                Shadowed,
                "does the same for all these requests and callers",
                "remove this rule, or make it say something else",
            ),
            (
                required,
                Shadowed,
                "requires the same",
                "remove one of the two",
            ),
            (
                unneeded,
                Shadowed,
                "denies all that this requires something of",
                "remove this rule, or make the other one narrower",
            ),
        ] {
            if let Some(first) = found.first {
                let message = format!("{} {message}{}", name(first), more(found.more));
                lints.push(self.layer.lint(kind, at, None, message, help));
            }
        }
        if let Some((other, why, others)) = excluded {
            let message = format!(
                "{} requires what cannot be together with this: {why}{}",
                name(other),
                more(others)
            );
            let help = "mend one of the two: nothing gets through both";
            lints.push(self.layer.lint(Contradictory, at, None, message, help));
        }
        lints
    }
}

/// Rules of which one is told.
#[derive(Default)]
struct Found {
    first: Option<usize>,
    more: usize,
}

impl Found {
    fn extend(&mut self, rules: impl Iterator<Item = usize>) {
        for at in rules {
            if self.first.is_none() {
                self.first = Some(at);
            } else {
                self.more = self.more.saturating_add(1);
                // Whoever has so many looks no further.
                if self.more >= MOST_COUNTED {
                    return;
                }
            }
        }
    }
}

const MOST_COUNTED: usize = 100;

fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        MOST_COUNTED.. => format!(" (and more than {} like it)", MOST_COUNTED - 1),
        count => format!(" (and {count} more like it)"),
    }
}

/// The keys of rules that apply whenever one of this key does; `whos` are those that mean all of its
/// callers and more.
fn wider(key: Key, whos: &[usize]) -> Vec<Key> {
    let both = |number: usize| {
        if number == OPEN {
            vec![OPEN]
        } else {
            vec![number, OPEN]
        }
    };
    let mut keys = Vec::with_capacity(8);
    for who in both(key.who).into_iter().chain(whos.iter().copied()) {
        for from in both(key.from) {
            keys.extend(both(key.when).into_iter().map(|when| Key {
                who,
                from,
                when,
                ..key
            }));
        }
    }
    keys
}

/// The name, when the pattern is no other.
fn plain(pattern: &NamePattern) -> Option<&str> {
    match pattern {
        NamePattern::Literal(name) => Some(name),
        NamePattern::Glob(name) if !name.contains(['*', '?', '\\']) => Some(name),
        _ => None,
    }
}

/// How many patterns a rule has.
fn patterns(rule: &RuleConfig) -> usize {
    targets(rule)
        .iter()
        .map(|(_, patterns)| patterns.len())
        .sum()
}

/// Why the two cannot both hold.
fn exclusion(
    rule: &RuleConfig,
    other: &RuleConfig,
    compiled: Option<&Rule>,
    compiled_other: Option<&Rule>,
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
    let (compiled, compiled_other) = (compiled?, compiled_other?);
    if let (Some(one), Some(two)) = (&compiled.from, &compiled_other.from) {
        if !one.overlaps(two) {
            return Some("no address is in both".to_owned());
        }
    }
    let one = compiled.when.as_deref()?;
    let two = compiled_other.when.as_deref()?;
    if rule.when == other.when || one.warning().is_some() || two.warning().is_some() {
        return None;
    }
    one.excludes(two)
}
