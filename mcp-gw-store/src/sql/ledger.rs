//! Quotas, pins and tokens.

use async_trait::async_trait;
use mcp_gw_core::Secret;

use super::row::{Query, Reader, Row};
use super::{SqlStore, Write};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::{Pins, Quotas, Tokens};
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::random::random_secret;
use crate::values::{
    List, Page, PageRequest, Pin, Place, QuotaCharge, QuotaKey, QuotaRecord, QuotaStanding,
    Revision, ServerPins, Time,
};

/// Holds the count of a key, which begins anew in another period.
const HOLD_QUOTA: &str = "INSERT INTO gw_quotas (quota, used, until) VALUES ($1, 0, $2) \
    ON CONFLICT (quota) DO UPDATE SET \
    used = CASE WHEN gw_quotas.until < excluded.until THEN 0 ELSE gw_quotas.used END, \
    until = CASE WHEN gw_quotas.until < excluded.until THEN excluded.until \
    ELSE gw_quotas.until END RETURNING used, until";
const LOOK_QUOTA: &str = "SELECT used, until FROM gw_quotas WHERE quota = $1 AND until >= $2";
const PUT_QUOTA: &str = "UPDATE gw_quotas SET used = $2 WHERE quota = $1";
/// Of two counts of one period the greater holds, of two periods the later one.
const NOTE_QUOTA: &str = "INSERT INTO gw_quotas (quota, used, until) VALUES ($1, $2, $3) \
    ON CONFLICT (quota) DO UPDATE SET used = excluded.used, until = excluded.until \
    WHERE gw_quotas.until < excluded.until \
    OR (gw_quotas.until = excluded.until AND gw_quotas.used < excluded.used)";
const QUOTAS: &str =
    "SELECT quota, used, until FROM gw_quotas WHERE used > 0 AND until > $1 ORDER BY quota";

impl Write<'_> {
    /// What is used of a quota in the period of now, and when that ends. What is to be charged is
    /// held; what is only looked at stays as it is.
    async fn used(&mut self, charge: &QuotaCharge) -> Result<(u64, Time)> {
        let sql = if charge.cost > 0 {
            HOLD_QUOTA
        } else {
            LOOK_QUOTA
        };
        let query = Query::new(sql).bytes(charge.key.as_bytes());
        let row = self.ask_one(query.time(charge.until)).await?;
        let found = row.map(|row| {
            let mut row = row.reader();
            Ok::<_, StoreError>((row.count()?, row.time()?))
        });
        Ok(found.transpose()?.unwrap_or((0, charge.until)))
    }
}

#[async_trait]
impl Quotas for SqlStore {
    async fn charge_quotas(&self, charges: &[QuotaCharge]) -> Result<Vec<QuotaStanding>> {
        check::charges(charges)?;
        // Always in the same order, or two processes could wait for each other.
        let mut order: Vec<(usize, &QuotaCharge)> = charges.iter().enumerate().collect();
        order.sort_by_key(|(_, charge)| charge.key);
        let mut write = self.begin().await?;
        let mut standings = Vec::with_capacity(charges.len());
        for (index, charge) in &order {
            let (used, until) = write.used(charge).await?;
            let standing = QuotaStanding::new(charge.fits(used), used, until);
            standings.push((*index, standing));
        }
        if standings.iter().all(|(_, standing)| standing.admitted) {
            let pairs = order.iter().zip(&mut standings);
            for ((_, charge), (_, standing)) in pairs.filter(|((_, it), _)| it.cost > 0) {
                standing.used = standing.used.saturating_add(charge.cost);
                let put = Query::new(PUT_QUOTA).bytes(charge.key.as_bytes());
                write.execute(put.int(check::count(standing.used)?)).await?;
            }
            write.commit().await?;
        }
        standings.sort_by_key(|(index, _)| *index);
        Ok(standings.into_iter().map(|(_, it)| it).collect())
    }

    async fn quotas(&self) -> Result<Vec<QuotaRecord>> {
        let rows = self.read(Query::new(QUOTAS).time(self.now())).await?;
        let records = rows.into_iter().map(|row| {
            let mut row = row.reader();
            let key = QuotaKey::from_bytes(row.bytes()?);
            Ok(QuotaRecord::new(key, row.count()?, row.time()?))
        });
        records.collect()
    }

    async fn save_quotas(&self, records: &[QuotaRecord]) -> Result<()> {
        check::records(records)?;
        // Always in the same order, or two processes could wait for each other.
        let mut records = records.to_vec();
        records.sort_unstable_by_key(|record| record.key);
        let mut write = self.begin().await?;
        for record in records {
            let query = Query::new(NOTE_QUOTA).bytes(record.key.as_bytes());
            let query = query.int(check::count(record.used)?).time(record.until);
            write.execute(query).await?;
        }
        write.commit().await
    }

    async fn reset_quotas(&self, keys: &[QuotaKey]) -> Result<()> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        let mut write = self.begin().await?;
        for key in keys {
            let query = Query::new("DELETE FROM gw_quotas WHERE quota = $1");
            write.execute(query.bytes(key.as_bytes())).await?;
        }
        write.commit().await
    }

    async fn prune_quotas(&self) -> Result<u64> {
        let query = Query::new("DELETE FROM gw_quotas WHERE until <= $1");
        self.execute(query.time(self.now())).await
    }
}

/// What is pinned, in one statement, so that it is of one moment.
const PINS: &str = "SELECT s.revision, s.updated_at, p.kind, p.name, p.digest, p.definition \
    FROM gw_pin_sets s LEFT JOIN gw_pins p ON p.server = s.server \
    WHERE s.server = $1 ORDER BY p.kind, p.name";
const ADD_PIN_SET: &str = "INSERT INTO gw_pin_sets (server, revision, updated_at) \
    VALUES ($1, 1, $2) ON CONFLICT (server) DO NOTHING";
const PUT_PIN_SET: &str = "UPDATE gw_pin_sets SET revision = revision + 1, updated_at = $3 \
    WHERE server = $1 AND revision = $2";
const ADD_PIN: &str = "INSERT INTO gw_pins (server, kind, name, digest, definition) \
    VALUES ($1, $2, $3, $4, $5)";

/// The pin of a row of [`PINS`]; `None` where there is a set without pins.
fn read_pin(row: &mut Reader) -> Result<Option<Pin>> {
    let Some(kind) = row.maybe_text()? else {
        return Ok(None);
    };
    let mut pin = Pin::new(kind, row.text()?, row.text()?);
    pin.definition = row.maybe_text()?;
    Ok(Some(pin))
}

impl Write<'_> {
    async fn add_pins(&mut self, server: &str, pins: &[Pin]) -> Result<()> {
        for pin in pins {
            let query = Query::new(ADD_PIN)
                .text(server)
                .text(&*pin.kind)
                .text(&*pin.name)
                .text(&*pin.digest)
                .maybe_text(pin.definition.as_deref());
            self.execute(query).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Pins for SqlStore {
    async fn pins(&self, server: &str) -> Result<ServerPins> {
        let missing = || StoreError::not_found(Entity::Pins, server);
        if !check::is_name(server) {
            return Err(missing());
        }
        let mut found = None;
        let mut pins = Vec::new();
        for row in self.read(Query::new(PINS).text(server)).await? {
            let mut row = row.reader();
            found = Some((row.revision()?, row.time()?));
            pins.extend(read_pin(&mut row)?);
        }
        let (revision, updated_at) = found.ok_or_else(missing)?;
        let server = server.to_owned();
        Ok(ServerPins::new(server, pins, revision, updated_at))
    }

    async fn pinned_servers(&self) -> Result<Vec<String>> {
        let query = Query::new("SELECT server FROM gw_pin_sets ORDER BY server");
        let rows = self.read(query).await?;
        rows.into_iter().map(|row| row.reader().text()).collect()
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
        let mut write = self.begin().await?;
        let (query, revision) = match expected {
            None => (Query::new(ADD_PIN_SET).text(server), Revision::FIRST),
            Some(old) => {
                let query = Query::new(PUT_PIN_SET).text(server).int(old.get());
                (query, old.next())
            }
        };
        if write.execute(query.time(now)).await? == 0 {
            return Err(StoreError::conflict(Conflict::Revision));
        }
        let clear = Query::new("DELETE FROM gw_pins WHERE server = $1");
        write.execute(clear.text(server)).await?;
        write.add_pins(server, &pins).await?;
        write.changed(ChangeKind::Pins);
        write.commit().await?;
        Ok(ServerPins::new(server.to_owned(), pins, revision, now))
    }

    async fn delete_pins(&self, server: &str, expected: Option<Revision>) -> Result<()> {
        let missing = StoreError::not_found(Entity::Pins, server);
        if !check::is_name(server) {
            return Err(missing);
        }
        let mut write = self.begin().await?;
        let query = Query::new("DELETE FROM gw_pin_sets WHERE server = $1").text(server);
        write.delete(query, expected, missing).await?;
        write.changed(ChangeKind::Pins);
        write.commit().await
    }
}

const SECRET: &str = "SELECT secret FROM gw_secrets WHERE name = $1";
const ADD_SECRET: &str =
    "INSERT INTO gw_secrets (name, secret) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const REVOKE: &str = "INSERT INTO gw_revoked (token_id, until) VALUES ($1, $2) \
    ON CONFLICT (token_id) DO UPDATE SET until = CASE WHEN gw_revoked.until < excluded.until \
    THEN excluded.until ELSE gw_revoked.until END";
const REVOKED: &str = "SELECT token_id FROM gw_revoked WHERE token_id = $1";

fn read_secret(row: Option<Row>) -> Result<Option<Secret<[u8; 32]>>> {
    row.map(|row| row.reader().bytes().map(Secret::new))
        .transpose()
}

#[async_trait]
impl Tokens for SqlStore {
    async fn secret(&self, name: &str) -> Result<Secret<[u8; 32]>> {
        check::name("the name of the secret", name)?;
        let query = Query::new(SECRET).text(name);
        if let Some(secret) = read_secret(self.read_one(query.clone()).await?)? {
            return Ok(secret);
        }
        let add = Query::new(ADD_SECRET).text(name).bytes(&random_secret()?);
        // Whoever is first has made it; what is kept is read back.
        self.execute(add).await?;
        let secret = read_secret(self.read_one(query).await?)?;
        secret.ok_or_else(|| StoreError::damaged("a secret that was stored is not there"))
    }

    async fn revoke_token(&self, token_id: &str, until: Time) -> Result<()> {
        check::token_id(token_id)?;
        let mut write = self.begin().await?;
        let query = Query::new(REVOKE).text(token_id).time(until);
        write.execute(query).await?;
        write.changed(ChangeKind::Tokens);
        write.commit().await
    }

    async fn is_token_revoked(&self, token_id: &str) -> Result<bool> {
        if !check::is_name(token_id) {
            return Ok(false);
        }
        let row = self.read_one(Query::new(REVOKED).text(token_id)).await?;
        Ok(row.is_some())
    }

    async fn revoked_tokens(&self, page: &PageRequest) -> Result<Page<(String, Time)>> {
        let mut query = Query::new("SELECT token_id, until FROM gw_revoked");
        if let Some(after) = Place::into_text(page.place(List::Revoked)?) {
            query = query.narrow("token_id > {}").text(after);
        }
        query.push(" ORDER BY token_id");
        let rows = self.read(query.at_most(page.limit())).await?;
        let tokens = rows.into_iter().map(|row| {
            let mut row = row.reader();
            Ok((row.text()?, row.time()?))
        });
        let tokens = tokens.collect::<Result<_>>()?;
        Ok(Page::of(
            tokens,
            page.limit(),
            List::Revoked,
            |(id, _): &(String, Time)| Place::Text(id.clone()),
        ))
    }

    async fn prune_tokens(&self) -> Result<u64> {
        let query = Query::new("DELETE FROM gw_revoked WHERE until <= $1");
        self.execute(query.time(self.now())).await
    }
}
