//! The audit event, as the operator's handbook describes it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use mcp_gw_core::{
    Arguments, Caller, ErrorClass, Gateway, Incoming, Outcome, RequestMeta, ToolCall, Transport,
};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the names of the fields of audit events, also of those without a value.
#[derive(Clone, Default)]
struct Fields(Arc<Mutex<BTreeSet<String>>>);

impl Subscriber for Fields {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "mcp_gw::audit"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let names = event.metadata().fields().iter();
        let names = names.map(|field| field.name().to_owned());
        self.0.lock().unwrap().extend(names);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The part of `docs/operations.md` below this heading.
fn section(heading: &str) -> String {
    let text = include_str!("../../../docs/operations.md");
    let section = text.split(heading).nth(1).unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// What stands in backquotes in the first column of a table.
fn first_column(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_table_of_fields_has_all_of_them() {
    let fields = Fields::default();
    let guard = tracing::subscriber::set_default(fields.clone());
    let gateway = Gateway::builder().build().unwrap();
    let meta = RequestMeta::new("1", Transport::InProcess);
    let incoming = Incoming::new(Caller::local(), meta);
    let call = ToolCall::new("x", Arguments::none());
    assert!(gateway.call_tool(&incoming, call).await.is_err());
    drop(guard);
    let mut found = fields.0.lock().unwrap().clone();
    found.remove("message");
    assert_eq!(first_column(&section("## Audit log")), found);
}

#[test]
fn every_outcome_is_explained() {
    let text = section("## Audit log");
    let outcomes = [
        Outcome::Ok,
        Outcome::ToolError,
        Outcome::Unauthenticated,
        Outcome::Cancelled,
    ];
    for outcome in outcomes {
        let name = outcome.as_str();
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    let errors = first_column(&section("## Errors"));
    for class in ErrorClass::ALL {
        assert!(errors.contains(class.as_str()), "{}", class.as_str());
    }
}
