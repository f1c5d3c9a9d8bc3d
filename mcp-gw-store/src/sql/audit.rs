//! The audit log.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::RawJson;

use super::SqlStore;
use super::row::{Query, Reader};
use crate::contract::AuditLog;
use crate::error::Result;
use crate::values::{
    AuditQuery, AuditRecord, EventId, List, Page, PageRequest, Place, Retention, StoredEvent, Time,
};

/// The columns of [`read`] and [`put`], without the number.
macro_rules! columns {
    () => {
        "event_id, time, duration_us, request_id, transport, client_addr, protocol_version, \
         caller_id, caller_kind, method, name, server, effect, reason, reasons, policy_version, \
         outcome, error, backend_asked, request_bytes, response_bytes, details"
    };
}

/// How many columns that are.
const WIDTH: usize = 22;
/// So many events are written by one statement.
const ROWS: usize = 32;
/// So many events are deleted by one statement.
const STEP: u64 = 2_000;

const EVENTS: &str = concat!("SELECT seq, ", columns!(), " FROM gw_audit");
const OLD: &str = "DELETE FROM gw_audit WHERE seq IN \
    (SELECT seq FROM gw_audit WHERE time < $1 ORDER BY time LIMIT $2)";
const SURPLUS: &str = "DELETE FROM gw_audit WHERE seq IN \
    (SELECT seq FROM gw_audit WHERE seq <= $1 ORDER BY seq LIMIT $2)";
/// The last event that is too much when so many are kept.
const LAST_SURPLUS: &str = "SELECT seq FROM gw_audit ORDER BY seq DESC LIMIT 1 OFFSET $1";

fn read(row: &mut Reader) -> Result<StoredEvent> {
    let seq = row.int()?;
    let record = AuditRecord {
        event_id: row.maybe_bytes()?.map(EventId::from_bytes),
        time: row.time()?,
        duration: Duration::from_micros(row.count()?),
        request_id: row.text()?,
        transport: row.text()?,
        client_addr: row.maybe_text()?,
        protocol_version: row.maybe_text()?,
        caller_id: row.text()?,
        caller_kind: row.text()?,
        method: row.text()?,
        name: row.maybe_text()?,
        server: row.maybe_text()?,
        effect: row.maybe_text()?,
        reason: row.maybe_text()?,
        reasons: row.list()?,
        policy_version: row.maybe_text()?,
        outcome: row.text()?,
        error: row.maybe_text()?,
        backend_asked: row.flag()?,
        request_bytes: row.count()?,
        response_bytes: row.count()?,
        details: row.maybe_json()?,
    };
    Ok(StoredEvent::new(seq, record))
}

/// As far as a database can count.
fn int(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn put(query: Query<'static>, record: &AuditRecord) -> Query<'static> {
    let id = record.event_id.as_ref();
    query
        .maybe_bytes(id.map(|id| id.as_bytes().as_slice()))
        .time(record.time)
        .int(int(record.duration.as_micros()))
        .text(&*record.request_id)
        .text(&*record.transport)
        .maybe_text(record.client_addr.as_deref())
        .maybe_text(record.protocol_version.as_deref())
        .text(&*record.caller_id)
        .text(&*record.caller_kind)
        .text(&*record.method)
        .maybe_text(record.name.as_deref())
        .maybe_text(record.server.as_deref())
        .maybe_text(record.effect.as_deref())
        .maybe_text(record.reason.as_deref())
        .list(&record.reasons)
        .maybe_text(record.policy_version.as_deref())
        .text(&*record.outcome)
        .maybe_text(record.error.as_deref())
        .flag(record.backend_asked)
        .int(int(record.request_bytes))
        .int(int(record.response_bytes))
        .maybe_text(record.details.as_ref().map(RawJson::as_str))
}

/// The statement that adds so many events.
fn add(rows: usize) -> String {
    let mut sql = concat!("INSERT INTO gw_audit (", columns!(), ") VALUES ").to_owned();
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=WIDTH {
            let comma = if column == 1 { "" } else { ", " };
            let _ = write!(sql, "{comma}${}", row * WIDTH + column);
        }
        sql.push(')');
    }
    sql.push_str(" ON CONFLICT (event_id) DO NOTHING");
    sql
}

impl SqlStore {
    /// Deletes in steps what the statement deletes.
    async fn delete_in_steps(&self, sql: &'static str, number: i64) -> Result<u64> {
        let mut deleted = 0_u64;
        loop {
            let query = Query::new(sql).int(number).int(int(STEP));
            let step = self.execute(query).await?;
            deleted = deleted.saturating_add(step);
            if step < STEP {
                return Ok(deleted);
            }
        }
    }
}

#[async_trait]
impl AuditLog for SqlStore {
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let records: Vec<_> = records.into_iter().map(AuditRecord::tamed).collect();
        let mut write = self.begin().await?;
        for records in records.chunks(ROWS) {
            let query = Query::new(add(records.len()));
            write.execute(records.iter().fold(query, put)).await?;
        }
        write.commit().await
    }

    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Result<Page<StoredEvent>> {
        let mut ask = Query::new(EVENTS);
        if let Some(before) = Place::number(page.place(List::Audit)?.as_ref()) {
            ask = ask.narrow("seq < {}").int(before);
        }
        if let Some(from) = query.from {
            ask = ask.narrow("time >= {}").time(from);
        }
        if let Some(to) = query.to {
            ask = ask.narrow("time < {}").time(to);
        }
        for (column, wanted) in query.texts() {
            if wanted.contains('\0') {
                return Ok(Page::empty());
            }
            ask = ask.narrow(&format!("{column} = {{}}")).text(wanted);
        }
        ask.push(" ORDER BY seq DESC");
        let rows = self.read(ask.at_most(page.limit())).await?;
        let events = rows.into_iter().map(|row| read(&mut row.reader()));
        let events = events.collect::<Result<_>>()?;
        Ok(Page::of(
            events,
            page.limit(),
            List::Audit,
            |event: &StoredEvent| Place::Number(event.seq),
        ))
    }

    async fn prune_audit(&self, retention: &Retention) -> Result<u64> {
        let mut deleted = 0_u64;
        if let Some(age) = retention.max_age {
            let oldest: Time = self.now().before(age);
            deleted = self.delete_in_steps(OLD, oldest.as_micros()).await?;
        }
        if let Some(most) = retention.max_events {
            let query = Query::new(LAST_SURPLUS).int(int(most));
            if let Some(row) = self.read_one(query).await? {
                let last = row.reader().int()?;
                deleted = deleted.saturating_add(self.delete_in_steps(SURPLUS, last).await?);
            }
        }
        Ok(deleted)
    }
}
