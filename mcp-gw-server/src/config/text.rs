//! Durations and sizes as people write them.

pub use mcp_gw_core::{ByteSize, DurationText, TextError};
