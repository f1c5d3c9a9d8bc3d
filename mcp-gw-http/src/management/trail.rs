//! What was done: the audit events in the database.

use axum::http::{Method, StatusCode};
use mcp_gw_server::identity::Scope;
use mcp_gw_server::store::{AuditQuery, StoreError, Time};

use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::keys::moment;
use super::shapes::{EventShown, PageOf};
use super::table::{Need, Operation, PAGE, Param};

/// What there is about audit events.
pub(super) fn table() -> Vec<Operation> {
    const FILTERS: [Param; 7] = [
        text("from", "Only those that began at this ISO time or later"),
        text("to", "Only those that began before this ISO time"),
        text("caller_id", "Only those of this caller"),
        text(
            "method",
            "Only those with this method of MCP, or this operation",
        ),
        text(
            "name",
            "Only those about this tool, resource, prompt or record",
        ),
        text("server", "Only those of this server"),
        text(
            "outcome",
            "Only those that ended so: `ok`, `tool_error`, `denied` and others",
        ),
    ];
    vec![
        Operation::new(
            (Method::GET, "/audit/events", "list_audit_events"),
            Need::Scope(Scope::Admin),
            "What was done, the last first",
            events,
        )
        .query(&PAGE)
        .query(&FILTERS)
        .gives::<PageOf<EventShown>>(StatusCode::OK)
        .tag("audit"),
    ]
}

const fn text(name: &'static str, about: &'static str) -> Param {
    Param {
        name,
        about,
        kind: "string",
    }
}

fn time(ask: &Ask, name: &str) -> Result<Option<Time>, Fault> {
    let Some(text) = ask.asked(name)? else {
        return Ok(None);
    };
    let wrong = || {
        Fault::at(
            &["query", name],
            "Input should be an ISO time",
            "datetime_parsing",
        )
    };
    moment(text).map(Some).ok_or_else(wrong)
}

async fn events(ask: Ask) -> Result<Reply, Fault> {
    let mut query = AuditQuery::new();
    query.from = time(&ask, "from")?;
    query.to = time(&ask, "to")?;
    let text = |name| ask.asked(name).map(|text| text.map(str::to_owned));
    query.caller_id = text("caller_id")?;
    query.method = text("method")?;
    query.name = text("name")?;
    query.server = text("server")?;
    query.outcome = text("outcome")?;
    let found = ask.api.registry.store().audit(&query, &ask.page()?).await;
    let found = found.map_err(|error| match error {
        StoreError::Invalid { reason, .. } => {
            Fault::at(&["query", "cursor"], reason, "value_error")
        }
        error => error.into(),
    })?;
    Reply::ok(&PageOf::<EventShown>::of(found))
}
