//! What conditions mean, what they refuse, and what they cannot be made to do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Feature, HttpFacts, Phase, RawJson, RequestMeta,
    TlsFacts, ToolSpec, Transport,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Condition, ConditionCompiler, ConditionLimits, Facts, Verdict};
use crate::rbac::Identity;

mod hostile;
mod refused;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("not an object: {value}");
    };
    map
}

fn compiler() -> ConditionCompiler {
    let vars = object(json!({
        "team": "ops", "limits": {"amount": 100}, "regions": ["eu", "us"], "on": true,
    }));
    ConditionCompiler::new(&vars, &ConditionLimits::default())
}

fn compile(source: &str) -> Condition {
    compiler()
        .compile(source)
        .unwrap_or_else(|fault| panic!("{source}: {fault}"))
}

#[derive(Debug)]
struct Http;

impl HttpFacts for Http {
    fn method(&self) -> &'static str {
        "POST"
    }
    fn scheme(&self) -> &'static str {
        "https"
    }
    fn host(&self) -> Option<&'static str> {
        Some("gw.example:8443")
    }
    fn path(&self) -> &'static str {
        "/mcp/x"
    }
    fn query(&self) -> Option<&'static str> {
        Some("a=1&b=x%20y+z&a=2&c&bad=%zz")
    }
    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("x-tenant", "acme"),
            ("accept", "one"),
            ("accept", "two"),
            ("authorization", "Bearer secret"),
            ("cookie", "secret"),
        ]
    }
}

fn ann() -> Caller {
    Caller::new(CallerKind::OAuthClient, "ann")
        .with_issuer("https://login.example")
        .with_roles(["reader", "ops"])
        .with_groups(["staff"])
        .with_scopes(["files:read"])
        .with_claims(object(json!({
            "sub": "u-1", "dept": "sales", "level": 5, "client_id": "app-1",
            "big": 9_007_199_254_740_993_u64, "tags": ["a", "b"], "org": {"id": "o1"},
        })))
}

fn meta() -> RequestMeta {
    let tls = TlsFacts::new(
        Some("CN=ann".to_owned()),
        vec!["ann.example".to_owned()],
        None,
    );
    RequestMeta::new("r-1", Transport::Http)
        .with_client_addr(Some("10.1.2.3".parse().unwrap()))
        .with_protocol_version("2025-11-25")
        .with_client(
            RawJson::parse(r#"{"name":"ide","version":"2.0"}"#).ok(),
            None,
        )
        .with_http(Some(Arc::new(Http)))
        .with_tls(Some(Arc::new(tls)))
        // 2023-11-14T22:13:20Z, a Tuesday.
        .with_received(Some(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        ))
}

/// What `condition` says of a call of the tool `get_file` by Ann with these arguments.
fn verdict(condition: &Condition, arguments: &str) -> Verdict {
    let (caller, meta) = (ann(), meta());
    let identity = Identity::of(&caller);
    let facts = Facts::new(&caller, &identity, &meta);
    let arguments = Arguments::from_raw(RawJson::parse(arguments.to_owned()).unwrap()).unwrap();
    let tool = ToolSpec::new("get_file", "Reads.")
        .unwrap()
        .with_annotations(&mcp_gw_core::ToolAnnotations::read_only())
        .unwrap();
    let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "get_file");
    request.server = "files";
    request.upstream_name = "get";
    request.tool = Some(&tool);
    request.arguments = Some(&arguments);
    condition.evaluate(&facts.of(&request, request.name))
}

const ARGUMENTS: &str = r#"{"path":"/srv/data/x.txt","amount":50,"tags":["a","b","c"],"deep":{"n":1.5},
    "rows":[{"k":1},{"k":2}],"none":null,"yes":true,"esc":"a\"b","u":18446744073709551615}"#;

fn says(source: &str) -> Verdict {
    verdict(&compile(source), ARGUMENTS)
}

#[track_caller]
fn holds(source: &str) {
    assert_eq!(says(source), Verdict::True, "{source}");
}

#[track_caller]
fn fails(source: &str) {
    let verdict = says(source);
    assert!(
        matches!(verdict, Verdict::Error(_)),
        "{source}: {verdict:?}"
    );
}

#[test]
fn every_fact_of_the_table_can_be_read() {
    for source in [
        "identity.id == 'ann' && identity.sub == 'u-1' && identity.kind == 'oauth_client'",
        "identity.issuer == 'https://login.example' && identity.authenticated",
        "identity.roles == ['reader', 'ops'] && 'staff' in identity.groups",
        "identity.has_role('ops') && identity.has_scope('files:read') && identity.in_group('staff')",
        "jwt.dept == 'sales' && jwt['level'] > 4 && oauth.org.id == 'o1' && 'a' in jwt.tags",
        "jwt.big == 9007199254740993",
        "consumer.id == 'app-1' && consumer.name == 'app-1' && consumer.groups == ['staff']",
        "size(consumer.metadata) == 0",
        "request.headers['x-tenant'] == 'acme' && request.headers.accept == 'one'",
        "request.headers_all['accept'] == ['one', 'two']",
        "request.method == 'POST' && request.path == '/mcp/x' && request.scheme == 'https'",
        "request.host == 'gw.example:8443' && request.id == 'r-1' && request.transport == 'http'",
        "request.query.a == '1' && request.query.b == 'x y z' && request.query.c == ''",
        "request.query.bad == '%zz' && request.endpoint == ''",
        "request.time > timestamp('2023-01-01T00:00:00Z') && request.time.getHours() == 22",
        "request.time.getHours('Europe/Berlin') == 23 && request.time.getDayOfWeek() == 2",
        "source.ip == '10.1.2.3' && source.ip_in('10.0.0.0/8') && !source.ip_in('10.2.0.0/16', '::1')",
        "tls.subject == 'CN=ann' && tls.sans == ['ann.example']",
        "mcp.method == 'tools/call' && mcp.server == 'files' && mcp.tool.name == 'get_file'",
        "mcp.protocol_version == '2025-11-25' && mcp.client.name == 'ide' && mcp.client.version == '2.0'",
        "mcp.tool.annotations.readOnlyHint && !mcp.tool.annotations.destructiveHint",
        "mcp.tool.arguments.path.startsWith('/srv/') && mcp['tool']['arguments'].amount == 50",
        "vars.team == 'ops' && vars.limits.amount == 100 && 'eu' in vars.regions && vars.on",
    ] {
        holds(source);
    }
}

#[test]
fn functions_and_operators_do_what_cel_says() {
    for source in [
        "mcp.tool.name.glob('get_*') && glob(mcp.tool.name, '*_file')",
        "mcp.tool.name.matches('^get_[a-z]+$') && matches(mcp.tool.name, 'file')",
        "mcp.tool.arguments.tags.all(t, size(t) == 1) && mcp.tool.arguments.tags.exists(t, t == 'c')",
        "mcp.tool.arguments.tags.exists_one(t, t == 'b') && mcp.tool.arguments.tags.existsOne(t, t == 'b')",
        "mcp.tool.arguments.tags.filter(t, t != 'a') == ['b', 'c']",
        "mcp.tool.arguments.tags.map(t, t + t) == ['aa', 'bb', 'cc']",
        "mcp.tool.arguments.rows.map(r, r.k > 1, r.k) == [2]",
        "mcp.tool.arguments.rows.all(r, mcp.tool.arguments.tags.exists(t, size(t) < r.k + 1))",
        "mcp.tool.arguments.all(k, k != 'secret')",
        "mcp.tool.arguments.esc == 'a\"b' && mcp.tool.arguments.none == null && mcp.tool.arguments.yes",
        "mcp.tool.arguments.deep.n == 1.5 && mcp.tool.arguments.amount < vars.limits.amount",
        "mcp.tool.arguments.u > 18446744073709551614u && mcp.tool.arguments.u > 100",
        "has(mcp.tool.arguments.path) && !has(mcp.tool.arguments.nope) && has(jwt.dept) && !has(jwt.x)",
        "has(mcp.tool) && !has(mcp.prompt) && !has(mcp.resource) && has(mcp.client) && has(source.ip)",
        "!has(tls.sni) && has(tls.subject) && has(identity.id) && has(request.headers.accept)",
        "'x,y'.split(',') == ['x', 'y'] && 'AbC'.lowerAscii() == 'abc' && ' a '.trim() == 'a'",
        "'abc'.substring(1) == 'bc' && 'abc'.substring(0, 2) == 'ab' && 'abc'.charAt(1) == 'b'",
        "'abc'.contains('b') && 'abc'.endsWith('c') && int('5') == 5 && string(5) == '5'",
        "duration('90m').getHours() == 1 && type(mcp.tool.arguments.amount) == int",
        "(jwt.level > 3 ? 'hi' : 'lo') == 'hi' && 7 % 4 == 3 && -(2) == 0 - 2 && 2.0 * 3.0 == 6.0",
        "mcp.tool.arguments.nope == 1 || true",
        "!(mcp.tool.arguments.nope == 1 && false)",
        "source.ip.ip_in('10.1.2.3')",
        "'x-tenant' in request.headers && request.headers['x-tenant'] == 'acme'",
        "'dept' in jwt && !('gone' in jwt) && 'path' in mcp.tool.arguments",
        "5.0 == 5",
    ] {
        holds(source);
    }
    assert_eq!(says("mcp.tool.arguments.amount > 50"), Verdict::False);
}

#[test]
fn what_is_missing_or_of_another_type_is_an_error_and_not_false() {
    for source in [
        "jwt.missing == 'x'",
        "jwt.dept.deeper == 'x'",
        "!has(jwt.missing.deeper)",
        "mcp.tool.arguments.amount < 'x'",
        "mcp.tool.arguments.tags.startsWith('a')",
        "mcp.tool.arguments.path.matches('x') && mcp.tool.arguments.amount.matches('x')",
        "mcp.tool.arguments.path",
        "mcp.tool.arguments.amount",
        "tls.sni == 'x'",
        "consumer.plan == 'gold'",
        "mcp.prompt.name == 'x'",
        "mcp.resource.uri == 'x'",
        "mcp.tool.arguments.tags[7] == 'a'",
        "jwt.level / 0 == 1",
        "jwt.dept.ip_in('10.0.0.0/8')",
        "request.headers['authorizatio'] == 'x'",
        "9223372036854775807 + jwt.level > 0",
    ] {
        fails(source);
    }
}

#[test]
fn an_error_names_nothing_of_the_request() {
    for source in [
        "mcp.tool.arguments.path < 5",
        "jwt.dept.ip_in('::1')",
        "int(jwt.dept) == 1",
    ] {
        let Verdict::Error(message) = says(source) else {
            panic!("{source} holds");
        };
        assert!(
            !message.contains("sales") && !message.contains("/srv"),
            "{message}"
        );
    }
}

#[test]
fn secrets_of_the_request_are_not_to_be_seen() {
    holds("request.headers.all(name, name != 'authorization' && name != 'cookie')");
    holds("!('authorization' in request.headers) && !('cookie' in request.headers_all)");
}

#[test]
fn an_anonymous_caller_has_nothing() {
    let caller = Caller::anonymous();
    let (identity, meta) = (
        Identity::of(&caller),
        RequestMeta::new("r", Transport::InProcess),
    );
    let facts = Facts::new(&caller, &identity, &meta);
    let mut request = AccessRequest::new(&caller, &meta, "tools/list", Feature::Tool, "t");
    request.phase = Phase::List;
    let holds = |source: &str| compile(source).evaluate(&facts.of(&request, request.name));
    assert_eq!(
        holds(
            "!identity.authenticated && size(jwt) == 0 && size(identity.roles) == 0 \
               && size(identity.groups) == 0 && size(identity.scopes) == 0 && !has(jwt.sub)"
        ),
        Verdict::True
    );
    for unknown in [
        "source.ip == 'x'",
        "request.method == 'x'",
        "request.time == timestamp(0)",
    ] {
        let Verdict::Error(message) = holds(unknown) else {
            panic!("{unknown} holds");
        };
        assert!(
            message.ends_with("is not known for this request"),
            "{message}"
        );
    }
}

#[test]
fn it_is_known_what_a_condition_looks_at() {
    for (source, arguments, caller) in [
        ("true", false, false),
        ("mcp.tool.name == 'x'", false, false),
        ("mcp.tool.arguments.a == 1", true, true),
        ("mcp['tool']['arguments']['a'] == 1", true, true),
        ("has(mcp.tool.arguments.a)", true, true),
        ("has(mcp.tool.arguments)", true, true),
        ("mcp.prompt.arguments.a == '1'", true, true),
        ("[1].all(x, x in mcp.tool.arguments.list)", true, true),
        ("vars.team == jwt.team", false, true),
        ("source.ip_in('10.0.0.0/8')", false, true),
        ("identity.has_role('x')", false, true),
        ("mcp.client.name == 'x'", false, true),
        ("has(mcp.client)", false, true),
    ] {
        let condition = compile(source);
        let reads =
            condition.reads_arguments(Feature::Tool) || condition.reads_arguments(Feature::Prompt);
        assert_eq!(reads, arguments, "{source}");
        assert_eq!(condition.reads_caller(), caller, "{source}");
    }
}

#[test]
fn it_is_known_what_looks_at_more_than_the_caller() {
    for (source, request) in [
        ("true", false),
        ("mcp.tool.name == 'x' && mcp.server == 's'", false),
        ("mcp.tool.annotations.readOnlyHint == true", false),
        ("mcp.tool.arguments.a == 1", false),
        ("vars.team == jwt.team", false),
        ("oauth.team == 'x' && consumer.plan == 'y'", false),
        ("identity.has_role('x') && identity.kind == 'user'", false),
        ("identity.roles.exists(role, role == 'x')", false),
        ("source.ip == '10.0.0.1'", true),
        ("source.ip_in('10.0.0.0/8')", true),
        (
            "identity.has_role('x') || request.time.getHours() < 8",
            true,
        ),
        ("has(request.headers.x)", true),
        ("request.headers_all.size() > 1", true),
        ("request.endpoint == 'x'", true),
        ("has(tls.subject)", true),
        ("mcp.protocol_version == 'x'", true),
        ("has(mcp.client)", true),
        ("has(mcp.client.name)", true),
    ] {
        assert_eq!(compile(source).reads_request(), request, "{source}");
    }
}
