//! A request in which every fact with a fixed name is known, for the dry run of conditions.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Feature, HttpFacts, RawJson, RequestMeta,
    TlsFacts, ToolSpec, Transport,
};

use super::{Condition, Facts, Verdict};
use crate::rbac::Identity;

/// The sample, made once: a policy has many conditions.
static SAMPLE: LazyLock<(Caller, RequestMeta, Option<ToolSpec>)> = LazyLock::new(|| {
    let caller = Caller::new(CallerKind::OAuthClient, "sample")
        .with_issuer("https://issuer.example")
        .with_roles(["sample"])
        .with_groups(["sample"])
        .with_scopes(["sample"]);
    let tls = TlsFacts::new(
        Some("CN=sample".to_owned()),
        vec!["sample.example".to_owned()],
        Some("gateway.example".to_owned()),
    );
    let meta = RequestMeta::new("sample", Transport::Http)
        .with_client_addr(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))))
        .with_protocol_version("2025-11-25")
        .with_client(
            RawJson::parse(r#"{"name":"sample","version":"1"}"#).ok(),
            None,
        )
        .with_endpoint(Some(Arc::from("sample")))
        .with_http(Some(Arc::new(Sample)))
        .with_tls(Some(Arc::new(tls)))
        .with_received(Some(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        ));
    (caller, meta, ToolSpec::new("sample", "A sample.").ok())
});

/// Evaluates `condition` for a tool, a resource and a prompt.
pub(super) fn dry_run(condition: &Condition) -> Vec<Verdict> {
    let (caller, meta, tool) = &*SAMPLE;
    let identity = Identity::of(caller);
    let facts = Facts::new(caller, &identity, meta);
    let arguments = Arguments::none();
    [
        (Feature::Tool, "tools/call", "sample"),
        (Feature::Resource, "resources/read", "file:///sample"),
        (Feature::Prompt, "prompts/get", "sample"),
    ]
    .into_iter()
    .map(|(feature, method, name)| {
        let mut request = AccessRequest::new(caller, meta, method, feature, name);
        request.server = "sample";
        request.tool = tool.as_ref().filter(|_| feature == Feature::Tool);
        request.arguments = Some(&arguments);
        condition.evaluate(&facts.of(&request, request.name))
    })
    .collect()
}

#[derive(Debug)]
struct Sample;

impl HttpFacts for Sample {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn scheme(&self) -> &'static str {
        "https"
    }

    fn host(&self) -> Option<&'static str> {
        Some("gateway.example")
    }

    fn path(&self) -> &'static str {
        "/mcp"
    }

    fn query(&self) -> Option<&'static str> {
        Some("sample=1")
    }

    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        vec![("user-agent", "sample")]
    }
}
