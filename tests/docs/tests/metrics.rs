//! The metrics, as the operator's handbook describes them.
#![cfg(test)]

use std::collections::BTreeSet;

use mcp_gw_server::Launch;
use mcp_gw_server::config::Config;
use mcp_gw_server::metrics::Metrics;

#[tokio::test]
async fn the_table_of_metrics_has_all_of_them() {
    let metrics = Metrics::new();
    let launch = Launch::new().with_metrics(metrics.clone());
    // Nobody is connected to before something is asked.
    let limits = r#"{ "calls_per_minute": 1, "redis": { "url": "redis://127.0.0.1:1" } }"#;
    let mut config = Config::default();
    config.limits = serde_json::from_str(limits).unwrap();
    let running = launch.start(&config).unwrap();
    let found: BTreeSet<_> = metrics.collect().names().map(str::to_owned).collect();
    running.shutdown().await;
    let text = include_str!("../../../docs/operations.md");
    let section = text.split("\n## Metrics\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(
        told.iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        found
    );
    assert_eq!(told.len(), found.len(), "each has one row");
}
