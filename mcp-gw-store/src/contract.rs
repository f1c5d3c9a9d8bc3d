//! What a store does, whatever it keeps things in.

use std::fmt;

use async_trait::async_trait;
use mcp_gw_core::Secret;

use crate::changes::Changes;
use crate::error::Result;
use crate::values::{
    ApiKey, AuditQuery, AuditRecord, Health, Instance, InstanceFilter, InstanceSpec, KeyChange,
    KeyFilter, KeyHolder, KeyId, NewInstance, NewKey, NewTemplate, NewUser, Page, PageRequest, Pin,
    QuotaCharge, QuotaKey, QuotaRecord, QuotaStanding, Retention, Revision, ServerPins,
    StoredEvent, Template, TemplateChange, Time, User, UserChange, UserFilter, UserId,
};

/// Users. Lists are in the order of creation.
///
/// In all traits of this crate, `expected` is the revision that the caller has read, or `None` to
/// write whatever there is; with another revision than that it is a [`Conflict::Revision`].
///
/// [`Conflict::Revision`]: crate::Conflict::Revision
#[async_trait]
pub trait Users {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Conflict::Username`](crate::Conflict::Username) when the name is taken, in any case.
    async fn create_user(&self, user: NewUser) -> Result<User>;

    /// The user with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn user(&self, id: UserId) -> Result<User>;

    /// The user with this name, in any case.
    ///
    /// # Errors
    /// When there is none.
    async fn user_by_name(&self, username: &str) -> Result<User>;

    /// Users that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>>;

    /// Changes a user, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, the name is taken, or the revision is another one.
    async fn update_user(
        &self,
        id: UserId,
        expected: Option<Revision>,
        change: UserChange,
    ) -> Result<User>;

    /// Deletes a user with all keys of it.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn delete_user(&self, id: UserId, expected: Option<Revision>) -> Result<()>;
}

/// API keys. Lists are in the order of creation.
#[async_trait]
pub trait Keys {
    /// Creates a key.
    ///
    /// # Errors
    /// When there is no such user, or [`Conflict::KeyId`](crate::Conflict::KeyId) when the public id
    /// is taken.
    async fn create_key(&self, key: NewKey) -> Result<ApiKey>;

    /// The key with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn key(&self, id: KeyId) -> Result<ApiKey>;

    /// The key with this public id, and its user, from one moment. Whether the secret matches, and
    /// either is active, is for the caller to see.
    ///
    /// # Errors
    /// When there is none.
    async fn key_holder(&self, public_id: &str) -> Result<KeyHolder>;

    /// Keys that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn keys(&self, filter: &KeyFilter, page: &PageRequest) -> Result<Page<ApiKey>>;

    /// Changes a key, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, the public id is taken, or the revision is another one.
    async fn update_key(
        &self,
        id: KeyId,
        expected: Option<Revision>,
        change: KeyChange,
    ) -> Result<ApiKey>;

    /// Revokes a key for good, and returns it. A key that is revoked stays as it is, with the time
    /// of the first revocation.
    ///
    /// # Errors
    /// When there is none.
    async fn revoke_key(&self, id: KeyId) -> Result<ApiKey>;

    /// Deletes a key.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn delete_key(&self, id: KeyId, expected: Option<Revision>) -> Result<()>;

    /// Notes when keys were used, unless a later use is known. Keys that are gone are passed over.
    /// This is no change of a key. [`LastUsed`](crate::LastUsed) collects uses for it.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn touch_keys(&self, uses: &[(KeyId, Time)]) -> Result<()>;
}

/// Templates and instances. Templates are listed by name (by their bytes), instances in the order of
/// creation.
#[async_trait]
pub trait Servers {
    /// Creates a template.
    ///
    /// # Errors
    /// [`Conflict::Template`](crate::Conflict::Template) when there is one of this name.
    async fn create_template(&self, template: NewTemplate) -> Result<Template>;

    /// The template of this name.
    ///
    /// # Errors
    /// When there is none.
    async fn template(&self, name: &str) -> Result<Template>;

    /// All templates.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn templates(&self, page: &PageRequest) -> Result<Page<Template>>;

    /// Changes a template, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn update_template(
        &self,
        name: &str,
        expected: Option<Revision>,
        change: TemplateChange,
    ) -> Result<Template>;

    /// Deletes a template without instances.
    ///
    /// # Errors
    /// When there is none, the revision is another one, or
    /// [`Conflict::InUse`](crate::Conflict::InUse) when it has instances.
    async fn delete_template(&self, name: &str, expected: Option<Revision>) -> Result<()>;

    /// Creates an instance, and its template where there is none.
    ///
    /// # Errors
    /// [`Conflict::Instance`](crate::Conflict::Instance) when there is one with this id.
    async fn create_instance(&self, instance: NewInstance) -> Result<Instance>;

    /// Creates an instance, or puts it in the place of the one with its id, which keeps its time of
    /// creation and its place in lists. Creates its template where there is none.
    ///
    /// # Errors
    /// When the store cannot be used, or takes no such value.
    async fn put_instance(&self, instance: NewInstance) -> Result<Instance>;

    /// The instance with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn instance(&self, id: &str) -> Result<Instance>;

    /// Instances that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn instances(
        &self,
        filter: &InstanceFilter,
        page: &PageRequest,
    ) -> Result<Page<Instance>>;

    /// Gives an instance another description, and returns it as it is then. Its health stays.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn update_instance(
        &self,
        id: &str,
        expected: Option<Revision>,
        spec: InstanceSpec,
    ) -> Result<Instance>;

    /// Notes how an instance is. Its revision stays.
    ///
    /// # Errors
    /// When there is none.
    async fn set_health(&self, id: &str, health: Health) -> Result<()>;

    /// Deletes an instance. Its template stays.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn delete_instance(&self, id: &str, expected: Option<Revision>) -> Result<()>;
}

/// What was used of quotas by the calendar.
#[async_trait]
pub trait Quotas {
    /// Charges all quotas if each has room, and otherwise none, in one step that nobody sees part
    /// of; tells for each, in their order, where it stands afterwards.
    ///
    /// # Errors
    /// When a key occurs twice, or a number is above `i64::MAX`.
    async fn charge_quotas(&self, charges: &[QuotaCharge]) -> Result<Vec<QuotaStanding>>;

    /// All records whose period has not ended, by key.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn quotas(&self) -> Result<Vec<QuotaRecord>>;

    /// Puts these in the place of all that there are.
    ///
    /// # Errors
    /// When a key occurs twice or a number is above `i64::MAX`; then all stays as it was.
    async fn save_quotas(&self, records: &[QuotaRecord]) -> Result<()>;

    /// Forgets what these keys have used.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn reset_quotas(&self, keys: &[QuotaKey]) -> Result<()>;

    /// Deletes records whose period has ended, and says how many.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn prune_quotas(&self) -> Result<u64>;
}

/// What servers offered when they were trusted.
#[async_trait]
pub trait Pins {
    /// What is pinned of a server.
    ///
    /// # Errors
    /// When nothing was ever pinned of it.
    async fn pins(&self, server: &str) -> Result<ServerPins>;

    /// All servers of which something is pinned, by the bytes of their names.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn pinned_servers(&self) -> Result<Vec<String>>;

    /// Puts these in the place of all pins of a server: those of `expected`, or none. `None` means
    /// that there must not be any yet.
    ///
    /// # Errors
    /// [`Conflict::Revision`](crate::Conflict::Revision) when there are others than expected; when a
    /// kind and name occur twice.
    async fn put_pins(
        &self,
        server: &str,
        expected: Option<Revision>,
        pins: Vec<Pin>,
    ) -> Result<ServerPins>;

    /// Forgets what is pinned of a server.
    ///
    /// # Errors
    /// When there is nothing, or the revision is another one.
    async fn delete_pins(&self, server: &str, expected: Option<Revision>) -> Result<()>;
}

/// What it takes to sign tokens, and to take them back.
#[async_trait]
pub trait Tokens {
    /// The secret of this name: 32 random bytes that are made when they are first asked for. Whoever
    /// asks gets the same, in any process.
    ///
    /// # Errors
    /// When there is no randomness, or the store cannot be used.
    async fn secret(&self, name: &str) -> Result<Secret<[u8; 32]>>;

    /// Revokes the token with this id, which is good until `until` otherwise. Of two ends the later
    /// holds.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn revoke_token(&self, token_id: &str, until: Time) -> Result<()>;

    /// True when this token is revoked.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn is_token_revoked(&self, token_id: &str) -> Result<bool>;

    /// Ids and ends of all tokens that are revoked and not yet pruned, by the bytes of their ids.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn revoked_tokens(&self, page: &PageRequest) -> Result<Page<(String, Time)>>;

    /// Forgets revocations of tokens that have ended, and says how many.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn prune_tokens(&self) -> Result<u64>;
}

/// The audit log: events are added, and deleted when they are old, never changed.
#[async_trait]
pub trait AuditLog {
    /// Adds events, all or none. Those with an id that is there already are passed over.
    ///
    /// When this returns, they are kept. [`AuditWriter`](crate::AuditWriter) collects events for it.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()>;

    /// Events that the query takes, the last stored first.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Result<Page<StoredEvent>>;

    /// Deletes what need not be kept any longer, and says how many events that were. Done in steps,
    /// so that nobody waits long for it.
    ///
    /// # Errors
    /// When the store cannot be used; some may be deleted by then.
    async fn prune_audit(&self, retention: &Retention) -> Result<u64>;
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Users that are administrators and may log in.
    pub active_superusers: u64,
    /// API keys.
    pub keys: u64,
    /// Templates.
    pub templates: u64,
    /// Instances.
    pub instances: u64,
    /// Instances that are active and healthy.
    pub healthy_instances: u64,
}

/// What a store keeps things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// The memory of this process.
    Memory,
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl StoreKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Durable state of a gateway.
///
/// A write that has returned is kept, whatever becomes of the process; one that failed was not made,
/// unless [`StoreError::is_uncertain`](crate::StoreError::is_uncertain). Each method is one step:
/// nobody sees part of it. Dropping its future gives it up: it is then made whole or not at all.
///
/// All methods refuse values that some database would not take: see `Limits` in the README.
#[async_trait]
pub trait Store:
    Users + Keys + Servers + Quotas + Pins + Tokens + AuditLog + fmt::Debug + Send + Sync + 'static
{
    /// What it keeps things in.
    fn kind(&self) -> StoreKind;

    /// True when several processes can use the same state, so that it may change without this one.
    fn is_shared(&self) -> bool;

    /// Tells of changes from now on, whoever makes them.
    fn changes(&self) -> Changes;

    /// How many there are.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn counts(&self) -> Result<Counts>;

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When there is none.
    async fn check(&self) -> Result<()>;

    /// Ends connections. What is asked for afterwards fails, but for stores in memory.
    async fn close(&self);
}
