//! Which key of the file is behind each key of the configuration that is made of it.

use crate::config::fault::Fault;
use crate::config::path::{ConfigPath, Spans};

/// Pairs of a path of ours and one of theirs.
#[derive(Debug, Default)]
pub(in crate::config) struct Places(Vec<(ConfigPath, ConfigPath)>);

impl Places {
    /// Says that what is at `ours` and below comes from `theirs`.
    pub(in crate::config) fn put(&mut self, ours: ConfigPath, theirs: ConfigPath) {
        self.0.push((ours, theirs));
    }

    /// The same faults where the file says what they are about; each once. With `is_sure`, only those that
    /// come from one value, which the file says.
    pub(in crate::config) fn of_theirs(
        &self,
        faults: Vec<Fault>,
        spans: &Spans,
        is_sure: bool,
    ) -> Vec<Fault> {
        let mut all: Vec<Fault> = Vec::with_capacity(faults.len());
        for fault in faults {
            let is_simple = fault.depends() == std::slice::from_ref(fault.path());
            let Some((path, is_exact)) = self.find(fault.path(), spans) else {
                if !is_sure {
                    all.push(fault);
                }
                continue;
            };
            if is_sure && !(is_simple && is_exact) {
                continue;
            }
            let mut other = Fault::new(path.clone(), self.in_their_words(fault.message()));
            if let Some(help) = fault.help() {
                other = other.with_help(self.in_their_words(help));
            }
            if spans.contains(&path) {
                other = other.with_position(spans.locate(&path));
            }
            if !all.contains(&other) {
                all.push(other);
            }
        }
        all
    }

    /// A sentence with their keys in the place of ours.
    fn in_their_words(&self, text: &str) -> String {
        let pairs = self.0.iter();
        pairs.fold(text.to_owned(), |text, (ours, theirs)| {
            text.replace(&format!("`{ours}`"), &format!("`{theirs}`"))
        })
    }

    /// Where the file says what is at `ours`, and whether it is that to the letter.
    fn find(&self, ours: &ConfigPath, spans: &Spans) -> Option<(ConfigPath, bool)> {
        let found = self.0.iter().filter_map(|(from, to)| {
            let path = ours.rebased(from, to)?;
            Some((from.len(), path))
        });
        let (_, mut path) = found.max_by_key(|(len, _)| *len)?;
        let is_exact = spans.contains(&path);
        while !spans.contains(&path) {
            match path.parent() {
                Some(parent) if !parent.is_root() => path = parent,
                // Of a variable, or of what the file leaves out.
                _ => break,
            }
        }
        Some((path, is_exact))
    }
}
