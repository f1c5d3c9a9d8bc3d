//! What follows from what: inheritance and implication. What follows from a name is looked up when it is
//! asked for: written out for each of thousands it would be millions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// What follows directly from each name.
type Edges<'e, 'n> = &'e BTreeMap<&'n str, &'n [String]>;

/// Names, and to each those that follow from it directly.
#[derive(Debug, Default, Clone)]
pub(super) struct Closure {
    names: Vec<String>,
    places: HashMap<String, usize>,
    nexts: Vec<Box<[usize]>>,
}

impl Closure {
    /// Keeps `edges`, when following them comes to an end.
    ///
    /// # Errors
    /// Each circle once, as the names on it; of very many some.
    pub(super) fn new(edges: &BTreeMap<&str, &[String]>) -> Result<Self, Vec<Vec<String>>> {
        let circles = circles(edges);
        if !circles.is_empty() {
            return Err(circles);
        }
        let all = edges.values().flat_map(|nexts| nexts.iter());
        let all = edges.keys().copied().chain(all.map(String::as_str));
        let names: BTreeSet<&str> = all.collect();
        let places = (0..).zip(&names).map(|(at, name)| ((*name).to_owned(), at));
        let places: HashMap<String, usize> = places.collect();
        let nexts = names.iter().map(|name| {
            let nexts = edges.get(name).copied().unwrap_or_default();
            let nexts = nexts.iter().filter_map(|next| places.get(next).copied());
            nexts.collect()
        });
        Ok(Self {
            nexts: nexts.collect(),
            names: names.into_iter().map(str::to_owned).collect(),
            places,
        })
    }

    /// How many names follow from this one.
    pub(super) fn weight(&self, name: &str) -> usize {
        self.following(std::iter::once(name)).len()
    }

    /// Adds to `names` all that follows from them.
    pub(super) fn extend<'a>(&'a self, names: &mut Vec<&'a str>) {
        if self.names.is_empty() {
            return;
        }
        let following = self.following(names.iter().copied());
        if following.is_empty() {
            return;
        }
        let held: HashSet<&str> = names.iter().copied().collect();
        let following = following.into_iter().filter_map(|at| self.names.get(at));
        let following = following.map(String::as_str);
        names.extend(following.filter(|name| !held.contains(name)));
    }

    /// All that follows from some names, in the order of names.
    fn following<'n>(&self, names: impl Iterator<Item = &'n str>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = names
            .filter_map(|name| self.places.get(name).copied())
            .collect();
        let mut reached = BTreeSet::new();
        while let Some(at) = open.pop() {
            for next in self.nexts.get(at).into_iter().flatten() {
                if reached.insert(*next) {
                    open.push(*next);
                }
            }
        }
        reached
    }
}

/// From so many names circles are looked for, once there is one.
const MOST_STARTS: usize = 50;

/// Each circle once, as the names on it.
fn circles(edges: Edges<'_, '_>) -> Vec<Vec<String>> {
    let mut circles: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (at, start) in near_circles(edges).into_iter().enumerate() {
        if at >= MOST_STARTS && !circles.is_empty() {
            break;
        }
        if let Some(circle) = circle_through(start, edges) {
            let members = circle.iter().copied().collect();
            let shown = circle.iter().map(|&name| name.to_owned()).collect();
            circles.entry(members).or_insert(shown);
        }
    }
    circles.into_values().collect()
}

/// The names on circles, and between two of them: those that are left when names that nothing follows
/// from are taken away again and again, and then those that follow from none.
fn near_circles<'n>(edges: Edges<'_, 'n>) -> Vec<&'n str> {
    let pairs: BTreeSet<(&'n str, &'n str)> = edges
        .iter()
        .flat_map(|(name, nexts)| nexts.iter().map(|next| (*name, next.as_str())))
        .filter(|(_, next)| edges.contains_key(next))
        .collect();
    let forth = without_end(&pairs.iter().copied().collect::<Vec<_>>());
    let pairs = pairs
        .into_iter()
        .filter(|(name, next)| forth.contains(name) && forth.contains(next));
    let pairs: Vec<_> = pairs.map(|(name, next)| (next, name)).collect();
    let back = without_end(&pairs);
    let mut left: Vec<&str> = back.into_iter().collect();
    left.sort_unstable();
    left
}

/// The names from which a way leads on without an end.
fn without_end<'n>(pairs: &[(&'n str, &'n str)]) -> HashSet<&'n str> {
    let mut ways: HashMap<&'n str, usize> = HashMap::new();
    let mut before: HashMap<&'n str, Vec<&'n str>> = HashMap::new();
    for (name, next) in pairs {
        let count = ways.entry(name).or_default();
        *count = count.saturating_add(1);
        before.entry(next).or_default().push(name);
    }
    let ends = before.keys().filter(|name| !ways.contains_key(*name));
    let mut open: Vec<&str> = ends.copied().collect();
    while let Some(end) = open.pop() {
        for name in before.get(end).into_iter().flatten() {
            if let Some(count) = ways.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ways.remove(name);
                    open.push(name);
                }
            }
        }
    }
    ways.into_keys().collect()
}

/// The shortest way from `start` back to itself.
fn circle_through<'n>(
    start: &'n str,
    edges: &BTreeMap<&'n str, &'n [String]>,
) -> Option<Vec<&'n str>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(edges: &[(String, Vec<String>)]) -> Result<Closure, Vec<Vec<String>>> {
        let edges = edges.iter().map(|(name, nexts)| (name.as_str(), &**nexts));
        Closure::new(&edges.collect())
    }

    fn name(at: usize) -> String {
        format!("n{at:05}")
    }

    #[test]
    fn long_chains_and_wide_ones_are_followed() {
        let chain: Vec<_> = (0..5000).map(|at| (name(at), vec![name(at + 1)])).collect();
        let wide: Vec<_> = (0..3000)
            .map(|at| (name(at), (at + 1..at + 11).map(name).collect()))
            .collect();
        for edges in [chain, wide] {
            let last = edges.len();
            let closure = closure(&edges).unwrap();
            let first = name(0);
            let mut names = vec![first.as_str()];
            closure.extend(&mut names);
            assert!(names.len() > last, "{}", names.len());
            assert_eq!(closure.weight(&first), names.len() - 1);
            assert_eq!(closure.weight(&name(last)), 0);
        }
    }

    #[test]
    fn circles_are_found_in_what_is_large() {
        let mut edges: Vec<_> = (0..3000).map(|at| (name(at), vec![name(at + 1)])).collect();
        edges.push((name(3000), vec![name(2998), "other".to_owned()]));
        let found = closure(&edges).unwrap_err();
        assert_eq!(found, [[name(2998), name(2999), name(3000)]]);
        let itself = [(name(1), vec![name(1)])];
        assert_eq!(closure(&itself).unwrap_err(), [[name(1)]]);
        let all: Vec<_> = (0..300)
            .map(|at| (name(at), (0..300).map(name).collect()))
            .collect();
        assert!(!closure(&all).unwrap_err().is_empty());
    }
}
