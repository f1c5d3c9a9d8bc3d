//! What is wrong with a policy: where, in which rule, and what to do about it.

use std::fmt;

/// A step of a [`FaultPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PathStep {
    /// A key of a mapping.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
}

/// Where in a policy something is, such as `rules[3].tools[0]`, counted from the policy's own root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPath(Vec<PathStep>);

impl FaultPath {
    /// The policy itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A key below this place.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(PathStep::Key(key.to_owned()))
    }

    /// An item below this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(PathStep::Index(index))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// The place that holds this one; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, steps) = self.0.split_last()?;
        Some(Self(steps.to_vec()))
    }

    fn with(&self, step: PathStep) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Index(index) => write!(f, "[{index}]")?,
                PathStep::Key(key) if !is_plain(key) => write!(f, "[{}]", shown(key))?,
                PathStep::Key(key) if at == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// One thing that is wrong with a policy, or looks so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyFault {
    /// Where it is.
    pub path: FaultPath,
    /// The id of the rule that it is in, if it is in one.
    pub rule: Option<String>,
    /// What is wrong: one lower-case sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Line and column in the file, from 1, when it was read by [`crate::PolicyConfig::from_yaml`].
    pub position: Option<(usize, usize)>,
}

impl PolicyFault {
    /// A fault at `path`.
    pub fn new(path: FaultPath, message: impl Into<String>) -> Self {
        Self {
            path,
            rule: None,
            message: message.into(),
            help: None,
            position: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which rule it is in.
    #[must_use]
    pub fn with_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.steps().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "rule {}: ", shown(rule))?;
        }
        f.write_str(&one_line(&self.message))?;
        match &self.help {
            Some(help) => write!(f, "; {}", one_line(help)),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one policy. `Display` writes one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFaults(Vec<PolicyFault>);

impl PolicyFaults {
    pub(crate) fn new(mut faults: Vec<PolicyFault>) -> Self {
        faults.sort_by(|a, b| (a.position, &a.path).cmp(&(b.position, &b.path)));
        Self(faults)
    }

    /// The faults, in the order of the policy.
    pub fn faults(&self) -> &[PolicyFault] {
        &self.0
    }

    /// The faults, to be reported together with others.
    pub fn into_faults(self) -> Vec<PolicyFault> {
        self.0
    }
}

impl fmt::Display for PolicyFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        let count = self.0.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "{count} {noun} in the policy")
    }
}

impl std::error::Error for PolicyFaults {}

/// A text of the policy, as a message may repeat it: quoted, on one line, cut.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    format!("`{}`", one_line(&cut))
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// The known word that a wrong one was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.replace(['-', '_', ' ', '/'], "").to_lowercase();
    let wanted = plain(&word.chars().take(SHOWN).collect::<String>());
    let (distance, near) = known
        .into_iter()
        .map(|known| (strsim::osa_distance(&wanted, &plain(known)), known))
        .min_by_key(|(distance, _)| *distance)?;
    let longest = wanted.chars().count().max(near.chars().count());
    (distance <= (longest / 3).max(1) && distance < wanted.chars().count()).then_some(near)
}

/// The longest piece of a policy that a message repeats, in characters.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_says_where() {
        let path = FaultPath::root()
            .key("servers")
            .key("my server")
            .key("rules")
            .index(2);
        let fault = PolicyFault::new(path, "bad\nthing")
            .with_rule("a")
            .with_help("mend it");
        assert_eq!(
            fault.to_string(),
            "servers[`my server`].rules[2]: rule `a`: bad\\nthing; mend it"
        );
    }

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        assert_eq!(
            nearest("tools/cal", ["tools/call", "tools/list"]),
            Some("tools/call")
        );
        assert_eq!(nearest("Tools_Call", ["tools/call"]), Some("tools/call"));
        assert_eq!(nearest("zebra", ["tools/call"]), None);
    }
}
