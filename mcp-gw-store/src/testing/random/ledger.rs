//! Operations on quotas, pins, tokens and the audit log.

use std::time::Duration;

use mcp_gw_core::Clock as _;

use super::{Player, expected, maybe, name};
use crate::error::Result;
use crate::values::{
    AuditQuery, AuditRecord, EventId, Pin, QuotaCharge, QuotaKey, QuotaRecord, Retention, Time,
};

impl Player<'_> {
    pub(super) async fn on_quotas(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        let key = |number: u8| QuotaKey::from_bytes([number % 3; 16]);
        let until = Time::from(self.clock.wall()).after(Duration::from_secs(u64::from(b % 3)));
        match a % 6 {
            0..=2 => {
                let charges = [
                    QuotaCharge::new(key(b), u64::from(c % 4), 5, until),
                    QuotaCharge::new(key(c), 1, u64::from(b % 8), until),
                ];
                let standings = self.store.charge_quotas(&charges).await?;
                Ok(format!("{standings:?}"))
            }
            3 => {
                let record = QuotaRecord::new(key(b), c.into(), until);
                self.store.save_quotas(&[record]).await?;
                Ok(String::new())
            }
            4 => {
                self.store.reset_quotas(&[key(b)]).await?;
                Ok(format!("{:?}", self.store.quotas().await?))
            }
            _ => {
                self.clock.advance(Duration::from_millis(u64::from(c) * 10));
                // How many rows there were is no matter: a count of 0 need not be one.
                self.store.prune_quotas().await?;
                Ok(format!("{:?}", self.store.quotas().await?))
            }
        }
    }

    pub(super) async fn on_pins(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        let mut pins: Vec<Pin> = (0..c % 4)
            .map(|number| Pin::new(name(number), name(b), name(c)))
            .collect();
        for pin in &mut pins {
            pin.definition = maybe(c);
        }
        match a % 4 {
            0 | 1 => {
                let put = self.store.put_pins(name(b), expected(c), pins).await?;
                Ok(format!("{put:?}"))
            }
            2 => {
                self.store.delete_pins(name(b), expected(c)).await?;
                Ok(format!("{:?}", self.store.pinned_servers().await?))
            }
            _ => Ok(format!("{:?}", self.store.pins(name(b)).await?)),
        }
    }

    pub(super) async fn on_tokens(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        match a % 4 {
            0 | 1 => {
                let now = Time::from(self.clock.wall());
                let until = now.after(Duration::from_secs(u64::from(c % 4)));
                self.store.revoke_token(name(b), until).await?;
                Ok(String::new())
            }
            2 => {
                let page = self.store.revoked_tokens(&self.page(c)).await?;
                Ok(self.shown(page, |_, token| format!("{token:?}")))
            }
            _ => {
                self.clock.advance(Duration::from_millis(u64::from(c) * 10));
                let pruned = self.store.prune_tokens().await?;
                let revoked = self.store.is_token_revoked(name(b)).await?;
                Ok(format!("{pruned} {revoked}"))
            }
        }
    }

    pub(super) async fn on_audit(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        match a % 5 {
            0..=2 => {
                let now = Time::from(self.clock.wall());
                let records = (0..c % 4).map(|number| {
                    let mut record = AuditRecord::new(now, name(b), name(c), "ok");
                    record.name = maybe(number);
                    let twice = b.is_multiple_of(3);
                    record.event_id = twice.then(|| EventId::from_bytes([c; 16]));
                    record
                });
                self.store.append_audit(records.collect()).await?;
                Ok(String::new())
            }
            3 => {
                let mut query = AuditQuery::new();
                query.caller_id = maybe(b);
                query.name = maybe(c / 2);
                let page = self.store.audit(&query, &self.page(c)).await?;
                Ok(self.shown(page, |_, event| format!("{:?}", event.record)))
            }
            _ => {
                self.clock.advance(Duration::from_millis(u64::from(b) * 10));
                let mut retention = Retention::of_count(u64::from(c % 8));
                retention.max_age = maybe(c).map(|_| Duration::from_secs(u64::from(b % 8)));
                let pruned = self.store.prune_audit(&retention).await?;
                Ok(format!("{pruned}"))
            }
        }
    }
}
