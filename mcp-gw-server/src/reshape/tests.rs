//! Reshaped tools, seen as a client sees them and as a server does.

use std::sync::Mutex;

use mcp_gw_core::testing::{RecordingLink, backend_contract, call_context};
use mcp_gw_core::{
    Caller, Extras, Gateway, Incoming, ParamHeader, RawJson, RequestMeta, Transport,
};
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Offers these tools and answers with the name and arguments that it gets.
struct Echo(Mutex<Vec<ToolSpec>>);

#[async_trait]
impl Backend for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(Offer::of_tools(self.0.lock().unwrap().clone()))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        let known = self.0.lock().unwrap();
        if !known.iter().any(|tool| tool.name() == &*call.name) {
            return Err(BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            });
        }
        let says = format!("{} {}", call.name, call.arguments.as_raw());
        Ok(ToolOutput::text(says))
    }
}

const TOOL: &str = r#"{ "name":"pay", "x-vendor":1.0, "annotations":{"title":"P","v":2e0},
 "inputSchema":{ "$schema":"s", "type":"object", "properties":{ "from":{"type":"string","x-mcp-header":"From"},
 "amount":{"type":"integer","minimum":1.0}, "to":{"type":"string"}, "note":{"type":"string"}, "dry":true },
 "required":["from","amount","to"], "additionalProperties":false } }"#;

fn spec(text: &str) -> ToolSpec {
    ToolSpec::from_definition(RawJson::parse(text.to_owned()).unwrap()).unwrap()
}

fn reshape(tools: &[&str], yaml: &str) -> Reshape<Echo> {
    let text =
        format!("policy: {{ default: allow }}\nservers: {{ s: {{ command: x, tools: {yaml} }} }}");
    let config = crate::config::Config::load("x", &text, &|_| None).unwrap();
    let tools = tools.iter().map(|text| spec(text)).collect();
    Reshape::new(Echo(Mutex::new(tools)), &config.servers["s"].tools)
}

async fn call(backend: &Reshape<Echo>, name: &str, arguments: &str) -> Option<String> {
    let ctx = call_context(Caller::local(), Arc::new(RecordingLink::new()));
    let arguments = RawJson::parse(arguments.to_owned()).unwrap();
    let call = ToolCall::new(name, Arguments::from_raw(arguments).unwrap());
    let output = backend.call_tool(&ctx, call.with_extras(Extras::default()));
    let output = output.await.ok()?.as_raw().to_value().unwrap();
    Some(output["content"][0]["text"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_known_of_a_tool_beside_its_definition_stays() {
    let tool = spec(TOOL).with_limit_result(|_| Some(ToolOutput::text("later")));
    let yaml = "policy: { default: allow }\nservers: { s: { command: x, tools: { pay: { rename: transfer } } } }";
    let config = crate::config::Config::load("x", yaml, &|_| None).unwrap();
    let backend = Reshape::new(Echo(Mutex::new(vec![tool])), &config.servers["s"].tools);
    let offer = backend.offer().await.unwrap();
    let [tool] = &offer.tools[..] else { panic!() };
    assert!(tool.name() == "transfer" && tool.limit_result().is_some());
}

#[tokio::test]
async fn a_definition_is_edited_where_it_is_said_and_nowhere_else() {
    let backend = reshape(
        &[TOOL],
        "{ pay: { rename: transfer, title: T, description: D, annotations: { read_only: false },
           arguments: { from: { fix: me }, amount: { default: 5, description: A }, to: { rename: recipient }, note: { hide: true } } } }",
    );
    let offer = backend.offer().await.unwrap();
    let [tool] = &offer.tools[..] else { panic!() };
    assert_eq!(
        tool.definition().as_str(),
        r#"{"name":"transfer","x-vendor":1.0,"annotations":{"title":"P","v":2e0,"readOnlyHint":false},"inputSchema":{ "$schema":"s", "type":"object", "properties":{"amount":{"type":"integer","minimum":1.0,"description":"A","default":5},"recipient":{"type":"string"},"dry":true},
 "required":["recipient"], "additionalProperties":false },"title":"T","description":"D"}"#
    );
    assert_eq!(offer.remarks, [""; 0]);
    assert_eq!(tool.param_headers(), Ok::<&[ParamHeader], _>(&[]));
    assert_eq!(tool.annotations().read_only_hint, Some(false));
}

#[tokio::test]
async fn arguments_are_what_the_server_takes_whatever_the_client_sends() {
    let backend = reshape(
        &[TOOL],
        "{ pay: { arguments: { from: { fix: me }, amount: { default: 5 }, to: { rename: recipient }, note: { hide: true } } } }",
    );
    backend.offer().await.unwrap();
    for (sent, taken) in [
        ("{}", r#"{"amount":5,"from":"me"}"#),
        (
            r#"{"recipient":"x","amount":1.0}"#,
            r#"{"to":"x","amount":1.0,"from":"me"}"#,
        ),
        (
            r#"{"from":"evil","to":"evil","note":"evil","more":1}"#,
            r#"{"more":1,"amount":5,"from":"me"}"#,
        ),
        (
            r#"{"fr\u006fm":"evil","recipient":"x","to":"evil"}"#,
            r#"{"to":"x","amount":5,"from":"me"}"#,
        ),
        (r#"{"amount":null}"#, r#"{"amount":null,"from":"me"}"#),
    ] {
        let says = call(&backend, "pay", sent).await.unwrap();
        assert_eq!(says, format!("pay {taken}"), "{sent}");
    }
    let twice = call(&backend, "pay", r#"{"amount":1,"amount":2}"#).await;
    assert!(twice.unwrap().starts_with("invalid arguments"));
}

#[tokio::test]
async fn rules_see_what_the_server_gets_by_the_names_of_clients() {
    let text = "
default: allow
rules:
  - { id: few, effect: require, tools: [pay], when: \"!has(mcp.tool.arguments.total) || mcp.tool.arguments.total <= 100\" }
  - { id: mine, effect: require, tools: [pay], when: \"mcp.tool.arguments.from == 'me'\" }
  - { id: no-notes, effect: deny, tools: [pay], when: \"has(mcp.tool.arguments.note)\" }";
    for (default, sent, passes) in [
        (1000, "{}", false),
        (10, "{}", true),
        (1000, r#"{"total":100}"#, true),
        (10, r#"{"total":101}"#, false),
        // What the client sends of what it does not see counts for nothing.
        (10, r#"{"amount":101,"from":"evil","note":"x"}"#, true),
        (1000, r#"{"amount":1}"#, false),
        (10, r#"{"total":1,"total":1}"#, false),
    ] {
        let backend = reshape(
            &[TOOL],
            &format!(
                "{{ pay: {{ arguments: {{ from: {{ fix: me }}, amount: {{ default: {default}, rename: total }}, note: {{ hide: true }} }} }} }}"
            ),
        );
        let policy = PolicyEngine::compile(&PolicyConfig::from_yaml(text).unwrap()).unwrap();
        let gateway = Gateway::builder().backend(backend).policy(policy).build();
        let gateway = gateway.unwrap();
        gateway.refresh().await.unwrap();
        let meta = RequestMeta::new("1", Transport::InProcess);
        let incoming = Incoming::new(Caller::local(), meta);
        let raw = RawJson::parse(sent.to_owned()).unwrap();
        let call = ToolCall::new("pay", Arguments::from_raw(raw).unwrap());
        let answer = gateway.call_tool(&incoming, call).await;
        assert_eq!(answer.is_ok(), passes, "{default} {sent}: {answer:?}");
    }
}

#[test]
fn arguments_in_effect_are_named_once() {
    let backend = reshape(
        &[TOOL],
        "{ pay: { arguments: { from: { fix: me }, to: { rename: from }, amount: { default: 1 } } } }",
    );
    // The list was not asked for, so nothing is known of any tool.
    assert_eq!(backend.arguments_in_effect("pay", &Arguments::none()), None);
    let shape = &backend.shapes["pay"];
    let raw = RawJson::parse(r#"{"from":"x","to":"y","more":1.0}"#).unwrap();
    let seen = shape.in_effect(&Arguments::from_raw(raw).unwrap()).unwrap();
    let expected = r#"{"from":"x","more":1.0,"amount":1}"#;
    assert_eq!(seen.as_raw().as_str(), expected);
}

#[tokio::test]
async fn arguments_can_change_names_with_each_other() {
    let backend = reshape(
        &[TOOL],
        "{ pay: { arguments: { from: { rename: to }, to: { rename: from }, amount: { fix: null } } } }",
    );
    let offer = backend.offer().await.unwrap();
    assert_eq!(offer.remarks, [""; 0]);
    let says = call(&backend, "pay", r#"{"from":"a","to":"b"}"#)
        .await
        .unwrap();
    assert_eq!(says, r#"pay {"to":"a","from":"b","amount":null}"#);
}

#[tokio::test]
async fn names_lead_to_the_tool_that_is_shown_under_them() {
    let plain = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#);
    let tools = ["a", "b", "c", "d", "e"].map(plain);
    let backend = reshape(
        &tools.each_ref().map(String::as_str),
        "{ a: { rename: b }, b: { rename: a }, c: { hide: true }, e: { rename: d } }",
    );
    let offer = backend.offer().await.unwrap();
    let names: Vec<_> = offer.tools.iter().map(ToolSpec::name).collect();
    assert_eq!(names, ["b", "a", "d"]);
    assert_eq!(offer.left_out.len(), 1);
    assert_eq!(call(&backend, "a", "{}").await.as_deref(), Some("b {}"));
    assert_eq!(call(&backend, "b", "{}").await.as_deref(), Some("a {}"));
    assert_eq!(call(&backend, "d", "{}").await.as_deref(), Some("d {}"));
    for hidden in ["c", "e", "f"] {
        assert_eq!(call(&backend, hidden, "{}").await, None, "{hidden}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_said() {
    let backend = reshape(
        &[TOOL],
        "{ gone: { hide: true }, pay: { arguments: { typo: { fix: 1 }, to: { hide: true }, note: { rename: dry } } } }",
    );
    let offer = backend.offer().await.unwrap();
    assert_eq!(
        offer.remarks,
        [
            "the server has no tool `gone`, which `tools` is about",
            "tool `pay`, argument `to`: it is hidden, but the tool requires it",
            "tool `pay`, argument `typo`: the tool has no such argument",
            "tool `pay`, argument `note`: it hides the argument `dry`, whose name it takes",
        ]
    );
}

#[tokio::test]
async fn a_tool_that_cannot_be_reshaped_is_left_out() {
    for schema in [
        r#"{"properties":{"a":{},"a":{}}}"#,
        r#"{"properties":[]}"#,
        r#"{"required":"a"}"#,
        r#"{"properties":{},"properties":{}}"#,
    ] {
        let tool = format!(r#"{{"name":"t","inputSchema":{schema}}}"#);
        let backend = reshape(&[&tool], "{ t: { arguments: { a: { fix: 1 } } } }");
        let offer = backend.offer().await.unwrap();
        assert!(offer.tools.is_empty(), "{schema}");
        assert!(offer.left_out[0].reason.contains("reshaped"), "{schema}");
        assert_eq!(call(&backend, "t", "{}").await, None);
    }
}

#[test]
fn a_fixed_value_is_not_shown() {
    let text = "policy: { default: allow }\nservers: { s: { command: x, tools: { t: { arguments: { a: { fix: hush } } } } } }";
    let config = crate::config::Config::load("x", text, &|_| None).unwrap();
    assert!(!format!("{config:?} {}", config.explain()).contains("hush"));
}

#[tokio::test]
async fn the_contract_of_a_backend_is_kept() {
    backend_contract(&reshape(&[TOOL], "{ pay: { rename: x } }")).await;
}

fn fates() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i8>().prop_map(|n| json!({"fix": n})),
        any::<i8>().prop_map(|n| json!({"default": n})),
        Just(json!({"hide": true})),
        "[abcxy]".prop_map(|name| json!({"rename": name})),
        Just(json!({"description": "d"})),
    ]
}

proptest! {
    #[test]
    fn a_fixed_argument_is_fixed_and_no_name_comes_twice(
        shapes in prop::collection::btree_map("[abc]", fates(), 0..4),
        sent in prop::collection::btree_map("[abcxy]", 200..300_i32, 0..5),
    ) {
        let shapes: BTreeMap<String, crate::config::ArgumentShape> =
            serde_json::from_value(json!(shapes)).unwrap();
        let renames: Vec<_> = shapes.values().filter_map(|shape| shape.rename.clone()).collect();
        let distinct: std::collections::BTreeSet<_> = renames.iter().collect();
        prop_assume!(distinct.len() == renames.len());
        let tool = ToolShape { arguments: shapes.clone(), ..ToolShape::default() };
        let shape = Shape::of(&tool);
        let sent = Arguments::from_serialize(&sent).unwrap();
        let taken = shape.arguments(&sent).unwrap();
        let taken = taken.as_raw().members().expect("no name comes twice");
        for (name, shape) in &shapes {
            let value = taken.get(name).map(|value| value.get().to_owned());
            if let Some(fix) = &shape.fix {
                prop_assert_eq!(value, Some(fix.to_string()));
            } else if shape.hide {
                prop_assert_eq!(value, None);
            } else if shape.default.is_some() {
                prop_assert!(value.is_some());
            } else if let Some(shown) = &shape.rename {
                let sent = sent.as_raw().members().unwrap();
                let sent = sent.get(shown).map(|value| value.get().to_owned());
                prop_assert_eq!(value, sent);
            }
        }
    }
}

/// P-6: a tool that is renamed is the server's own to rules by the server's names.
#[tokio::test]
async fn rules_by_the_servers_names_go_on_meaning_what_is_renamed() {
    let plain = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let tools = [plain("read"), plain("drop"), plain("keep")];
    let rules = "rules: [{ id: a, effect: allow, tools: [read, keep], match: upstream_name }]";
    // `drop` is called what the rule allows.
    let shapes = "{ read: { rename: fetch }, drop: { rename: read } }";
    for (prefix, [fetch, read, keep]) in [
        (false, ["fetch", "read", "keep"]),
        (true, ["s__fetch", "s__read", "s__keep"]),
    ] {
        let tools: Vec<_> = tools.iter().map(String::as_str).collect();
        let backend = reshape(&tools, shapes);
        let own = backend.offer().await.unwrap().tools;
        let own: Vec<_> = own.iter().map(|tool| tool.own_name().to_string()).collect();
        assert_eq!(own, ["read", "drop", "keep"]);
        let policy = PolicyConfig::from_yaml(rules).unwrap();
        let builder = Gateway::builder().policy(PolicyEngine::compile(&policy).unwrap());
        let builder = if prefix {
            builder.backend_with_prefix("s", backend)
        } else {
            builder.backend(backend)
        };
        let gateway = builder.build().unwrap();
        gateway.refresh().await.unwrap();
        let meta = RequestMeta::new("1", Transport::Stdio);
        let incoming = Incoming::new(Caller::local(), meta);
        let page = gateway
            .list(&incoming, Feature::Tool, None, 9)
            .await
            .unwrap();
        let listed = page.items.iter().cloned().map(ToolSpec::from_definition);
        let listed: Vec<_> = listed.map(|tool| tool.unwrap().shared_name()).collect();
        assert_eq!(
            listed.iter().map(|name| &**name).collect::<Vec<_>>(),
            [fetch, keep]
        );
        for (name, takes) in [(fetch, Some("read")), (keep, Some("keep")), (read, None)] {
            let call = ToolCall::new(name, Arguments::none());
            let answer = gateway.call_tool(&incoming, call).await.ok();
            let answer = answer.map(|output| output.as_raw().to_string());
            match takes {
                Some(own) => assert!(answer.unwrap().contains(&format!("\"{own} {{}}")), "{name}"),
                None => assert_eq!(answer, None, "{name}"),
            }
        }
    }
}

#[tokio::test]
async fn a_tool_does_not_take_the_name_of_another_one_that_keeps_it() {
    let tools = ["echo", "ask"].map(|name| format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#));
    // Whichever the server lists first.
    for tools in [[&*tools[0], &*tools[1]], [&*tools[1], &*tools[0]]] {
        let backend = reshape(&tools, "{ echo: { rename: ask } }");
        let offer = backend.offer().await.unwrap();
        let names: Vec<_> = offer.tools.iter().map(ToolSpec::name).collect();
        assert_eq!(names, ["ask"]);
        assert_eq!(offer.left_out.len(), 1);
        assert!(
            call(&backend, "ask", "{}")
                .await
                .unwrap()
                .starts_with("ask ")
        );
        // Where the other one has another name, too, both have theirs.
        let backend = reshape(&tools, "{ echo: { rename: ask }, ask: { rename: echo } }");
        assert_eq!(backend.offer().await.unwrap().tools.len(), 2);
        assert!(
            call(&backend, "ask", "{}")
                .await
                .unwrap()
                .starts_with("echo ")
        );
    }
}
