//! What single steps cost, in one thread: reading an envelope, a decision, a check of limits, finding a tool, a call down
//! the road, a list for a caller, news of one server among many.

use std::{fmt::Write as _, hint::black_box, sync::Arc, time::Duration};

use async_trait::async_trait;
use clap::Args;
use mcp_gw_core::{
    AccessRequest, AllowAll, Arguments, Backend, BackendError, CallContext, Caller, Charge,
    Feature, Gateway, GatewayBuilder, Incoming, Offer, RateLimiter, RawJson, RequestMeta,
    SystemClock, Tool, ToolCall, ToolError, ToolOutput, ToolSpec, Transport, jsonrpc::Message,
};
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use mcp_gw_ratelimit::{Limiter, LimitsConfig};
use serde_json::json;
use tokio::time::Instant;

use crate::wire::Failure;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Rounds; a figure is their median.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Length of each.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    milliseconds: u64,
}

/// A tool that does nothing.
struct Idle(ToolSpec);

#[async_trait]
impl Tool for Idle {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: &CallContext, _: Arguments) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::text("done"))
    }
}

/// A server that offers the same each time it is asked.
struct Calm(String, Vec<ToolSpec>);

#[async_trait]
impl Backend for Calm {
    fn name(&self) -> &str {
        &self.0
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(Offer::of_tools(self.1.clone()))
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text("done"))
    }
}

/// Prints one Markdown table.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let mut table = "| | ns | allocations |\n|---|---|---|\n".to_owned();
    for (what, bytes) in [("1 KiB", 1024), ("100 KiB", 100 * 1024)] {
        let text = envelope(bytes);
        let timing = options.time(|| drop(black_box(Message::parse(text.as_bytes()))));
        timing.write(&mut table, &format!("envelope of a call with {what}"))?;
    }
    for rules in [10, 1_000] {
        let engine = PolicyEngine::compile(&policy(rules)?)?;
        let (caller, meta) = (Caller::local(), RequestMeta::new("1", Transport::Stdio));
        for (what, name) in [("allows", "tool_2"), ("denies", "tool_3")] {
            let asked = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, name);
            let timing = options.time(|| drop(black_box(engine.decide_now(&asked))));
            let says = format!("a decision that {what}, {rules} rules");
            timing.write(&mut table, &says)?;
        }
    }
    for limits in [1, 4] {
        let limiter = Limiter::in_memory(&self::limits(limits)?, SystemClock::new())
            .map_err(|faults| format!("{faults:?}"))?;
        let (caller, meta) = (Caller::local(), RequestMeta::new("1", Transport::Stdio));
        let check = || {
            let charge = Charge::new(&caller, &meta, "tools/call");
            black_box(now(limiter.admit(&charge)).is_some());
        };
        let timing = options.time(check);
        timing.write(&mut table, &format!("a check of {limits} limits"))?;
    }
    for tools in [10, 1_000, 10_000] {
        let gateway = gateway(tools, Gateway::builder().policy(AllowAll::new()))?;
        let name = format!("tool_{}", tools / 2);
        let find = || {
            let catalogue = gateway.catalogue_at(None);
            black_box(catalogue.find(Feature::Tool, &name).is_some());
        };
        let timing = options.time(find);
        timing.write(&mut table, &format!("finding one of {tools} tools"))?;
        let caller = Arc::new(Caller::local());
        let incoming = || {
            let meta = RequestMeta::new("1", Transport::Stdio);
            Incoming::new(Arc::clone(&caller), meta)
        };
        let call = || {
            let call = ToolCall::new(name.as_str(), Arguments::none());
            let answer = now(gateway.call_tool(&incoming(), call));
            black_box(answer.is_some_and(|answer| answer.is_ok()));
        };
        let timing = options.time(call);
        timing.write(&mut table, &format!("a call of one of {tools} local tools"))?;
        let list = || {
            let page = now(gateway.list(&incoming(), Feature::Tool, None, tools));
            black_box(page.is_some_and(|page| page.is_ok()));
        };
        let timing = options.time(list);
        timing.write(&mut table, &format!("a list of {tools} tools"))?;
        let engine = PolicyEngine::compile(&policy(10)?)?;
        let gateway = self::gateway(tools, Gateway::builder().policy(engine))?;
        let list = || {
            let page = now(gateway.list(&incoming(), Feature::Tool, None, tools));
            black_box(page.is_some_and(|page| page.is_ok()));
        };
        let timing = options.time(list);
        let says = format!("a list of {tools} tools, nine tenths of them by 10 rules");
        timing.write(&mut table, &says)?;
    }
    for servers in [10, 100, 1_000] {
        let gateway = federation(servers)?;
        let hear = || {
            black_box(now(gateway.refresh_backend("s1")).is_some_and(|known| known.is_ok()));
        };
        let timing = options.time(hear);
        let says = format!("news of one of {servers} servers with 20 tools each");
        timing.write(&mut table, &says)?;
    }
    Ok(table)
}

/// So many servers, each asked once.
fn federation(servers: usize) -> Result<Gateway, Failure> {
    let all = (0..20).map(spec).collect::<Result<Vec<_>, _>>()?;
    let names = || (0..servers).map(|at| format!("s{at}"));
    let builder = names().fold(
        Gateway::builder().policy(AllowAll::new()),
        |builder, name| builder.backend_with_prefix(&name.clone(), Calm(name, all.clone())),
    );
    let gateway = builder.build()?;
    let mut asked: Vec<_> = names()
        .map(|name| {
            let gateway = gateway.clone();
            Box::pin(async move { gateway.refresh_backend(&name).await })
        })
        .collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // All have answered before the catalogue is built.
    for asked in &mut asked {
        let _ = asked.as_mut().poll(&mut context);
    }
    drop(asked);
    Ok(gateway)
}

/// So many rules; tools whose number ends with a 3 are denied, and others allowed.
fn policy(rules: usize) -> Result<PolicyConfig, Failure> {
    let mut all = vec![
        json!({ "id": "use", "effect": "allow", "tools": ["tool_*"] }),
        json!({ "id": "no-threes", "effect": "deny", "tools": ["tool_*3"] }),
    ];
    all.extend((all.len()..rules).map(
        |at| json!({ "id": format!("r{at}"), "effect": "deny", "tools": [format!("other_{at}")] }),
    ));
    Ok(serde_json::from_value(json!({ "rules": all }))?)
}

/// Limits that are never reached.
fn limits(count: usize) -> Result<LimitsConfig, Failure> {
    let rule = |at| json!({ "name": format!("l{at}"), "quota": 1_000_000_000, "window": "60s" });
    let rules: Vec<_> = (0..count).map(rule).collect();
    Ok(serde_json::from_value(json!({ "rules": rules }))?)
}

fn envelope(bytes: usize) -> String {
    let text = "x".repeat(bytes);
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
    )
}

fn gateway(tools: usize, builder: GatewayBuilder) -> Result<Gateway, Failure> {
    let tool = |index| -> Result<Arc<dyn Tool>, Failure> { Ok(Arc::new(Idle(spec(index)?))) };
    let all = (0..tools).map(tool).collect::<Result<Vec<_>, _>>()?;
    Ok(builder.tools(all).build()?)
}

fn spec(index: usize) -> Result<ToolSpec, Failure> {
    let definition = format!(
        r#"{{"name":"tool_{index}","description":"Stands in a list.","inputSchema":{{"type":"object"}}}}"#
    );
    Ok(ToolSpec::from_definition(RawJson::parse(definition)?)?)
}

/// What a future is at once, or when nobody else wants to go first; nothing here waits.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = std::pin::pin!(future);
    (0..2).find_map(|_| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    })
}

struct Timing {
    nanos: f64,
    allocations: u64,
}

impl Timing {
    fn write(&self, table: &mut String, what: &str) -> Result<(), Failure> {
        writeln!(
            table,
            "| {what} | {:.0} | {} |",
            self.nanos, self.allocations
        )?;
        Ok(())
    }
}

impl Options {
    fn time(&self, once: impl Fn()) -> Timing {
        once();
        let allocations = allocation_counter::measure(&once).count_total;
        let length = Duration::from_millis(self.milliseconds.max(1));
        let mut rounds: Vec<f64> = (0..self.rounds.max(1))
            .map(|_| {
                let (begun, mut times) = (Instant::now(), 0_u32);
                while begun.elapsed() < length {
                    // The clock is not to be what is measured.
                    (0..16).for_each(|_| once());
                    times += 16;
                }
                begun.elapsed().as_secs_f64() * 1e9 / f64::from(times)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        let nanos = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
        Timing { nanos, allocations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_done_at_once_and_has_a_line() {
        let options = Options {
            rounds: 1,
            milliseconds: 1,
        };
        let table = run(&options).unwrap();
        assert_eq!(table.lines().count(), 2 + 2 + 4 + 2 + 3 * 4 + 3, "{table}");
        let engine = PolicyEngine::compile(&policy(10).unwrap()).unwrap();
        let gateway = gateway(5, Gateway::builder().policy(engine)).unwrap();
        let meta = RequestMeta::new("1", Transport::Stdio);
        let incoming = Incoming::new(Arc::new(Caller::local()), meta);
        let call = ToolCall::new("tool_1", Arguments::none());
        assert!(now(gateway.call_tool(&incoming, call)).unwrap().is_ok());
        let page = now(gateway.list(&incoming, Feature::Tool, None, 9));
        assert_eq!(page.unwrap().unwrap().items.len(), 4);
        let gateway = federation(3).unwrap();
        assert_eq!(gateway.catalogue().entries(Feature::Tool).len(), 60);
        assert!(now(gateway.refresh_backend("s2")).unwrap().is_ok());
    }
}
