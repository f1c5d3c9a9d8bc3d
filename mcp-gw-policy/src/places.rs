//! Where in a file the parts of a policy are written.

use std::collections::BTreeMap;

use crate::fault::FaultPath;
use crate::load;

/// Lines and columns, from 1, of what a YAML file says.
pub(crate) type Places = BTreeMap<FaultPath, (usize, usize)>;

/// The place of a value, or of the nearest that is there and holds it.
pub(crate) fn locate(places: &Places, path: &FaultPath) -> Option<(usize, usize)> {
    let mut path = path.clone();
    loop {
        if let Some(place) = places.get(&path) {
            return Some(*place);
        }
        path = path.parent()?;
    }
}

/// Where things stand in a YAML file: finds lines for what has a [`FaultPath`] and no place, such as
/// a [`Lint`](crate::Lint).
#[derive(Clone, Debug, Default)]
pub struct SourceMap(Places);

impl SourceMap {
    /// The places of a file, which need not be a policy. What is no YAML has none.
    pub fn of(text: &str) -> Self {
        Self(load::places(text))
    }

    /// True when the file says something at this very place.
    pub fn has(&self, path: &FaultPath) -> bool {
        self.0.contains_key(path)
    }

    /// The keys of the mapping at `path`.
    pub fn keys<'m>(&'m self, path: &FaultPath) -> impl Iterator<Item = &'m str> {
        let holder = path.clone();
        self.0.keys().filter_map(move |path| {
            let (last, steps) = path.steps().split_last()?;
            match last {
                crate::PathStep::Key(key) if steps == holder.steps() => Some(&**key),
                _ => None,
            }
        })
    }

    /// Line and column of this place, from 1, or of the nearest around it.
    pub fn position(&self, path: &FaultPath) -> Option<(usize, usize)> {
        locate(&self.0, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_not_there_is_that_of_what_would_hold_it() {
        let map = SourceMap::of("policy:\n  rules:\n    - { id: a }\n  servers: {}\n");
        let policy = FaultPath::root().key("policy");
        let rule = policy.key("rules").index(0);
        assert_eq!(map.position(&rule.key("when")), map.position(&rule));
        assert_eq!(map.position(&rule).map(|(line, _)| line), Some(3));
        assert!(map.has(&rule.key("id")) && !map.has(&rule.key("when")));
        assert_eq!(map.keys(&policy).collect::<Vec<_>>(), ["rules", "servers"]);
        assert_eq!(SourceMap::of("a: [").position(&FaultPath::root()), None);
    }
}
