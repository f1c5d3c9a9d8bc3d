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
    let mut is_new = false;
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
            transaction.commit().await?;
            if is_new {
                beside(database).await;
            }
            return Ok(());
        }
        is_new |= found == 0;
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

/// Tables of mcp-platform, which kept its own in a database of the same name.
const FORMER: [&str; 5] = [
    "api_keys",
    "load_balancer_configs",
    "server_instances",
    "server_templates",
    "users",
];

/// Says that tables of mcp-platform are not read: who starts this program beside them may wait for their users.
async fn beside(database: &dyn Database) {
    // What cannot be seen is not spoken of.
    let rows = database.read(&Query::new(database.tables())).await;
    let names = rows.into_iter().flatten();
    let names = names.filter_map(|row| row.reader().text().ok());
    let found: Vec<String> = names.filter(|name| FORMER.contains(&&**name)).collect();
    if found.len() == FORMER.len() {
        tracing::warn!(
            target: "mcp_gw::store",
            tables = found.join(", "),
            "the database has tables of mcp-platform; they are left as they are and not read: \
             make its users, keys and servers again, and drop these tables when nothing needs them"
        );
    }
}
