//! What servers offered when they were trusted.

use super::{Revision, Time};

/// What is pinned under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// What kind of thing it is, such as `tool`.
    pub kind: String,
    /// Its name or URI.
    pub name: String,
    /// The digest of its definition, as text.
    pub digest: String,
    /// What is kept along with it, as text: the definition, members that are not known here.
    pub definition: Option<String>,
}

impl Pin {
    /// A pin without a definition.
    pub fn new(
        kind: impl Into<String>,
        name: impl Into<String>,
        digest: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            digest: digest.into(),
            definition: None,
        }
    }
}

/// All that is pinned of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerPins {
    /// The server.
    pub server: String,
    /// Its pins, by kind and name, each once.
    pub pins: Vec<Pin>,
    /// How often they were changed.
    pub revision: Revision,
    /// When they were last changed.
    pub updated_at: Time,
}

impl ServerPins {
    pub(crate) const fn new(
        server: String,
        pins: Vec<Pin>,
        revision: Revision,
        updated_at: Time,
    ) -> Self {
        Self {
            server,
            pins,
            revision,
            updated_at,
        }
    }
}
