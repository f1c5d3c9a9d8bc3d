//! Quotas, pins, tokens and the audit log.

use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;
use mcp_gw_core::Secret;

use super::{MEMORY_EVENTS, MemoryStore, State, count, expect, next};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::{AuditLog, Pins, Quotas, Tokens};
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::random::random_secret;
use crate::values::{
    AuditQuery, AuditRecord, List, Page, PageRequest, Pin, Place, QuotaCharge, QuotaKey,
    QuotaRecord, QuotaStanding, Retention, Revision, ServerPins, StoredEvent, Time,
};

#[async_trait]
impl Quotas for MemoryStore {
    async fn charge_quotas(&self, charges: &[QuotaCharge]) -> Result<Vec<QuotaStanding>> {
        check::charges(charges)?;
        let mut state = self.state();
        let known = charges.iter().map(|charge| {
            let known = state.quotas.get(&charge.key).copied();
            known
                .filter(|(_, until)| *until >= charge.until)
                .unwrap_or((0, charge.until))
        });
        let known: Vec<(u64, Time)> = known.collect();
        let pairs = || charges.iter().zip(&known);
        let all = pairs().all(|(charge, (used, _))| charge.fits(*used));
        let mut standings = Vec::with_capacity(charges.len());
        for (charge, (used, until)) in pairs() {
            let mut now = *used;
            if all && charge.cost > 0 {
                now = used.saturating_add(charge.cost);
                state.quotas.insert(charge.key, (now, *until));
            }
            standings.push(QuotaStanding::new(charge.fits(*used), now, *until));
        }
        Ok(standings)
    }

    async fn quotas(&self) -> Result<Vec<QuotaRecord>> {
        let now = self.now();
        let state = self.state();
        let records = state.quotas.iter();
        let records = records.filter(|(_, (used, until))| *used > 0 && *until > now);
        Ok(records
            .map(|(key, (used, until))| QuotaRecord::new(*key, *used, *until))
            .collect())
    }

    async fn save_quotas(&self, records: &[QuotaRecord]) -> Result<()> {
        check::records(records)?;
        let mut state = self.state();
        for record in records {
            let found = (record.until, record.used);
            let (used, until) = state.quotas.entry(record.key).or_insert((0, record.until));
            (*until, *used) = found.max((*until, *used));
        }
        Ok(())
    }

    async fn reset_quotas(&self, keys: &[QuotaKey]) -> Result<()> {
        let mut state = self.state();
        for key in keys {
            state.quotas.remove(key);
        }
        Ok(())
    }

    async fn prune_quotas(&self) -> Result<u64> {
        let now = self.now();
        let mut state = self.state();
        let before = state.quotas.len();
        state.quotas.retain(|_, (_, until)| *until > now);
        Ok(count(before.saturating_sub(state.quotas.len())))
    }
}

impl State {
    fn pins(&self, server: &str) -> Result<&ServerPins> {
        let pins = self.pins.get(server);
        pins.ok_or_else(|| StoreError::not_found(Entity::Pins, server))
    }
}

#[async_trait]
impl Pins for MemoryStore {
    async fn pins(&self, server: &str) -> Result<ServerPins> {
        self.state().pins(server).cloned()
    }

    async fn pinned_servers(&self) -> Result<Vec<String>> {
        Ok(self.state().pins.keys().cloned().collect())
    }

    async fn put_pins(
        &self,
        server: &str,
        expected: Option<Revision>,
        mut pins: Vec<Pin>,
    ) -> Result<ServerPins> {
        check::pins(server, &pins)?;
        pins.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
        let now = self.now();
        let mut state = self.state();
        let known = state.pins.get(server).map(|pins| pins.revision);
        if known != expected {
            return Err(StoreError::conflict(Conflict::Revision));
        }
        let revision = known.map_or(Revision::FIRST, Revision::next);
        let pins = ServerPins::new(server.to_owned(), pins, revision, now);
        state.pins.insert(server.to_owned(), pins.clone());
        drop(state);
        self.changed(ChangeKind::Pins);
        Ok(pins)
    }

    async fn delete_pins(&self, server: &str, expected: Option<Revision>) -> Result<()> {
        let mut state = self.state();
        expect(expected, state.pins(server)?.revision)?;
        state.pins.remove(server);
        drop(state);
        self.changed(ChangeKind::Pins);
        Ok(())
    }
}

#[async_trait]
impl Tokens for MemoryStore {
    async fn secret(&self, name: &str) -> Result<Secret<[u8; 32]>> {
        check::name("the name of the secret", name)?;
        let new = random_secret()?;
        let mut state = self.state();
        let secret = state.secrets.entry(name.to_owned()).or_insert(new);
        Ok(Secret::new(*secret))
    }

    async fn revoke_token(&self, token_id: &str, until: Time) -> Result<()> {
        check::token_id(token_id)?;
        let mut state = self.state();
        let end = state.revoked.entry(token_id.to_owned()).or_insert(until);
        *end = until.max(*end);
        drop(state);
        self.changed(ChangeKind::Tokens);
        Ok(())
    }

    async fn is_token_revoked(&self, token_id: &str) -> Result<bool> {
        Ok(self.state().revoked.contains_key(token_id))
    }

    async fn revoked_tokens(&self, page: &PageRequest) -> Result<Page<(String, Time)>> {
        let after = Place::into_text(page.place(List::Revoked)?);
        let state = self.state();
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let tokens = state.revoked.range::<String, _>(range);
        let tokens = tokens.map(|(id, until)| (id.clone(), *until));
        let tokens = tokens.take(page.limit() + 1).collect();
        Ok(Page::of(
            tokens,
            page.limit(),
            List::Revoked,
            |(id, _): &(String, Time)| Place::Text(id.clone()),
        ))
    }

    async fn prune_tokens(&self) -> Result<u64> {
        let now = self.now();
        let mut state = self.state();
        let before = state.revoked.len();
        state.revoked.retain(|_, until| *until > now);
        Ok(count(before.saturating_sub(state.revoked.len())))
    }
}

impl State {
    fn append(&mut self, record: AuditRecord) {
        if let Some(id) = record.event_id
            && !self.event_ids.insert(id)
        {
            return;
        }
        let seq = next(&mut self.last_event);
        self.events.push_back(StoredEvent::new(seq, record));
    }

    fn forget_first(&mut self) {
        let event = self.events.pop_front();
        if let Some(id) = event.and_then(|event| event.record.event_id) {
            self.event_ids.remove(&id);
        }
    }

    /// Keeps the last so many.
    fn keep(&mut self, most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let surplus = self.events.len().saturating_sub(most);
        (0..surplus).for_each(|_| self.forget_first());
        count(surplus)
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        let mut state = self.state();
        for record in records {
            state.append(record.tamed());
        }
        state.keep(MEMORY_EVENTS);
        Ok(())
    }

    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Result<Page<StoredEvent>> {
        let before = Place::number(page.place(List::Audit)?.as_ref());
        let state = self.state();
        let events = state.events.iter().rev();
        let events = events.filter(|event| before.is_none_or(|before| event.seq < before));
        let events = events.filter(|event| query.takes(&event.record));
        let events = events.take(page.limit() + 1).cloned().collect();
        Ok(Page::of(
            events,
            page.limit(),
            List::Audit,
            |event: &StoredEvent| Place::Number(event.seq),
        ))
    }

    async fn prune_audit(&self, retention: &Retention) -> Result<u64> {
        let now = self.now();
        let mut state = self.state();
        let mut pruned = 0_u64;
        if let Some(age) = retention.max_age {
            let oldest = now.before(age);
            let old: Vec<StoredEvent> = std::mem::take(&mut state.events).into();
            for event in old {
                if event.record.time >= oldest {
                    state.events.push_back(event);
                    continue;
                }
                if let Some(id) = event.record.event_id {
                    state.event_ids.remove(&id);
                }
                pruned = pruned.saturating_add(1);
            }
        }
        if let Some(most) = retention.max_events {
            pruned = pruned.saturating_add(state.keep(most));
        }
        Ok(pruned)
    }
}
