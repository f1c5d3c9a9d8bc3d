//! The schema: versions, one after the other, each in a transaction of its own.

use super::database::{Database, Transaction};
use super::row::Query;
use crate::error::{Result, StoreError};
use crate::values::Time;

/// The version of the schema that this program works with.
pub(crate) const LATEST: i64 = 2;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS gw_schema \
    (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)";

/// Brings the schema to version `to`, whatever it is before. Several processes may do so at once:
/// one does it and the others find it done.
///
/// # Errors
/// When the schema is of a later program, or cannot be changed; then it is of a whole version.
pub(crate) async fn migrate(database: &dyn Database, now: Time, to: i64) -> Result<()> {
    loop {
        let mut transaction = database.begin_migration().await?;
        transaction.script(TABLE).await?;
        let found = version(&mut *transaction).await?;
        if found > LATEST {
            return Err(StoreError::TooNew {
                found,
                known: LATEST,
            });
        }
        if found >= to {
            return transaction.commit().await;
        }
        let index = usize::try_from(found).unwrap_or(usize::MAX);
        let script = database.migrations().get(index).copied();
        let script = script.ok_or_else(|| {
            StoreError::damaged(format!("there is no way on from schema version {found}"))
        })?;
        transaction.script(script).await?;
        let query = Query::new("INSERT INTO gw_schema (version, applied_at) VALUES ($1, $2)");
        let query = query.int(found.saturating_add(1)).time(now);
        transaction.execute(&query).await?;
        transaction.commit().await?;
        tracing::info!(
            target: "mcp_gw::store",
            version = found.saturating_add(1),
            database = database.kind().as_str(),
            "the schema of the database was brought to this version"
        );
    }
}

async fn version(transaction: &mut dyn Transaction) -> Result<i64> {
    let query = Query::new("SELECT MAX(version) FROM gw_schema");
    let rows = transaction.ask(&query).await?;
    let row = rows.into_iter().next();
    let found = row.map(|row| row.reader().maybe_int()).transpose()?;
    Ok(found.flatten().unwrap_or(0))
}
