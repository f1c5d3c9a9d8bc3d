//! What counting costs on the way of a request: no memory, once a name is known.
#![cfg(test)]

use allocation_counter::measure;
use mcp_gw_core::{
    AllowAll, Arguments, AuditEvent, AuditSink, CallContext, Caller, Feature, Gateway, Incoming,
    NoArguments, RequestMeta, ToolCall, ToolError, Transport, TypedTool,
};
use mcp_gw_server::metrics::{Format, Metrics};

struct Hello;

impl TypedTool for Hello {
    const NAME: &'static str = "hello";
    const DESCRIPTION: &'static str = "Greets.";
    type Args = NoArguments;
    type Output = &'static str;

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<&'static str, ToolError> {
        Ok("Hello!")
    }
}

/// Takes events and does nothing.
struct Deaf;

impl AuditSink for Deaf {
    fn record(&self, _: &AuditEvent) {}
}

/// Allocations of a call of the tool, of one of a tool that is not there, and of a list, when each
/// has been made before.
fn allocations(sink: impl AuditSink) -> [u64; 3] {
    let gateway = Gateway::builder().tool(Hello).policy(AllowAll::new());
    let gateway = gateway.audit(sink).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let count = |request: &dyn Fn()| {
        request();
        measure(request).count_total
    };
    let incoming = || Incoming::new(Caller::local(), RequestMeta::new("1", Transport::Http));
    let call = |name: &str| {
        let call = ToolCall::new(name, Arguments::none());
        runtime
            .block_on(gateway.call_tool(&incoming(), call))
            .is_ok()
    };
    let list = || {
        let incoming = incoming();
        let page = runtime.block_on(gateway.list(&incoming, Feature::Tool, None, 10));
        page.unwrap().items.len()
    };
    [
        count(&|| assert!(call("hello"))),
        count(&|| assert!(!call("nobody"))),
        count(&|| assert_eq!(list(), 1)),
    ]
}

#[test]
fn counting_allocates_nothing() {
    let metrics = Metrics::new();
    let without = allocations(Deaf);
    assert_eq!(allocations(metrics.clone()), without);
    assert!(
        without.iter().all(|count| *count > 0),
        "it does count: {without:?}"
    );
    let text = metrics.render(Format::Prometheus);
    assert!(text.contains("tool=\"hello\"} 2\n"), "{text}");
}
