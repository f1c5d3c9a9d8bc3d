use mcp_gw_core::{
    AllowAll, Backend, BackendError, CallContext, ItemSpec, Mounting, Naming, Offer, RawJson,
    ToolCall, ToolOutput, ToolSpec, async_trait,
};

use super::*;

/// Offers one of everything, by names that all such servers have.
struct Server(&'static str);

#[async_trait]
impl Backend for Server {
    fn name(&self) -> &str {
        self.0
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let item = |feature, text: &str| {
            let raw = RawJson::parse(text.to_owned()).unwrap();
            ItemSpec::from_definition(feature, raw).unwrap()
        };
        let tools = ["delete_all", "get"].map(|name| ToolSpec::new(name, "").unwrap());
        let mut offer = Offer::of_tools(tools.into());
        offer.resources = vec![item(Feature::Resource, r#"{"uri":"file:///secret/key"}"#)];
        offer.resource_templates = vec![item(
            Feature::ResourceTemplate,
            r#"{"uriTemplate":"mail://box/{id}"}"#,
        )];
        offer.prompts = vec![item(Feature::Prompt, r#"{"name":"hidden"}"#)];
        Ok(offer)
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }
}

async fn gateway(servers: &[(&'static str, Naming)]) -> Gateway {
    let mut builder = Gateway::builder().policy(AllowAll::new());
    for (name, naming) in servers {
        builder = builder.mount(Server(name), Mounting::new(*naming, *name));
    }
    let gateway = builder.build().unwrap();
    gateway.refresh().await.unwrap();
    gateway
}

fn policy(rules: &str) -> PolicyConfig {
    PolicyConfig::from_yaml(&format!("default: allow\n{rules}")).unwrap()
}

async fn told(servers: &[(&'static str, Naming)], rules: &str) -> Vec<String> {
    misnamed(&gateway(servers).await, &policy(rules))
}

const ALWAYS: [(&str, Naming); 2] = [("up", Naming::Always), ("two", Naming::Always)];

#[tokio::test]
async fn rules_by_names_that_nobody_sees_are_told_of_with_the_names_to_see() {
    let rule = |what: &str| format!("rules: [{{ id: no, effect: deny, {what} }}]");
    for (what, names) in [
        (
            "tools: [delete_all]",
            &["`delete_all` of server `up` is `up__delete_all`", "`two__"][..],
        ),
        ("tools: [\"delete_*\"]", &["`up__delete_all`"]),
        ("tools: [{ literal: delete_all }]", &["`up__delete_all`"]),
        (
            "tools: [{ regex: \"delete_(all|one)\" }]",
            &["`up__delete_all`"],
        ),
        (
            "tools: [delete_all], servers: [two]",
            &["`two__delete_all`"],
        ),
        (
            "resources: [\"file:///secret/*\"]",
            &["`file:///secret/key` of server `up` is `up+file:///secret/key`"],
        ),
        (
            "resources: [\"mail://box/priv*\"]",
            &["`mail://box/priv*` of server `up` is `up+mail://box/priv*`"],
        ),
        (
            "resource_templates: [\"mail://box/{id}\"]",
            &["`up+mail://box/{id}`"],
        ),
        (
            "prompts: [hidden]",
            &["`hidden` of server `up` is `up__hidden`"],
        ),
        (
            "tools: [delete_all], when: \"false\", who: { ids: [nobody] }, methods: [list]",
            &["`up__delete_all`"],
        ),
        ("tools: [delete_all], mode: shadow", &["`up__delete_all`"]),
    ] {
        let lines = told(&ALWAYS, &rule(what)).await;
        assert_eq!(lines.len(), 1, "{what}: {lines:?}");
        let start = "policy.rules[0]: the rule `no` does not refuse what it may mean: ";
        assert!(lines[0].starts_with(start), "{what}: {lines:?}");
        for name in names {
            assert!(lines[0].contains(name), "{what}: no {name} in {lines:?}");
        }
        let plain = [("up", Naming::Never)];
        assert_eq!(told(&plain, &rule(what)).await, [""; 0], "{what}");
    }
    for what in [
        "tools: [\"*delete_all\"]",
        "tools: [up__delete_all, delete_all]",
        "tools: [delete_all], match: upstream_name",
        "tools: [delete_all], servers: [none]",
        "tools: [never_there]",
        "tools: [any]",
        "resources: [\"up+mail://box/*\", \"mail://box/*\"], servers: [up]",
        "servers: [up]",
    ] {
        assert_eq!(told(&ALWAYS, &rule(what)).await, [""; 0], "{what}");
    }
}

#[tokio::test]
async fn every_layer_is_looked_at_and_rules_that_allow_are_not() {
    let rules = "
servers:
  two: { default: allow, rules: [{ id: a, effect: require, tools: [delete_all], who: { ids: [x] } }] }
consumers:
  - { name: c, who: { ids: [x] }, default: allow, rules: [{ id: b, effect: deny, prompts: [hidden] }] }
scopes: { required: [{ tools: [delete_all], scopes: [s] }] }
rules: [{ id: c, effect: allow, tools: [delete_all] }]";
    let lines = told(&ALWAYS, rules).await;
    for (line, parts) in lines.iter().zip([
        ["policy.servers.two.rules[0]", "`a`", "`two__delete_all`"],
        ["policy.consumers[0].rules[0]", "`b`", "`up__hidden`"],
        ["policy.scopes.required[0]", "the rule ", "`up__delete_all`"],
    ]) {
        for part in parts {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(!lines[0].contains("`up__"), "{lines:?}");
}

#[tokio::test]
async fn what_gets_another_name_is_noticed_once_and_whatever_else_is_refused() {
    let plain = gateway(&[("up", Naming::Never)]).await;
    let both = gateway(&[("up", Naming::Always), ("two", Naming::Never)]).await;
    let policy = policy("rules: [{ id: no, effect: deny, tools: [delete_all] }]");
    let watch = NameWatch::new(&policy);
    assert_eq!(watch.note(&plain.catalogue()), []);
    // A server may be away for a while before it has another name.
    let empty = Gateway::builder().build().unwrap();
    assert_eq!(watch.note(&empty.catalogue()), []);
    // The rule refuses something still: that of the other server.
    assert_eq!(misnamed(&both, &policy), [""; 0]);
    let renamed = watch.note(&both.catalogue());
    let lines = lost(&policy, &renamed);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let says = "`delete_all` of server `up` is `up__delete_all`;";
    assert!(lines[0].contains(says), "{lines:?}");
    assert_eq!(watch.note(&both.catalogue()), []);
}

#[test]
fn many_names_are_said_in_short() {
    let policy = policy("rules: [{ id: no, effect: deny, tools: [\"t*\"] }]");
    let renamed = |n: usize| Renamed {
        item: Item {
            feature: Feature::Tool,
            server: "up".into(),
            own: format!("t{n}").into(),
        },
        old: format!("t{n}").into(),
        new: format!("up__t{n}").into(),
    };
    let lines = lost(&policy, &(0..9).map(renamed).collect::<Vec<_>>());
    assert!(
        lines[0].contains("`up__t2`, and so on, 6 more;"),
        "{lines:?}"
    );
}
