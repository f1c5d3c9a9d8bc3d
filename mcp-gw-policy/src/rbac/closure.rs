//! What follows from what: inheritance and implication, worked out when a policy is loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Name to all the names that follow from it, itself left out.
#[derive(Debug, Default, Clone)]
pub(super) struct Closure(HashMap<String, Box<[String]>>);

impl Closure {
    /// Follows `edges` to their ends.
    ///
    /// # Errors
    /// Each circle once, as the names on it.
    pub(super) fn new(edges: &BTreeMap<&str, &[String]>) -> Result<Self, Vec<Vec<String>>> {
        let mut circles: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
        for start in edges.keys() {
            if let Some(circle) = circle_through(start, edges) {
                let members = circle.iter().copied().collect();
                let shown = circle.iter().map(|&name| name.to_owned()).collect();
                circles.entry(members).or_insert(shown);
            }
        }
        if !circles.is_empty() {
            return Err(circles.into_values().collect());
        }
        let all = edges.keys().map(|start| {
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut open = vec![*start];
            while let Some(name) = open.pop() {
                for next in edges.get(name).copied().unwrap_or_default() {
                    if reached.insert(next) {
                        open.push(next);
                    }
                }
            }
            let reached = reached.into_iter().map(str::to_owned).collect();
            ((*start).to_owned(), reached)
        });
        Ok(Self(all.collect()))
    }

    /// How many names follow from this one.
    pub(super) fn weight(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, |implied| implied.len())
    }

    /// Adds to `names` all that follows from them.
    pub(super) fn extend<'a>(&'a self, names: &mut Vec<&'a str>) {
        if self.0.is_empty() {
            return;
        }
        let given = names.len();
        for index in 0..given {
            let Some(implied) = names.get(index).and_then(|name| self.0.get(*name)) else {
                continue;
            };
            for name in implied {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
    }
}

/// The shortest way from `start` back to itself.
fn circle_through<'n>(
    start: &'n str,
    edges: &BTreeMap<&'n str, &'n [String]>,
) -> Option<Vec<&'n str>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(name) = open.pop_front() {
        for next in edges.get(name).copied().unwrap_or_default() {
            if next == start {
                let (mut circle, mut at) = (vec![name], name);
                while at != start {
                    at = from.get(at)?;
                    circle.push(at);
                }
                circle.reverse();
                return Some(circle);
            }
            if !from.contains_key(next.as_str()) {
                from.insert(next, name);
                open.push_back(next);
            }
        }
    }
    None
}
