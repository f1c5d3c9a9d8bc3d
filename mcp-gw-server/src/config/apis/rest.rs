//! What all REST APIs have in common: the tool that reaches them, and answers that are too large.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::text::{ByteSize, DurationText};
use crate::config::types::seconds;

/// What all of `apis` have in common.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RestConfig {
    /// The name of the tool that sends requests to APIs with `gateway_tool`. It is a server of this name
    /// for endpoints; to rules, limits and the audit log each call is one of the API that it names.
    pub tool_name: String,
    /// What models are told about that tool; if not given, what it does and which APIs there are.
    pub description: Option<String>,
    /// How long a connection to an API may take to be made, at most `10m`.
    pub connect_timeout: DurationText,
    /// How long an API may say nothing while it answers, at most `10m`.
    pub idle_timeout: DurationText,
    /// The longest path and query that a request may have, in bytes.
    #[schemars(range(min = 64, max = 16_384))]
    pub max_endpoint_length: u32,
    /// What becomes of answers that are larger than `max_response_size` of their API.
    pub large_answers: LargeAnswersSection,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self {
            tool_name: "api_gateway".to_owned(),
            description: None,
            connect_timeout: seconds(3),
            idle_timeout: seconds(10),
            max_endpoint_length: 2048,
            large_answers: LargeAnswersSection::default(),
        }
    }
}

/// Answers that are larger than a caller gets at once. They are cut; the rest is kept for a while, for the
/// caller who asked, to be read on as a resource.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LargeAnswersSection {
    /// Whether they are kept; otherwise the rest is lost.
    pub keep: bool,
    /// How much of one answer is kept.
    pub max_size: ByteSize,
    /// How much is kept in all.
    pub max_total_size: ByteSize,
    /// How many answers of one caller are kept.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_caller: u32,
    /// For how long.
    pub max_age: DurationText,
}

impl Default for LargeAnswersSection {
    fn default() -> Self {
        Self {
            keep: true,
            max_size: ByteSize::new(16 << 20),
            max_total_size: ByteSize::new(64 << 20),
            max_per_caller: 8,
            max_age: seconds(5 * 60),
        }
    }
}
