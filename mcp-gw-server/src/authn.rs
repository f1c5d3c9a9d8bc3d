//! Who calls: what comes over HTTP, made into a caller.

mod keys;

pub(crate) use keys::{ApiKeys, caller_of, has_same_rights};
