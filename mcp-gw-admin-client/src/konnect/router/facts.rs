//! What the router looks at.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the router looks at in a route. Members that are not there or `null` restrict nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RouteFacts {
    /// The control plane that it was listed from.
    #[serde(skip)]
    pub control_plane_id: String,
    /// Whether that plane is a group: it shows routes that its members own.
    #[serde(skip)]
    pub is_group: bool,
    /// UUID.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Prefixes, and regular expressions after `~`.
    pub paths: Option<Vec<String>>,
    /// Methods.
    pub methods: Option<Vec<String>>,
    /// Names, perhaps with a port, perhaps with `*` at one end.
    pub hosts: Option<Vec<String>>,
    /// Values by header.
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    /// Server names of TLS.
    pub snis: Option<Vec<String>>,
    /// Addresses that requests come from.
    pub sources: Option<Vec<serde_json::Value>>,
    /// Addresses that requests come to.
    pub destinations: Option<Vec<serde_json::Value>>,
    /// Of regular expressions: high before low.
    pub regex_priority: Option<i64>,
    /// An expression stands for all of the above.
    pub expression: Option<String>,
    /// Whether what matched is left out of the path that is sent on. Kong's default is `true`.
    pub strip_path: Option<bool>,
    /// Seconds since 1970: among equals the oldest comes first.
    pub created_at: Option<i64>,
    /// The service behind it.
    pub service: Option<ServiceRef>,
}

/// The service of a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServiceRef {
    /// UUID.
    pub id: Option<String>,
}

impl RouteFacts {
    /// Reads a route of the core-entities API or of Kong's Admin API.
    ///
    /// # Errors
    /// A member is there and has another type than it should have.
    pub fn of(
        route: &serde_json::Value,
        control_plane_id: impl Into<String>,
        is_group: bool,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            control_plane_id: control_plane_id.into(),
            is_group,
            ..Self::deserialize(route)?
        })
    }

    /// The id of its service.
    pub fn service_id(&self) -> Option<&str> {
        self.service.as_ref()?.id.as_deref()
    }
}
