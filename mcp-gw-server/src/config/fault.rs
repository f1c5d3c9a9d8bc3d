//! What is wrong with a configuration file: where, what, and what to do about it.

use std::fmt::{self, Write as _};

use super::path::{ConfigPath, Position};

/// An error and everything that it came from.
#[cfg(any(feature = "cli", feature = "docs-index"))]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// One thing that is wrong with a configuration, with what to do about it.
///
/// No fault carries the value of a secret or of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    path: ConfigPath,
    position: Option<Position>,
    message: String,
    help: Option<String>,
    /// `None` for the value at its path.
    cause: Option<Box<Cause>>,
}

/// What a fault comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// These values together.
    Values(Vec<ConfigPath>),
    /// A key that nobody knows.
    UnknownKey,
}

impl Fault {
    /// A fault at `path`; `message` is one lower-case sentence without a full stop.
    pub fn new(path: ConfigPath, message: impl Into<String>) -> Self {
        Self {
            path,
            position: None,
            message: message.into(),
            help: None,
            cause: None,
        }
    }

    /// Says what the reader should do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which values it comes from, where that is not the one at its path.
    pub(super) fn depending_on(mut self, values: Vec<ConfigPath>) -> Self {
        self.cause = Some(Box::new(Cause::Values(values)));
        self
    }

    /// The values that it comes from.
    pub(super) fn depends(&self) -> &[ConfigPath] {
        match self.cause.as_deref() {
            Some(Cause::Values(values)) => values,
            Some(Cause::UnknownKey) | None => std::slice::from_ref(&self.path),
        }
    }

    /// Says that it is about a key that nobody knows.
    pub(super) fn of_unknown_key(mut self) -> Self {
        self.cause = Some(Box::new(Cause::UnknownKey));
        self
    }

    /// True when it is about a key that nobody knows: another one may be meant.
    pub(super) fn is_of_unknown_key(&self) -> bool {
        self.cause.as_deref() == Some(&Cause::UnknownKey)
    }

    /// Says where in the file it is.
    #[must_use]
    pub fn with_position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// The key it is about; the root path when it is about the whole file.
    pub fn path(&self) -> &ConfigPath {
        &self.path
    }

    /// Where in the file it is, if it came from a file.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The sentence that shows it without its place in a file, as `path: message; help`.
    pub fn sentence(&self) -> String {
        let mut line = String::new();
        if !self.path.is_root() {
            let _ = write!(line, "{}: ", self.path);
        }
        line.push_str(&one_line(&self.message));
        if let Some(help) = &self.help {
            line.push_str("; ");
            line.push_str(&one_line(help));
        }
        line
    }

    /// The one line that shows it, as `file:line:column: path: message; help`.
    pub fn line(&self, file: &str) -> String {
        let mut line = one_line(file);
        if let Some(position) = self.position {
            let _ = write!(line, ":{position}");
        }
        line.push_str(": ");
        line.push_str(&self.sentence());
        line
    }
}

/// Everything that is wrong with one configuration file, in the order of the file.
///
/// `Display` writes one line per fault, `mcp-gw.yaml:12:5: auth.api_keys[1].id: …`, and closes with
/// a line that counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults {
    file: String,
    faults: Vec<Fault>,
}

impl ConfigFaults {
    /// The faults of `file`, sorted by position.
    pub fn new(file: impl Into<String>, mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| (a.position, &a.path).cmp(&(b.position, &b.path)));
        Self {
            file: file.into(),
            faults,
        }
    }

    /// The name of the file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The faults, sorted by position.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{}", fault.line(&self.file))?;
        }
        let count = self.faults.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "{count} {noun} in {}", one_line(&self.file))
    }
}

impl std::error::Error for ConfigFaults {}

/// Keeps a text from breaking the one-line form, and a terminal from obeying it.
pub(super) fn one_line(text: &str) -> String {
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

/// A name for a message: control characters escaped, cut to 40 characters.
pub(super) fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    one_line(&cut)
}

/// The longest piece of a file that a message repeats, in characters.
pub(super) const SHOWN: usize = 40;
