//! Several replicas behind one name, played by fakes whose moods the tests change.
#![cfg(test)]

mod fake;
mod health;
mod limits;
mod news;
mod restarts;
mod retries;
mod spread;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "tests of transports need more of it")]
mod support;
