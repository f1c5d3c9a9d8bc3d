//! `health`, `stats` and `audit`.

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::said::{facts, json, or_dash, table};
use super::session::Session;
use super::{Result, Shown};
use crate::client::{AuditEvent, AuditQuery};

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    last: usize,

    /// Those that began at this ISO time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Those that began before this ISO time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// Those of this caller
    #[arg(long, value_name = "ID")]
    caller: Option<String>,

    /// Those with this method of MCP, or this operation, such as `create_user`
    #[arg(long, value_name = "NAME")]
    method: Option<String>,

    /// Those about this tool, resource, prompt or record
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Those of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Those that ended so: `ok`, `tool_error`, `denied` and others
    #[arg(long, value_name = "NAME")]
    outcome: Option<String>,
}

impl AuditArgs {
    fn query(&self) -> AuditQuery {
        AuditQuery {
            from: self.from.clone(),
            to: self.to.clone(),
            caller_id: self.caller.clone(),
            method: self.method.clone(),
            name: self.name.clone(),
            server: self.server.clone(),
            outcome: self.outcome.clone(),
        }
    }
}

pub(super) async fn health(session: &Session) -> Result {
    let health = session.client.health().await?;
    let servers = health.mcp_servers.as_ref().map(|servers| {
        let (total, healthy) = (servers.total, servers.healthy);
        format!("{total}, {healthy} of them healthy")
    });
    let text = if session.is_json {
        json(&health)?.text
    } else {
        facts(&[
            ("status", health.status.clone()),
            ("database", health.database.clone()),
            ("servers", servers.unwrap_or_default()),
            ("uptime", format!("{} s", health.uptime)),
        ])
    };
    Ok(Shown {
        text,
        is_well: health.status == "healthy",
    })
}

pub(super) async fn stats(session: &Session) -> Result {
    let stats = session.client.stats().await?;
    if session.is_json {
        return json(&stats);
    }
    let known = facts(&[
        ("uptime", format!("{} s", stats.uptime)),
        ("calls", stats.total_requests.to_string()),
        ("enabled servers", stats.active_servers.to_string()),
        ("healthy servers", stats.healthy_servers.to_string()),
        ("strategy", stats.load_balancer.strategy.clone()),
    ]);
    let servers = stats.load_balancer.requests_per_server.iter();
    let rows: Vec<Vec<String>> = servers
        .map(|(id, calls)| vec![id.clone(), calls.to_string()])
        .collect();
    if rows.is_empty() {
        return Ok(known.into());
    }
    Ok(format!("{known}\n{}", table(&["server", "calls"], &rows)).into())
}

pub(super) async fn audit(session: &Session, audit: &AuditArgs) -> Result {
    let events = session.client.audit_events(audit.query());
    let events: Vec<AuditEvent> = events.take(audit.last).try_collect().await?;
    if session.is_json {
        return json(&events);
    }
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            vec![
                event.time.clone(),
                or_dash(Some(&event.caller_id)),
                event.method.clone(),
                or_dash(event.name.as_deref()),
                or_dash(event.server.as_deref()),
                event.outcome.clone(),
                or_dash(event.error.as_deref().or(event.reason.as_deref())),
            ]
        })
        .collect();
    let names = [
        "time", "caller", "method", "name", "server", "outcome", "why",
    ];
    Ok(table(&names, &rows).into())
}
