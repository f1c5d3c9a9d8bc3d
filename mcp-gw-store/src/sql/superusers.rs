//! The administrators that there are: one stays.

use super::Write;
use super::fault::Fault;
use super::row::Query;
use crate::values::UserId;

/// Always in the same order, or two processes that hold them could wait for each other.
const SUPERUSERS: &str =
    "SELECT u.id FROM gw_users u WHERE u.is_active = 1 AND u.is_superuser = 1 ORDER BY u.id";

impl Write<'_> {
    /// Whether no other user than this one is an active administrator. All who are stay so until the
    /// end of this: whoever takes away another one at the same time waits, and then finds what is left.
    pub(super) async fn is_last_superuser(
        &mut self,
        id: UserId,
    ) -> std::result::Result<bool, Fault> {
        let mut query = Query::new(SUPERUSERS);
        query.push(self.store.database.hold());
        let mut found = false;
        for row in self.ask(query).await? {
            if row.reader().int()? != id.get() {
                return Ok(false);
            }
            found = true;
        }
        Ok(found)
    }
}
