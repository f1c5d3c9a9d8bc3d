//! The stores on databases: one that works, several at once, and some that do not.

#![cfg(unix)]
#![cfg(test)]

mod changes;
mod contract;
mod crash;
mod migrate;
mod model;
mod postgres_faults;
mod server;
mod sqlite_faults;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::testing::ManualClock;
use mcp_gw_store::{
    DatabaseUrl, NewUser, PageRequest, PasswordHash, Result, Store, StoreOptions, UserFilter, open,
};

/// A time that no test waits for: whoever fails this late hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The URL of a file.
pub(crate) fn sqlite_url(path: &Path) -> String {
    format!("sqlite:///{}", path.display())
}

pub(crate) async fn open_with(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>> {
    open(&DatabaseUrl::parse(url)?, options).await
}

/// Opens it on a clock that stands still.
pub(crate) async fn open_at(url: &str) -> (Arc<dyn Store>, ManualClock) {
    let clock = ManualClock::new();
    let mut options = StoreOptions::new();
    options.clock = Arc::new(clock.clone());
    (open_with(url, &options).await.unwrap(), clock)
}

pub(crate) fn user(name: &str) -> NewUser {
    NewUser::new(name, PasswordHash::new("$argon2id$x"))
}

/// The names of all users, in the order of creation.
pub(crate) async fn usernames(store: &dyn Store) -> Vec<String> {
    let mut names = Vec::new();
    let mut page = PageRequest::first(1_000);
    loop {
        let answer = store.users(&UserFilter::new(), &page).await.unwrap();
        names.extend(answer.items.into_iter().map(|user| user.username));
        let Some(next) = answer.next else {
            return names;
        };
        page = page.after(next);
    }
}
