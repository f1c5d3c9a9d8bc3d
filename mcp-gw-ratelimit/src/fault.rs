//! What is wrong with a configuration of limits.

use std::fmt;

/// A step from `limits` to a value in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A key of a mapping.
    Key(&'static str),
    /// An item of a list, counted from 0.
    Index(usize),
}

/// Where a value is, seen from `limits`: `rules[2].quota`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitPath(Vec<Step>);

impl LimitPath {
    /// `limits` itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The value of `key`.
    #[must_use]
    pub fn key(&self, key: &'static str) -> Self {
        self.with(Step::Key(key))
    }

    /// The item `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for LimitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with a configuration of limits, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitFault {
    /// Where.
    pub path: LimitPath,
    /// What is wrong: one sentence in lower case without a full stop.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl LimitFault {
    pub(crate) fn new(
        path: LimitPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            path,
            message: message.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for LimitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limits.{}: {}; {}", self.path, self.message, self.help)
    }
}
