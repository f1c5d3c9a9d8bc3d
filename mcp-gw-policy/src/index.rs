//! Finds the rules that can match a name, without looking at the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use mcp_gw_core::GlobPlace;

use crate::fault::FaultPath;
use crate::pattern::Pattern;
use crate::rbac::{Identity, WhoKeys};

/// The place of a rule in its layer.
pub(crate) type RuleIndex = u32;

/// Who asks, as far as the index tells callers apart.
pub(crate) struct Asker<'a> {
    pub(crate) id: &'a str,
    pub(crate) server: &'a str,
    pub(crate) identity: &'a Identity<'a>,
}

/// What a rule is kept under beside its names.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) who: WhoKeys<'a>,
    /// The only servers it is about, when they are written out.
    pub(crate) servers: Option<&'a [Box<str>]>,
}

/// The rules of a layer about one operation and one kind of name.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    any: Bucket,
    literals: HashMap<Box<str>, Bucket>,
    patterns: Vec<(Arc<Pattern>, Bucket)>,
    /// Patterns without a text that all their names have.
    unhinted: Vec<usize>,
    hints: Option<Hints>,
}

/// Texts that names must have for a pattern to match, searched for in one go.
#[derive(Debug)]
struct Hints {
    search: AhoCorasick,
    patterns: Box<[HintFor]>,
}

/// The patterns that need one text, by where they need it.
#[derive(Debug, Default)]
struct HintFor {
    start: Vec<usize>,
    end: Vec<usize>,
    middle: Vec<usize>,
}

/// Builds a [`NameIndex`].
#[derive(Default)]
pub(crate) struct NameIndexBuilder<'a> {
    any: BucketBuilder<'a>,
    literals: HashMap<Box<str>, BucketBuilder<'a>>,
    /// Equal patterns are compared once, however many rules have them.
    patterns: BTreeMap<String, (Arc<Pattern>, BucketBuilder<'a>)>,
}

impl<'a> NameIndexBuilder<'a> {
    /// Adds a rule under a pattern; `text` tells patterns apart.
    pub(crate) fn add(
        &mut self,
        text: &str,
        pattern: &Arc<Pattern>,
        rule: RuleIndex,
        keys: Keys<'a>,
    ) {
        match &**pattern {
            Pattern::Any => self.any.add(rule, keys),
            Pattern::Literal(name) => {
                self.literals
                    .entry(name.clone())
                    .or_default()
                    .add(rule, keys);
            }
            Pattern::Glob(_) | Pattern::Regex { .. } | Pattern::Marked(_) => {
                let entry = self.patterns.entry(text.to_owned());
                let new = || (Arc::clone(pattern), BucketBuilder::default());
                entry.or_insert_with(new).1.add(rule, keys);
            }
        }
    }

    /// The index, or the fault of a policy that is too big for one.
    pub(crate) fn build(self, path: &FaultPath) -> Result<NameIndex, crate::PolicyFault> {
        let mut hints: BTreeMap<Vec<u8>, HintFor> = BTreeMap::new();
        let mut unhinted = Vec::new();
        let mut patterns = Vec::with_capacity(self.patterns.len());
        for (pattern, bucket) in self.patterns.into_values() {
            let at = patterns.len();
            let mut hint = |text: &[u8], place| {
                let entry = hints.entry(text.to_vec()).or_default();
                match place {
                    GlobPlace::Start => entry.start.push(at),
                    GlobPlace::End => entry.end.push(at),
                    GlobPlace::Middle => entry.middle.push(at),
                }
            };
            match &*pattern {
                Pattern::Glob(glob) => match glob.hint() {
                    Some((text, place)) => hint(text.as_bytes(), place),
                    None => unhinted.push(at),
                },
                Pattern::Regex { hints, .. } => {
                    if hints.prefixes.is_empty() && hints.suffixes.is_empty() {
                        unhinted.push(at);
                    }
                    hints
                        .prefixes
                        .iter()
                        .for_each(|text| hint(text, GlobPlace::Start));
                    hints
                        .suffixes
                        .iter()
                        .for_each(|text| hint(text, GlobPlace::End));
                }
                Pattern::Any | Pattern::Literal(_) | Pattern::Marked(_) => unhinted.push(at),
            }
            patterns.push((pattern, bucket.build()));
        }
        let hints = if hints.is_empty() {
            None
        } else {
            Some(Hints::build(hints).map_err(|error| {
                crate::PolicyFault::new(path.clone(), format!("too many patterns: {error}"))
                    .with_help("write fewer of them, or literals")
            })?)
        };
        let literals = self.literals.into_iter();
        Ok(NameIndex {
            any: self.any.build(),
            literals: literals
                .map(|(name, bucket)| (name, bucket.build()))
                .collect(),
            patterns,
            unhinted,
            hints,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.any.0.is_empty() && self.literals.is_empty() && self.patterns.is_empty()
    }
}

impl Hints {
    fn build(hints: BTreeMap<Vec<u8>, HintFor>) -> Result<Self, aho_corasick::BuildError> {
        Ok(Self {
            search: AhoCorasick::new(hints.keys())?,
            patterns: hints.into_values().collect(),
        })
    }
}

impl NameIndex {
    /// Visits the rules that match the name, apart from what the index does not know of. A rule may
    /// be visited more than once.
    pub(crate) fn visit(&self, name: &str, asker: &Asker<'_>, visit: &mut dyn FnMut(RuleIndex)) {
        self.any.visit(asker, visit);
        if !self.literals.is_empty() {
            if let Some(bucket) = self.literals.get(name) {
                bucket.visit(asker, visit);
            }
        }
        let mut try_one = |at: usize| {
            if let Some((pattern, bucket)) = self.patterns.get(at) {
                if pattern.matches(name) {
                    bucket.visit(asker, visit);
                }
            }
        };
        self.unhinted.iter().copied().for_each(&mut try_one);
        if let Some(hints) = &self.hints {
            hints.find(name, &mut try_one);
        }
    }
}

impl Hints {
    fn find(&self, name: &str, found: &mut dyn FnMut(usize)) {
        // Which texts were found in the middle before: a name may have one many times.
        let mut seen: Vec<u64> = Vec::new();
        for hit in self.search.find_overlapping_iter(name) {
            let at = hit.pattern().as_usize();
            let Some(hint) = self.patterns.get(at) else {
                continue;
            };
            if hit.start() == 0 {
                hint.start.iter().copied().for_each(&mut *found);
            }
            if hit.end() == name.len() {
                hint.end.iter().copied().for_each(&mut *found);
            }
            if !hint.middle.is_empty() && is_new(&mut seen, at, self.patterns.len()) {
                hint.middle.iter().copied().for_each(&mut *found);
            }
        }
    }
}

/// Remembers `at`; false when it was known.
fn is_new(seen: &mut Vec<u64>, at: usize, of: usize) -> bool {
    if seen.is_empty() {
        seen.resize(of / 64 + 1, 0);
    }
    let bit = 1 << (at % 64);
    match seen.get_mut(at / 64) {
        Some(word) if *word & bit == 0 => {
            *word |= bit;
            true
        }
        _ => false,
    }
}

/// Rules that the same names match; a long list is told apart by callers and servers.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    open: Box<[RuleIndex]>,
    keyed: Option<Box<Keyed>>,
}

type Lists = HashMap<Box<str>, Vec<RuleIndex>>;

#[derive(Debug, Default)]
struct Keyed {
    ids: Lists,
    servers: Lists,
    roles: Lists,
    groups: Lists,
}

#[derive(Default)]
pub(crate) struct BucketBuilder<'a>(Vec<(RuleIndex, Keys<'a>)>);

/// A list so short is not worth a look-up.
const SHORT: usize = 4;

impl<'a> BucketBuilder<'a> {
    pub(crate) fn add(&mut self, rule: RuleIndex, keys: Keys<'a>) {
        self.0.push((rule, keys));
    }

    pub(crate) fn build(self) -> Bucket {
        let mut open = Vec::new();
        let mut keyed = Keyed::default();
        let is_short = self.0.len() <= SHORT;
        for (rule, keys) in self.0 {
            let (lists, names): (_, Vec<&str>) = match (keys.who, keys.servers) {
                _ if is_short => {
                    open.push(rule);
                    continue;
                }
                (WhoKeys::Ids(ids), _) => (&mut keyed.ids, ids.iter().map(|id| &**id).collect()),
                (_, Some(servers)) => (
                    &mut keyed.servers,
                    servers.iter().map(|name| &**name).collect(),
                ),
                (WhoKeys::Roles(roles), _) => {
                    (&mut keyed.roles, roles.iter().map(|name| &**name).collect())
                }
                (WhoKeys::Groups(groups), _) => (
                    &mut keyed.groups,
                    groups.iter().map(|name| &**name).collect(),
                ),
                (WhoKeys::Open, None) => {
                    open.push(rule);
                    continue;
                }
            };
            for name in names {
                let list = lists.entry(name.into()).or_default();
                if list.last() != Some(&rule) {
                    list.push(rule);
                }
            }
        }
        open.dedup();
        let keyed = (!is_short).then(|| Box::new(keyed));
        Bucket {
            open: open.into(),
            keyed,
        }
    }
}

impl Bucket {
    /// Visits the rules that may be for who asks; one may be visited more than once.
    pub(crate) fn visit(&self, asker: &Asker<'_>, visit: &mut dyn FnMut(RuleIndex)) {
        self.open.iter().copied().for_each(&mut *visit);
        let Some(keyed) = &self.keyed else {
            return;
        };
        let mut look_up = |lists: &Lists, name: &str| {
            if !lists.is_empty() {
                let found = lists.get(name).map(Vec::as_slice).unwrap_or_default();
                found.iter().copied().for_each(&mut *visit);
            }
        };
        look_up(&keyed.ids, asker.id);
        look_up(&keyed.servers, asker.server);
        if !keyed.roles.is_empty() {
            asker
                .identity
                .roles()
                .chain(asker.identity.doubtful_roles())
                .for_each(|role| look_up(&keyed.roles, role));
        }
        if !keyed.groups.is_empty() {
            asker
                .identity
                .groups()
                .chain(asker.identity.doubtful_groups())
                .for_each(|group| look_up(&keyed.groups, group));
        }
    }
}
