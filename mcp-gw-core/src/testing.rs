//! Contract suites for the traits of this crate, and fakes to drive them.
//!
//! Run a suite from a test of your own, in whatever runtime your implementation needs:
//!
//! ```
//! # use mcp_gw_core::{AllowAll, testing};
//! # async fn test() {
//! testing::policy_contract(&AllowAll::new()).await;
//! # }
//! ```

mod fakes;
mod suites;

pub use fakes::{
    ManualClock, RecordingAudit, RecordingLink, access_request, call_context, charge, context_of,
};
pub use suites::{
    audit_sink_contract, authenticator_contract, backend_contract, policy_contract,
    rate_limiter_contract, tool_contract,
};
