//! Requests about the plugins that an APISIX has.

use bytes::Bytes;
use http::Request;

use crate::http::{RequestError, Target};

type Built = Result<Request<Bytes>, RequestError>;

/// What plugins work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subsystem {
    /// HTTP requests: what APISIX takes when it is not told.
    Http,
    /// TCP and UDP connections.
    Stream,
}

impl Subsystem {
    /// What stands in a query; nothing for what is taken anyway.
    const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Http => None,
            Self::Stream => Some("stream"),
        }
    }
}

/// Which of a plugin's settings are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settings {
    /// Those of routes, services and the like.
    Usual,
    /// Those of consumers and their credentials.
    Consumer,
}

/// Asks for the names of all plugins.
///
/// # Errors
/// Never.
pub fn names(subsystem: Subsystem) -> Built {
    Target::at("/plugins/list")
        .query_if("subsystem", subsystem.parameter())?
        .get()
}

/// Asks for the schema of the settings of one plugin.
///
/// # Errors
/// When the name cannot be used.
pub fn schema(name: &str, subsystem: Subsystem, settings: Settings) -> Built {
    let of = match settings {
        Settings::Usual => None,
        Settings::Consumer => Some("consumer"),
    };
    Target::at("/plugins")
        .segment("name", name)?
        .query_if("subsystem", subsystem.parameter())?
        .query_if("schema_type", of)?
        .get()
}

/// Asks for all plugins with all their schemas: a long answer.
///
/// # Errors
/// Never.
pub fn all(subsystem: Subsystem) -> Built {
    Target::at("/plugins")
        .query("all", "true")?
        .query_if("subsystem", subsystem.parameter())?
        .get()
}
