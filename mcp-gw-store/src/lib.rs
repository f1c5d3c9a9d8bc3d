#![doc = include_str!("../README.md")]

mod changes;
mod check;
mod contract;
mod error;
mod last_used;
mod memory;
mod open;
mod random;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod values;
mod writer;

pub use changes::{ChangeKind, ChangeSet, Changes};
pub use contract::{
    AuditLog, Counts, Keys, Pins, Quotas, Servers, Store, StoreKind, Tokens, Users,
};
pub use error::{Conflict, Entity, Result, StoreError};
pub use last_used::LastUsed;
pub use memory::{MEMORY_EVENTS, MemoryStore};
pub use open::{DatabaseUrl, StoreOptions, open};
pub use values::{
    ApiKey, AuditQuery, AuditRecord, Cursor, Edit, EnvVars, EventId, Health, HostKind, Instance,
    InstanceFilter, InstanceSpec, KeyChange, KeyFilter, KeyHolder, KeyId, LoadBalancer, MAX_PAGE,
    NewInstance, NewKey, NewTemplate, NewUser, Page, PageRequest, PasswordHash, Pin, QuotaCharge,
    QuotaKey, QuotaRecord, QuotaStanding, Retention, Revision, SecretHash, ServerPins,
    ServerStatus, ServerTransport, StoredEvent, Strategy, Template, TemplateChange, Time, User,
    UserChange, UserFilter, UserId,
};
pub use writer::{AuditWriter, AuditWriterOptions, AuditWriterStats};
