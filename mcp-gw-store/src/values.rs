//! What is stored, as values.

mod audit;
mod key;
mod page;
mod pin;
mod quota;
mod server;
mod template;
mod time;
mod user;

pub use audit::{AuditQuery, AuditRecord, EventId, Retention, StoredEvent};
pub use key::{ApiKey, KeyChange, KeyFilter, KeyHolder, KeyId, NewKey, SecretHash};
pub use page::{Cursor, MAX_PAGE, Page, PageRequest};
pub(crate) use page::{List, Place};
pub use pin::{Pin, ServerPins};
pub use quota::{QuotaCharge, QuotaKey, QuotaRecord, QuotaStanding};
pub use server::{
    EnvVars, Health, HostKind, Instance, InstanceFilter, InstanceSpec, NewInstance, ServerStatus,
    ServerTransport,
};
pub use template::{LoadBalancer, NewTemplate, Strategy, Template, TemplateChange};
pub use time::Time;
pub use user::{NewUser, PasswordHash, User, UserChange, UserFilter, UserId};

/// How often something was changed: whoever says which revision it has read does not overwrite what
/// somebody else wrote meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(i64);

impl Revision {
    /// The revision of this number; the first is 1.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }

    pub(crate) const FIRST: Self = Self(1);

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a change does to one member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a member stays or is set; there is no third"
)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes this.
    Set(T),
}

impl<T> Edit<T> {
    /// Sets `member`, if there is anything to set.
    pub(crate) fn apply(self, member: &mut T) {
        if let Self::Set(value) = self {
            *member = value;
        }
    }

    /// What is set.
    pub(crate) const fn as_set(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<T> for Edit<T> {
    fn from(value: T) -> Self {
        Self::Set(value)
    }
}

/// A number that names a row: given out once, never again.
macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The id with this number.
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
use row_id;

/// An enum whose variants have a name each, in JSON and in the database.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$says])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use named;
