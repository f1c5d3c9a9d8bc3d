//! What roles and teams permit, as far as Kong says what they do. Without I/O.
//!
//! What is given by one role is not taken away by another, so what is known of several is put together by
//! [`Rights::and`]. A role, team or kind of thing that is not known here may permit anything.

use crate::konnect::model::{AssignedRole, Team};
use crate::konnect::region::Region;

/// Whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum May {
    /// It may not.
    No,
    /// Nobody can say.
    Unknown,
    /// It may.
    Yes,
}

/// What somebody may do in one region, somewhere in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rights {
    /// Read what is in a control plane.
    pub read: May,
    /// See which requests were made.
    pub analytics: May,
    /// Create and stop debug sessions.
    pub debug: May,
    /// See debug sessions and their traces.
    pub traces: May,
}

impl Rights {
    /// Nothing at all.
    pub const NONE: Self = Self::all(May::No);
    /// Nobody knows.
    pub const UNKNOWN: Self = Self::all(May::Unknown);
    /// Everything.
    pub const ALL: Self = Self::all(May::Yes);

    const fn all(may: May) -> Self {
        Self {
            read: may,
            analytics: may,
            debug: may,
            traces: may,
        }
    }

    /// What may be done by who has both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            read: self.read.max(other.read),
            analytics: self.analytics.max(other.analytics),
            debug: self.debug.max(other.debug),
            traces: self.traces.max(other.traces),
        }
    }

    /// What a role permits in a region; `None` where nobody knows which region it is.
    pub fn of_role(role: &AssignedRole, region: Option<Region>) -> Self {
        let there = role.entity_region.as_deref().unwrap_or_default();
        if let (Some(here), Ok(there)) = (region, there.parse::<Region>())
            && here != there
        {
            return Self::NONE;
        }
        let (Some(name), Some(of)) = (&role.role_name, &role.entity_type_name) else {
            return Self::UNKNOWN;
        };
        match &*plain(of) {
            "controlplanes" | "controlplane" | "runtimegroups" => of_planes(&plain(name)),
            // What they show may be of requests.
            "dashboards" => Self {
                analytics: May::Unknown,
                ..Self::NONE
            },
            "apis"
            | "apiproducts"
            | "applicationauthstrategies"
            | "auditlogs"
            | "dcrproviders"
            | "identity"
            | "meshcontrolplanes"
            | "networks"
            | "portals"
            | "servicehub" => Self::NONE,
            _ => Self::UNKNOWN,
        }
    }

    /// What the members of a team of Konnect itself may do. `None` when it is somebody's own: then its roles say it.
    pub fn of_team(team: &Team) -> Option<Self> {
        if team.system_team == Some(false) {
            return None;
        }
        let name = team.name.as_deref().map(plain).unwrap_or_default();
        let known = match &*name {
            "organizationadmin" => Self::ALL,
            "organizationadminreadonly" => Self {
                debug: May::No,
                traces: May::Unknown,
                ..Self::ALL
            },
            "analyticsadmin" | "analyticsviewer" => Self {
                analytics: May::Yes,
                ..Self::NONE
            },
            "controlplaneadmin" | "runtimeadmin" => Self {
                analytics: May::Unknown,
                ..Self::ALL
            },
            "portaladmin" | "apiproductadmin" | "apiproductdeveloper" => Self::NONE,
            _ if team.system_team == Some(true) => Self::UNKNOWN,
            _ => return None,
        };
        Some(known)
    }
}

/// What a role on control planes permits.
fn of_planes(role: &str) -> Rights {
    let reads = Rights {
        read: May::Yes,
        analytics: May::Unknown,
        ..Rights::NONE
    };
    match role {
        "admin" | "debugsessioncreator" => Rights {
            analytics: May::Unknown,
            ..Rights::ALL
        },
        "viewer" => Rights {
            traces: May::Unknown,
            ..reads
        },
        // Of those that there are it says nothing: who creates one becomes its admin.
        "creator" => Rights::NONE,
        "deployer" => Rights {
            read: May::Unknown,
            ..reads
        },
        _ => {
            let of = role.strip_suffix("admin").unwrap_or_default();
            match of.strip_prefix("gateway").unwrap_or(of) {
                "service" | "route" | "plugin" | "consumer" | "vault" | "upstream"
                | "certificate" | "key" | "sni" => reads,
                _ => Rights::UNKNOWN,
            }
        }
    }
}

/// A name without what differs between its spellings: `organization-admin`, `Organization Admin`.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str, of: &str, region: &str) -> AssignedRole {
        let role = json!({"role_name": name, "entity_type_name": of, "entity_region": region, "entity_id": "*"});
        serde_json::from_value(role).unwrap()
    }

    fn said(rights: Rights) -> String {
        let letter = |may, letter: char| match may {
            May::Yes => letter,
            May::Unknown => '?',
            May::No => '-',
        };
        [
            letter(rights.read, 'r'),
            letter(rights.analytics, 'a'),
            letter(rights.debug, 'd'),
            letter(rights.traces, 't'),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn roles_permit_what_kong_says_of_them() {
        const PLANES: &str = "Control Planes";
        for (name, of, region, wanted) in [
            ("Admin", PLANES, "*", "r?dt"),
            ("Debug Session Creator", PLANES, "eu", "r?dt"),
            ("Viewer", PLANES, "EU", "r?-?"),
            ("Deployer", PLANES, "eu", "??--"),
            ("Gateway Service Admin", PLANES, "eu", "r?--"),
            ("Consumer Admin", "Runtime Groups", "eu", "r?--"),
            ("Creator", PLANES, "*", "----"),
            ("Admin", PLANES, "us", "----"),
            ("Admin", PLANES, "mars", "r?dt"),
            ("Admin", PLANES, "", "r?dt"),
            ("Admin", "Mesh Control Planes", "*", "----"),
            ("Admin", "Identity", "*", "----"),
            ("Viewer", "Dashboards", "*", "-?--"),
            ("Time Lord", PLANES, "eu", "????"),
            ("Super Admin", PLANES, "eu", "????"),
            ("Admin", "Everything", "eu", "????"),
        ] {
            let found = Rights::of_role(&role(name, of, region), Some(Region::Eu));
            assert_eq!(said(found), wanted, "{name} of {of} in {region}");
        }
        let elsewhere = role("Admin", PLANES, "us");
        assert_eq!(said(Rights::of_role(&elsewhere, None)), "r?dt");
        assert_eq!(
            said(Rights::of_role(&AssignedRole::default(), None)),
            "????"
        );
    }

    #[test]
    fn teams_of_konnect_are_known_and_those_of_people_have_roles() {
        for (name, system, wanted) in [
            ("organization-admin", Some(true), Some("radt")),
            ("Organization Admin", None, Some("radt")),
            ("organization-admin-readonly", Some(true), Some("ra-?")),
            ("Organization Admin (Read Only)", Some(true), Some("ra-?")),
            ("analytics-viewer", Some(true), Some("-a--")),
            ("control-plane-admin", Some(true), Some("r?dt")),
            ("portal-admin", Some(true), Some("----")),
            ("something-new", Some(true), Some("????")),
            ("portal-admin", Some(false), None),
            ("ours", None, None),
        ] {
            let team = json!({"name": name, "system_team": system});
            let team: Team = serde_json::from_value(team).unwrap();
            let found = Rights::of_team(&team).map(said);
            assert_eq!(found.as_deref(), wanted, "{name}");
        }
    }

    fn any_role() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("Admin".to_owned()),
            Just("Viewer".to_owned()),
            Just("Creator".to_owned()),
            Just("Debug Session Creator".to_owned()),
            Just("Gateway Route Admin".to_owned()),
            Just("Control Planes".to_owned()),
            Just("Portals".to_owned()),
            Just("eu".to_owned()),
            Just("us".to_owned()),
            Just("*".to_owned()),
            ".{0,12}",
        ];
        let value = prop_oneof![8 => text.prop_map(Value::from), 1 => Just(Value::Null), 1 => any::<i32>().prop_map(Value::from)];
        let members = ["role_name", "entity_type_name", "entity_region", "x"];
        proptest::collection::vec((proptest::sample::select(members.to_vec()), value), 0..5)
            .prop_map(|members| {
                members
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), v))
                    .collect()
            })
    }

    proptest! {
        #[test]
        fn roles_only_ever_add(all in proptest::collection::vec(any_role(), 0..6)) {
            let roles: Vec<AssignedRole> =
                all.iter().map(|role| serde_json::from_value(role.clone()).unwrap()).collect();
            let each: Vec<Rights> =
                roles.iter().map(|role| Rights::of_role(role, Some(Region::Eu))).collect();
            let whole = each.iter().copied().fold(Rights::NONE, Rights::and);
            let backwards = each.iter().rev().copied().fold(Rights::NONE, Rights::and);
            prop_assert_eq!(whole, backwards);
            for one in &each {
                prop_assert_eq!(whole.and(*one), whole);
            }
            // Nobody may create sessions by names that Kong gives another meaning.
            let gives = |role: &AssignedRole| {
                let name = plain(role.role_name.as_deref().unwrap_or("?"));
                let of = plain(role.entity_type_name.as_deref().unwrap_or("?"));
                let is_narrow = match &*of {
                    "portals" => role.role_name.is_some(),
                    "controlplanes" => ["viewer", "creator", "gatewayrouteadmin"].contains(&&*name),
                    _ => false,
                };
                !is_narrow && role.entity_region.as_deref() != Some("us")
            };
            prop_assert_eq!(whole.debug == May::No, !roles.iter().any(gives));
        }
    }
}
