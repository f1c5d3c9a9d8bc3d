//! What did not become an operation, and what did but not as it was written.

use std::fmt;

use super::build::Found;
use crate::rest::text::trimmed;

/// What was left out of a description, and why. Its text is for whoever configures the API.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Operations in the description.
    pub total: usize,
    /// Those that were not wanted.
    pub left_out: LeftOut,
    /// How many cannot be used.
    pub unusable: usize,
    /// Those that cannot be used; at most 1,000 of them.
    pub skipped: Vec<Skipped>,
    /// Parts of the others that are not as they were written; at most 1,000 of them.
    pub notes: Vec<Note>,
    /// How many more there are of both.
    pub more: usize,
}

/// How many operations were not wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// By what is to be included or excluded.
    pub not_chosen: usize,
    /// They change something.
    pub write: usize,
    /// Nobody should use them any more.
    pub deprecated: usize,
}

/// An operation that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its method; `*` for all of a path.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// Where: a method and path, or a part of the description.
    pub at: String,
    /// What.
    pub message: String,
}

impl Report {
    pub(super) fn skip(&mut self, found: &Found<'_>, reason: impl Into<String>) {
        self.skip_path(found.method, found.path, reason);
    }

    pub(super) fn skip_path(&mut self, method: &str, path: &str, reason: impl Into<String>) {
        self.unusable = self.unusable.saturating_add(1);
        if self.skipped.len() >= MAX_LINES {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.skipped.push(Skipped {
            method: method.to_owned(),
            path: trimmed(path, 200),
            reason: trimmed(&reason.into(), 500),
        });
    }

    pub(super) fn note(&mut self, at: impl Into<String>, message: impl Into<String>) {
        if self.notes.len() >= MAX_LINES {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.notes.push(Note {
            at: trimmed(&at.into(), 220),
            message: trimmed(&message.into(), 500),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeftOut {
            not_chosen,
            write,
            deprecated,
        } = self.left_out;
        write!(f, "{} operations", self.total)?;
        for (count, what) in [
            (not_chosen, "not chosen"),
            (write, "left out because they change something"),
            (deprecated, "left out because they are deprecated"),
            (self.unusable, "cannot be used"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for it in &self.skipped {
            write!(f, "\n  skipped {} {}: {}", it.method, it.path, it.reason)?;
        }
        for it in &self.notes {
            write!(f, "\n  note {}: {}", it.at, it.message)?;
        }
        if self.more > 0 {
            write!(f, "\n  and {} more", self.more)?;
        }
        Ok(())
    }
}

/// The most lines of each kind.
const MAX_LINES: usize = 1_000;
