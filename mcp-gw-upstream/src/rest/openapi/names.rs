//! Names of tools: legal, unique, and the same each time.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Found;
use crate::rest::text::legal_name;

/// A name for each operation, whether or not it will be chosen: a filter changes nobody's name. They
/// are in order of path and method, so the first of several with one name keeps it.
pub(super) fn of(all: &[Found<'_>]) -> Vec<String> {
    let natural: Vec<String> = all.iter().map(natural).collect();
    let mut taken: BTreeSet<String> = natural.iter().cloned().collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = Vec::with_capacity(natural.len());
    for name in &natural {
        if seen.insert(name) {
            names.push(name.clone());
            continue;
        }
        let number = next.entry(name).or_insert(2);
        let free = loop {
            let other = numbered(name, *number);
            *number = number.saturating_add(1);
            if taken.insert(other.clone()) {
                break other;
            }
        };
        names.push(free);
    }
    names
}

fn natural(found: &Found<'_>) -> String {
    let id = found.id.map(|id| legal_name(id, "", MAX));
    id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let text = format!("{}_{}", found.method.to_ascii_lowercase(), found.path);
        legal_name(&text, "", MAX)
    })
}

fn numbered(name: &str, number: usize) -> String {
    let end = format!("_{number}");
    let head: String = name.chars().take(MAX.saturating_sub(end.len())).collect();
    head + &end
}

/// The longest name: what clients of models take.
const MAX: usize = 64;
