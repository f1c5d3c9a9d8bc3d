//! Quotas, pins, tokens and the audit log.

use async_trait::async_trait;
use mcp_gw_core::Secret;

use crate::error::Result;
use crate::values::{
    AuditQuery, AuditRecord, Page, PageRequest, Pin, QuotaCharge, QuotaKey, QuotaRecord,
    QuotaStanding, Retention, Revision, ServerPins, StoredEvent, Time,
};

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

    /// Notes what keys have used that are counted elsewhere: of two counts of one period the greater
    /// holds, of two periods the later one. Other keys stay as they are; what is to be forgotten is
    /// named in [`Quotas::reset_quotas`].
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
