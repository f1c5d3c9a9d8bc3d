//! Looks for changes that other processes make.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::database::Database;
use super::row::Query;
use crate::changes::{Bell, ChangeKind};
use crate::error::Result;

/// A task that reads the counters of changes when somebody may have raised them. It ends with this.
#[derive(Debug)]
pub(crate) struct Watcher(AbortHandle);

impl Watcher {
    /// Reads the counters, and goes on to do so where others can change them.
    pub(crate) async fn start(
        database: &Arc<dyn Database>,
        bell: &Arc<Bell>,
        poll: Duration,
    ) -> Result<Option<Self>> {
        // Before the counters are read, so that nothing is missed in between.
        let news = database.news().await?;
        look(&**database, bell).await?;
        let Some(mut news) = news else {
            return Ok(None);
        };
        let (database, bell) = (Arc::clone(database), Arc::clone(bell));
        let task = tokio::spawn(async move {
            let mut failing = false;
            loop {
                news.heard(poll).await;
                match look(&*database, &bell).await {
                    Ok(()) => failing = false,
                    Err(error) => {
                        if !failing {
                            tracing::warn!(
                                target: "mcp_gw::store",
                                %error,
                                "changes of other processes are not seen for now"
                            );
                        }
                        failing = true;
                        // A database that is away is not asked in a loop.
                        tokio::time::sleep(poll).await;
                    }
                }
            }
        });
        Ok(Some(Self(task.abort_handle())))
    }

    pub(crate) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads the counters, and tells who wants to hear.
async fn look(database: &dyn Database, bell: &Bell) -> Result<()> {
    let query = Query::new("SELECT kind, changes FROM gw_changes");
    let mut counts = Vec::new();
    for row in database.read(&query).await? {
        let mut row = row.reader();
        let (name, count) = (row.text()?, row.int()?);
        // Later programs may know more kinds.
        let kind = ChangeKind::ALL.into_iter().find(|it| it.as_str() == name);
        counts.extend(kind.map(|kind| (kind, count)));
    }
    bell.ring(&counts);
    Ok(())
}
