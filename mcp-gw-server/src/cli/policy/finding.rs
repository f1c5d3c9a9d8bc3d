//! One thing that is wrong with a policy, or looks so: a line for people, an object for machines.

use std::fmt::Write as _;

use mcp_gw_policy::{FaultPath, Lint, LintKind, PolicyFault, SourceMap};
use serde::Serialize;

use crate::config::{Fault, Position};

/// One thing that is wrong with a file, or looks so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `fault`, or what kind of warning it is.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

const FAULT: &str = "fault";

impl Finding {
    pub(super) fn is_fault(&self) -> bool {
        self.kind == FAULT
    }

    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path == path
    }

    pub(super) fn of_policy(fault: &PolicyFault) -> Self {
        Self {
            kind: FAULT,
            line: fault.position.map(|(line, _)| line),
            column: fault.position.map(|(_, column)| column),
            path: fault.path.to_string(),
            rule: fault.rule.clone(),
            message: fault.message.clone(),
            help: fault.help.clone(),
        }
    }

    pub(super) fn of_config(fault: &Fault) -> Self {
        let path = fault.path();
        Self {
            kind: FAULT,
            line: fault.position().map(Position::line),
            column: fault.position().map(Position::column),
            path: if path.is_root() {
                String::new()
            } else {
                path.to_string()
            },
            rule: None,
            message: fault.message().to_owned(),
            help: fault.help().map(ToOwned::to_owned),
        }
    }

    /// A warning about a name in a configuration that stands for nothing.
    pub(super) fn of_remark(remark: &Fault) -> Self {
        Self {
            kind: LintKind::UnknownName.as_str(),
            ..Self::of_config(remark)
        }
    }

    /// A warning about what stands at `path` of a file.
    pub(super) fn of_lint(lint: &Lint, path: &FaultPath, places: &SourceMap) -> Self {
        let place = places.position(path);
        Self {
            kind: lint.kind.as_str(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            path: path.to_string(),
            rule: lint.rule.clone(),
            message: lint.message.clone(),
            help: Some(lint.help.clone()).filter(|help| !help.is_empty()),
        }
    }

    /// The line that shows it: "policy.yaml:3:5: warning, dead: rules[0]: rule `a`: …; …".
    pub(super) fn line(&self, file: &str) -> String {
        let mut line = file.to_owned();
        if let (Some(row), Some(column)) = (self.line, self.column) {
            let _ = write!(line, ":{row}:{column}");
        }
        if !self.is_fault() {
            let _ = write!(line, ": warning, {}", self.kind.replace('_', " "));
        }
        if !self.path.is_empty() {
            let _ = write!(line, ": {}", self.path);
        }
        if let Some(rule) = &self.rule {
            let _ = write!(line, ": rule `{rule}`");
        }
        let _ = write!(line, ": {}", self.message);
        if let Some(help) = &self.help {
            let _ = write!(line, "; {help}");
        }
        line.replace('\n', " ")
    }
}
