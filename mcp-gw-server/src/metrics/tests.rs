use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::testing::audit_sink_contract;
use mcp_gw_core::{
    AccessRequest, Admission, Arguments, AuthnError, Backend, BackendError, CallContext, Caller,
    Charge, Credentials, Decision, Feature, Gateway, GatewayBuilder, Incoming, LimiterError, Offer,
    Policy, Quota, RateLimiter, RequestMeta, ToolCall, ToolOutput, ToolSpec, Transport,
    async_trait,
};

use super::series::MAX_TOOLS;
use super::*;

/// A server whose tools are called as it likes.
struct Server(Vec<String>);

#[async_trait]
impl Backend for Server {
    fn name(&self) -> &'static str {
        "srv"
    }

    fn offer_now(&self) -> Option<Offer> {
        let tools = self.0.iter().map(|name| ToolSpec::new(name, "A tool."));
        Some(Offer::of_tools(tools.collect::<Result<_, _>>().unwrap()))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap_or_default())
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        match &*call.name {
            "fails" => Err(BackendError::Unavailable {
                server: "srv".into(),
                reason: "it is away".to_owned(),
            }),
            "hangs" => std::future::pending().await,
            _ => Ok(ToolOutput::text("done")),
        }
    }
}

/// Allows all but the tool `secret`.
struct NoSecrets;

#[async_trait]
impl Policy for NoSecrets {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        if request.name == "secret" {
            Decision::deny()
        } else {
            Decision::allow()
        }
    }
}

/// Admits nothing that is called `limited`.
struct Limit;

#[async_trait]
impl RateLimiter for Limit {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        let quota = Quota::new(1, 0, Duration::from_secs(1));
        Ok(if charge.name == Some("limited") {
            Admission::limited("test", quota, Duration::from_secs(1))
        } else {
            Admission::admitted(None)
        })
    }
}

fn builder(metrics: &Metrics, tools: &[&str]) -> GatewayBuilder {
    let tools = tools.iter().map(|name| (*name).to_owned()).collect();
    Gateway::builder()
        .backend(Server(tools))
        .policy(NoSecrets)
        .rate_limiter(Limit)
        .audit(metrics.clone())
}

fn incoming() -> Incoming {
    Incoming::new(Caller::local(), RequestMeta::new("1", Transport::Http))
}

async fn call(gateway: &Gateway, name: &str) -> bool {
    let call = ToolCall::new(name, Arguments::none());
    gateway.call_tool(&incoming(), call).await.is_ok()
}

fn text(metrics: &Metrics) -> String {
    metrics.render(Format::Prometheus)
}

/// The samples of the families whose names begin so, except for what depends on time.
fn samples(metrics: &Metrics, prefixes: &[&str]) -> String {
    let text = text(metrics);
    let is_wanted = |line: &&str| prefixes.iter().any(|prefix| line.starts_with(prefix));
    let lines: Vec<_> = text.lines().filter(is_wanted).collect();
    lines.join("\n")
}

#[tokio::test]
async fn each_request_is_counted_by_how_it_ended() {
    let metrics = Metrics::new();
    let tools = ["works", "fails", "secret", "limited"];
    let gateway = builder(&metrics, &tools).build().unwrap();
    for (name, is_good) in [
        ("works", true),
        ("works", true),
        ("fails", false),
        ("secret", false),
        ("limited", false),
        ("unknown", false),
    ] {
        assert_eq!(call(&gateway, name).await, is_good, "{name}");
    }
    let page = gateway.list(&incoming(), Feature::Tool, None, 100).await;
    assert_eq!(page.unwrap().items.len(), 3);
    insta::assert_snapshot!(samples(
        &metrics,
        &[
            "mcp_gw_requests_",
            "mcp_gw_tool_calls",
            "mcp_gw_request_seconds_count",
            "mcp_gw_request_bytes",
            "mcp_gw_response_bytes",
            "mcp_gw_policy",
            "mcp_gw_list_items",
            "mcp_gw_rate_limited",
            "mcp_gw_auth"
        ]
    ));
}

#[tokio::test]
async fn what_is_under_way_is_told_and_what_is_given_up_is_counted() {
    let metrics = Metrics::new();
    let gateway = builder(&metrics, &["hangs"]).build().unwrap();
    let in_flight = "mcp_gw_requests_in_flight{method=\"tools/call\"}";
    let mut hanging = Box::pin(call(&gateway, "hangs"));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    assert_eq!(samples(&metrics, &[in_flight]), format!("{in_flight} 1.0"));
    drop(hanging);
    assert_eq!(samples(&metrics, &[in_flight]), format!("{in_flight} 0.0"));
    let given_up = "mcp_gw_tool_calls_total{outcome=\"cancelled\",server=\"srv\",tool=\"hangs\"}";
    assert_eq!(samples(&metrics, &[given_up]), format!("{given_up} 1"));
}

#[tokio::test]
async fn refused_credentials_are_counted_by_transport() {
    struct Nobody;
    #[async_trait]
    impl mcp_gw_core::Authenticator for Nobody {
        async fn authenticate(&self, _: &Credentials) -> Result<Arc<Caller>, AuthnError> {
            Err(AuthnError::Malformed)
        }
    }
    let metrics = Metrics::new();
    let gateway = builder(&metrics, &[])
        .authenticator(Nobody)
        .build()
        .unwrap();
    let meta = RequestMeta::new("1", Transport::Http);
    let credentials = Credentials::none(Transport::Http);
    assert!(gateway.authenticate(&credentials, &meta).await.is_err());
    let failures = samples(&metrics, &["mcp_gw_auth"]);
    assert_eq!(failures, "mcp_gw_auth_failures_total{transport=\"http\"} 1");
}

#[tokio::test]
async fn what_clients_call_things_makes_no_series() {
    let metrics = Metrics::new();
    let gateway = builder(&metrics, &["works"]).build().unwrap();
    assert!(call(&gateway, "works").await);
    assert!(!call(&gateway, "unknown").await);
    let before = text(&metrics).lines().count();
    for at in 0..2000 {
        assert!(!call(&gateway, &format!("unknown{at}\n\"}} x 1")).await);
    }
    assert_eq!(text(&metrics).lines().count(), before);
    assert!(!text(&metrics).contains("unknown0"));
}

#[tokio::test]
async fn a_server_with_any_number_of_tools_makes_a_bounded_number_of_series() {
    let metrics = Metrics::new();
    let names: Vec<_> = (0..MAX_TOOLS + 500).map(|at| format!("t{at}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let gateway = builder(&metrics, &names).build().unwrap();
    for name in &names {
        assert!(call(&gateway, name).await);
    }
    let counted = samples(&metrics, &["mcp_gw_tool_calls_total{"]);
    assert_eq!(counted.lines().count(), MAX_TOOLS + 1);
    assert!(
        counted.contains("server=\"srv\",tool=\"other\"} 500\n"),
        "{counted}"
    );
}

#[test]
fn it_is_an_audit_sink() {
    audit_sink_contract(Metrics::new());
}

#[test]
fn a_source_is_asked_until_its_registration_ends_and_may_be_replaced() {
    struct Level(f64);
    impl MetricsSource for Level {
        fn collect(&self, families: &mut Families) {
            families.gauge("x_level", "A level.").set(&[], self.0);
        }
    }
    let metrics = Metrics::new();
    let first = metrics.register(Level(1.0));
    let second = metrics.register(Arc::new(Level(2.0)));
    let level = || samples(&metrics, &["x_level"]);
    assert_eq!(level(), "x_level 2.0");
    second.replace(Level(3.0));
    assert_eq!(level(), "x_level 3.0");
    drop(second);
    assert_eq!(level(), "x_level 1.0");
    drop(first);
    assert_eq!(level(), "");
}

/// A registration in a source, as when a gateway that is replaced ends with its last user.
#[test]
fn a_source_may_hold_registrations() {
    struct Holder(Registration);
    impl MetricsSource for Holder {
        fn collect(&self, _: &mut Families) {
            let _ = &self.0;
        }
    }
    struct Nothing;
    impl MetricsSource for Nothing {
        fn collect(&self, _: &mut Families) {}
    }
    let metrics = Metrics::new();
    let holder = Holder(metrics.register(Nothing));
    let outer = metrics.register(holder);
    outer.replace(Nothing);
    assert_eq!(metrics.0.sources().all.len(), 1);
    drop(outer);
    assert!(metrics.0.sources().all.is_empty());
}
