//! What no rule can decide, with what somebody has to look at for it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::tools::api7::risk::rules::At;
use crate::tools::api7::risk::scan::{Resource, Scan};

/// So many resources are named.
const MOST: usize = 20;

/// A question for the reader.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Review {
    /// What is to be judged.
    pub(crate) question: &'static str,
    /// How to look at it.
    pub(crate) how: String,
    /// The first of the resources that are concerned.
    pub(crate) resources: Vec<At>,
    /// How many there are.
    pub(crate) total: usize,
}

fn one<'a>(
    question: &'static str,
    how: &'static str,
    resources: impl Iterator<Item = &'a Resource>,
) -> Review {
    let mut all: Vec<At> = resources.map(At::of).collect();
    all.sort();
    let total = all.len();
    all.truncate(MOST);
    Review {
        question,
        how: how.to_owned(),
        resources: all,
        total,
    }
}

/// The questions that concern something.
pub(crate) fn of(scan: &Scan) -> Vec<Review> {
    let groups = || scan.groups.iter();
    let has_code = |resource: &&Resource| {
        resource
            .plugins()
            .any(|(name, _)| name.starts_with("serverless-"))
    };
    let limits = [
        "limit-count",
        "limit-req",
        "limit-conn",
        "limit-count-advanced",
    ];
    let is_limited =
        |resource: &&Resource| resource.plugins().any(|(name, _)| limits.contains(&name));
    let all = [
        one(
            "Is the code in plugins sound: what it does with input, what it costs, what it logs?",
            "get_resource with customPlugin; the routes, services and global rules that are named, at /plugins",
            scan.custom_plugins
                .iter()
                .chain(scan.with_plugins().filter(has_code)),
        ),
        one(
            "Do the rate limits fit what callers need?",
            "get_resource with route or publishedService, and get_prometheus_metrics api-qps by route_id",
            scan.with_plugins().filter(is_limited),
        ),
        one(
            "Do the settings of authentication fit: headers, algorithms, who may use which route?",
            "get_resource with consumer and credential",
            groups().flat_map(|group| group.consumers.iter().map(|consumer| &consumer.resource)),
        ),
    ];
    all.into_iter().filter(|review| review.total > 0).collect()
}
