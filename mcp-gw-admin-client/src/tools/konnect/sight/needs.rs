//! Which right a tool needs.

use crate::konnect::rights::{May, Rights};
use crate::tools::konnect::shared::Right;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Everybody may ask: what they get depends on who they are.
    Nothing,
    Read,
    Analytics,
    Debug,
    Traces,
}

const NEEDS: [(&str, Need); 13] = [
    // Lists what may be read, and says which region was asked when that is nothing.
    ("GetControlPlane", Need::Nothing),
    ("GetControlPlaneGroup", Need::Read),
    ("GetConsumer", Need::Read),
    ("GetConsumerGroup", Need::Read),
    ("GetService", Need::Read),
    ("GetRoute", Need::Read),
    ("GetPlugin", Need::Read),
    ("GetVault", Need::Read),
    ("GetAnalytics", Need::Analytics),
    ("CreateDebugSession", Need::Debug),
    ("ActiveTracingSession", Need::Traces),
    // Nobody says which right it takes.
    ("FetchAlertingEventDetails", Need::Nothing),
    // Does not ask Konnect.
    ("KnowledgeBaseSearch", Need::Nothing),
];

fn need(tool: &str) -> Need {
    let mut all = NEEDS.iter();
    all.find(|(name, _)| *name == tool)
        .map_or(Need::Nothing, |(_, need)| *need)
}

/// Whether a tool may be of use to who has these rights.
pub(super) fn is_met(tool: &str, rights: Rights) -> bool {
    let may = match need(tool) {
        Need::Nothing => return true,
        Need::Read => rights.read,
        Need::Analytics => rights.analytics,
        Need::Debug => rights.debug,
        Need::Traces => rights.traces,
    };
    may != May::No
}

/// What it takes to use a tool.
pub(crate) fn why(tool: &str) -> Option<&'static str> {
    let right = match need(tool) {
        Need::Nothing => return None,
        Need::Read => Right::Read,
        Need::Analytics => Right::Analytics,
        Need::Debug | Need::Traces => Right::Debug,
    };
    Some(right.says())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::konnect::backend::TOOLS;

    #[test]
    fn every_tool_has_its_place() {
        let named: Vec<&str> = NEEDS.iter().map(|(name, _)| *name).collect();
        let all: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(named, all);
    }
}
