//! Translated conditions beside an evaluator of the other language, written separately: what the
//! translation allows the original allows, whatever is missing or `null`.

use std::sync::{Arc, LazyLock};

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Feature, HttpFacts, Phase, RawJson, RequestMeta,
    Transport,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::el::{Asked, translate};
use crate::condition::{Condition, ConditionCompiler, ConditionLimits, Facts, Verdict};
use crate::rbac::Identity;

/// A part of a condition that is a truth, a value, or an error.
#[derive(Debug, Clone)]
enum Part {
    /// A variable with what stands in its brackets.
    Read(&'static str, &'static [&'static str]),
    Text(&'static str),
    Number(&'static str),
    Truth(bool),
    Null,
    List(&'static [&'static str]),
    Not(Box<Self>),
    Two(&'static str, Box<Self>, Box<Self>),
    Call(Box<Self>, &'static str, Option<Box<Self>>),
}

use Part::{Call, List, Not, Null, Number, Read, Text, Truth, Two};

const VARIABLES: &[(&str, &[&str])] = &[
    ("#context.attributes", &["jwt.claims", "s"]),
    ("#context.attributes", &["jwt.claims", "u"]),
    ("#context.attributes", &["jwt.claims", "t"]),
    ("#context.attributes", &["jwt.claims", "f"]),
    ("#context.attributes", &["jwt.claims", "l"]),
    ("#context.attributes", &["jwt.claims", "n"]),
    ("#context.attributes", &["jwt.claims", "i"]),
    ("#context.attributes", &["jwt.claims", "d"]),
    ("#context.attributes", &["jwt.claims", "k"]),
    ("#context.attributes", &["jwt.claims", "k2"]),
    ("#context.attributes", &["jwt.claims", "m"]),
    ("#context.attributes", &["jwt.claims", "m", "x"]),
    ("#context.attributes", &["jwt.claims", "m", "gone"]),
    ("#context.attributes", &["jwt.claims", "s", "x"]),
    ("#context.attributes", &["jwt.claims", "gone"]),
    ("#context.attributes", &["jwt.claims", "lost"]),
    ("#context.attributes", &["jwt.claims", "gone", "x"]),
    ("#context.attributes", &["jwt.claims"]),
    ("#context.attributes", &["user"]),
    ("#context.attributes", &["user-id"]),
    ("#context.attributes", &["user.roles"]),
    ("#context.attributes", &["application"]),
    ("#context.attributes", &["plan"]),
    ("#context.attributes", &["mcp_tool_name"]),
    ("#request.headers", &["X-A"]),
    ("#request.headers", &["X-A", "0"]),
    ("#request.headers", &["X-Gone"]),
    ("#request.headers", &["X-Gone", "0"]),
    ("#request.params", &["a"]),
    ("#request.params", &["a", "0"]),
    ("#request.params", &["gone"]),
    ("#request.params", &["gone", "0"]),
    ("#request.jsonContent.params", &["name"]),
    ("#request.jsonContent.params", &["uri"]),
    ("#request.jsonContent.params", &["arguments", "s"]),
    ("#request.jsonContent.params", &["arguments", "i"]),
    ("#request.jsonContent.params", &["arguments", "gone"]),
    ("#request.jsonContent.params", &["arguments", "gone", "x"]),
    ("#subscription.metadata", &["tier"]),
    ("#request.remoteAddress", &[]),
    ("#request.method", &[]),
];

impl Part {
    fn write(&self) -> String {
        match self {
            Read(variable, keys) => keys.iter().fold((*variable).to_owned(), |text, key| {
                if *key == "0" {
                    format!("{text}[0]")
                } else {
                    format!("{text}['{key}']")
                }
            }),
            Text(text) => format!("'{text}'"),
            Number(number) => (*number).to_owned(),
            Truth(truth) => truth.to_string(),
            Null => "null".to_owned(),
            List(items) => {
                let items: Vec<_> = items.iter().map(|item| format!("'{item}'")).collect();
                format!("{{{}}}", items.join(", "))
            }
            Not(part) => format!("!{}", part.write()),
            Two(sign, left, right) => format!("({} {sign} {})", left.write(), right.write()),
            Call(on, name, argument) => {
                let argument = argument.as_ref().map(|part| part.write());
                format!("{}.{name}({})", on.write(), argument.unwrap_or_default())
            }
        }
    }

    /// From left to right; an error ends it.
    fn value(&self, world: &Value) -> Option<Value> {
        let truth = |part: &Self| part.value(world)?.as_bool();
        Some(match self {
            Read(variable, keys) => {
                let start = world.get(*variable)?.clone();
                keys.iter().try_fold(start, index)?
            }
            Text(text) => json!(text),
            Number(number) => serde_json::from_str(number).unwrap(),
            Truth(truth) => json!(truth),
            Null => Value::Null,
            List(items) => json!(items),
            Not(part) => json!(!truth(part)?),
            Two("||", left, right) => json!(truth(left)? || truth(right)?),
            Two("&&", left, right) => json!(truth(left)? && truth(right)?),
            Two(sign, left, right) => {
                let (left, right) = (left.value(world)?, right.value(world)?);
                json!(match *sign {
                    "==" => same(&left, &right),
                    "!=" => !same(&left, &right),
                    "<" => order(&left, &right)?.is_lt(),
                    "<=" => order(&left, &right)?.is_le(),
                    ">" => order(&left, &right)?.is_gt(),
                    _ => order(&left, &right)?.is_ge(),
                })
            }
            Call(on, name, argument) => {
                let on = on.value(world)?;
                let argument = match argument {
                    Some(argument) => Some(argument.value(world)?),
                    None => None,
                };
                called(&on, name, argument.as_ref())?
            }
        })
    }
}

/// Of nothing and of a text it is an error, of a map `null` if it has no such member.
fn index(of: Value, key: &&str) -> Option<Value> {
    match (of, key.parse::<usize>()) {
        (Value::Object(members), Err(_)) => Some(members.get(*key).cloned().unwrap_or(Value::Null)),
        (Value::Array(items), Ok(at)) => items.get(at).cloned(),
        _ => None,
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
        _ => left == right,
    }
}

/// `null` comes first; what is not of one type has no order.
fn order(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Value::Null, right) => Some((!right.is_null()).cmp(&false).reverse()),
        (_, Value::Null) => Some(std::cmp::Ordering::Greater),
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn called(on: &Value, name: &str, argument: Option<&Value>) -> Option<Value> {
    Some(match (name, argument) {
        ("equals", Some(argument)) if !on.is_null() => json!(on == argument),
        ("startsWith", Some(argument)) => json!(on.as_str()?.starts_with(argument.as_str()?)),
        ("contains", Some(argument)) => match on {
            Value::Array(items) => json!(items.contains(argument)),
            on => json!(on.as_str()?.contains(argument.as_str()?)),
        },
        ("isEmpty", None) => match on {
            Value::Array(items) => json!(items.is_empty()),
            Value::Object(members) => json!(members.is_empty()),
            on => json!(on.as_str()?.is_empty()),
        },
        ("toLowerCase", None) => json!(on.as_str()?.to_lowercase()),
        _ => return None,
    })
}

/// Who asks, for what, with what.
#[derive(Debug, Clone)]
struct Scene {
    caller: Caller,
    arguments: Option<Value>,
    is_list: bool,
}

#[derive(Debug)]
pub(super) struct Http;

impl HttpFacts for Http {
    fn method(&self) -> &'static str {
        "POST"
    }
    fn scheme(&self) -> &'static str {
        "https"
    }
    fn host(&self) -> Option<&'static str> {
        Some("a")
    }
    fn path(&self) -> &'static str {
        "/mcp"
    }
    fn query(&self) -> Option<&'static str> {
        Some("a=ab")
    }
    fn headers(&self) -> Vec<(&'static str, &'static str)> {
        vec![("x-a", "ab"), ("x-tenant", "acme")]
    }
}

impl Scene {
    fn all() -> Vec<Self> {
        let claims = |sub: &str| -> Map<String, Value> {
            let claims = json!({
                "sub": sub, "s": "ab", "u": "Ä", "t": true, "f": false, "l": ["a"], "n": null, "i": 5,
                "d": 5.0, "k": [5], "k2": [5.0], "m": {"x": "a"}, "metadata": {"tier": "a"},
            });
            claims.as_object().cloned().unwrap()
        };
        let callers = [
            Caller::anonymous(),
            Caller::new(CallerKind::ApiKey, "a"),
            Caller::new(CallerKind::ApiKey, "a").with_roles(["a"]),
            Caller::new(CallerKind::OAuthClient, "ab").with_claims(claims("ab")),
            Caller::new(CallerKind::User, "a")
                .with_claims(claims("a"))
                .with_roles(["a", "ab"]),
        ];
        let mut scenes = Vec::new();
        for caller in callers {
            for (arguments, is_list) in [
                (None, false),
                (Some(json!({})), false),
                (Some(json!({"s": "ab", "i": 5})), false),
                (None, true),
            ] {
                let caller = caller.clone();
                scenes.push(Self {
                    caller,
                    arguments,
                    is_list,
                });
            }
        }
        scenes
    }

    /// What the other gateway may see in this scene: where it is not known, one world for each case.
    fn worlds(&self) -> Vec<Value> {
        let caller = &self.caller;
        let is_known = caller.kind != CallerKind::Anonymous;
        let claims = caller.claims.clone();
        let user = claims.get("sub").cloned().unwrap_or(json!(&*caller.id));
        let unsure = |is_sure: bool, value: Value, others: &[Value]| {
            if is_sure {
                vec![value]
            } else {
                others.to_vec()
            }
        };
        let has_roles = !caller.roles.is_empty();
        let nobody = [Value::Null, json!("1"), json!("a"), json!("")];
        let mut params = json!({"name": "t", "arguments": self.arguments});
        if self.arguments.is_none() {
            params = json!({"name": "t"});
        }
        let mut worlds = Vec::new();
        for user_id in unsure(is_known, user.clone(), &nobody) {
            for roles in unsure(has_roles, json!(caller.roles), &[Value::Null, json!([])]) {
                for params in unsure(!self.is_list, params.clone(), &[Value::Null, json!({})]) {
                    for plan in &nobody {
                        let mut attributes = json!({
                            "user-id": user_id, "application": user_id, "user.roles": roles,
                            "plan": plan,
                        });
                        if caller.kind == CallerKind::ApiKey {
                            attributes["user"] = plan.clone();
                        } else if is_known {
                            attributes["user"] = user.clone();
                        }
                        if !claims.is_empty() {
                            attributes["jwt.claims"] = json!(claims);
                        }
                        if !self.is_list {
                            attributes["mcp_tool_name"] = json!("t");
                        }
                        worlds.push(json!({
                            "#context.attributes": attributes,
                            "#request.headers": {"X-A": ["ab"]},
                            "#request.params": {"a": ["ab", "other"]},
                            "#request.jsonContent.params": params,
                            "#subscription.metadata": claims.get("metadata"),
                            "#request.remoteAddress": "10.1.2.3",
                            "#request.method": "POST",
                        }));
                    }
                }
            }
        }
        worlds
    }

    /// Whether the translation allows it.
    fn is_allowed(&self, condition: &Condition) -> bool {
        let meta = RequestMeta::new("1", Transport::Http)
            .with_http(Some(Arc::new(Http)))
            .with_client_addr(Some("10.1.2.3".parse().unwrap()));
        let identity = Identity::of(&self.caller);
        let facts = Facts::new(&self.caller, &identity, &meta);
        let method = if self.is_list {
            "tools/list"
        } else {
            "tools/call"
        };
        let mut request = AccessRequest::new(&self.caller, &meta, method, Feature::Tool, "t");
        let arguments = self.arguments.as_ref().map(|arguments| {
            Arguments::from_raw(RawJson::parse(arguments.to_string()).unwrap()).unwrap()
        });
        request.arguments = arguments.as_ref();
        if self.is_list {
            request.phase = Phase::List;
        }
        condition.evaluate(&facts.of(&request, request.name)) == Verdict::True
    }
}

/// All scenes, with what the other gateway may see in them.
static SCENES: LazyLock<Vec<(Scene, Vec<Value>)>> = LazyLock::new(|| {
    let scenes = Scene::all().into_iter();
    scenes
        .map(|scene| (scene.clone(), scene.worlds()))
        .collect()
});

fn part() -> impl Strategy<Value = Part> {
    let read = prop::sample::select(VARIABLES);
    let text = prop::sample::select(vec!["a", "ab", "ä", "t", "10.1.2.3", "POST", "gone"]);
    let number = prop::sample::select(vec!["5", "4", "5.0", "-1"]);
    let leaf = prop_oneof![
        8 => read.prop_map(|(variable, keys)| Read(variable, keys)),
        3 => text.prop_map(Text),
        1 => number.prop_map(Number),
        1 => any::<bool>().prop_map(Truth),
        2 => Just(Null),
        1 => Just(List(&["a", "ab"])),
    ];
    let name = prop::sample::select(vec![
        "equals",
        "startsWith",
        "contains",
        "isEmpty",
        "toLowerCase",
    ]);
    let call = (leaf.clone(), name, leaf.clone()).prop_map(|(on, name, argument)| {
        let takes = !matches!(name, "isEmpty" | "toLowerCase");
        Call(Box::new(on), name, takes.then(|| Box::new(argument)))
    });
    let sign = prop::sample::select(vec!["==", "!=", "==", "!=", "<", "<=", ">", ">="]);
    let two = (sign, leaf.clone(), leaf.clone())
        .prop_map(|(sign, left, right)| Two(sign, Box::new(left), Box::new(right)));
    prop_oneof![1 => leaf, 2 => call, 3 => two].prop_recursive(4, 24, 2, |inner| {
        let sign = prop::sample::select(vec!["||", "&&", "||", "&&", "==", "!="]);
        prop_oneof![
            1 => inner.clone().prop_map(|part| Not(Box::new(part))),
            3 => (sign, inner.clone(), inner)
                .prop_map(|(sign, left, right)| Two(sign, Box::new(left), Box::new(right))),
        ]
    })
}

/// The scene in which the translation of `part` allows what the original does not. Says, too, how often
/// both allow and how often only the original does.
fn too_much(part: &Part) -> (Option<String>, usize, usize) {
    let text = format!("{{({})}}", part.write());
    let Ok(call) = translate(&text, Asked::Use) else {
        return (None, 0, 0);
    };
    let list = if call.reads_params {
        translate(&text, Asked::List).map_or_else(|_| "false".to_owned(), |list| list.cel)
    } else {
        call.cel.clone()
    };
    let compiler = ConditionCompiler::new(&Map::new(), &ConditionLimits::default());
    let conditions = [&call.cel, &list].map(|cel| compiler.compile(cel).unwrap());
    let (mut both, mut stricter) = (0, 0);
    for (scene, worlds) in &*SCENES {
        let (cel, condition) = match (scene.is_list, &conditions) {
            (false, [condition, _]) => (&call.cel, condition),
            (true, [_, condition]) => (&list, condition),
        };
        let original = worlds
            .iter()
            .all(|world| part.value(world) == Some(json!(true)));
        match (scene.is_allowed(condition), original) {
            (true, false) => {
                let told = format!("{text} as {cel} for {scene:?}");
                return (Some(told), both, stricter);
            }
            (true, true) => both += 1,
            (false, true) => stricter += 1,
            (false, false) => {}
        }
    }
    (None, both, stricter)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_translation_never_allows_more(part in part()) {
        let (more, ..) = too_much(&part);
        prop_assert_eq!(more, None);
    }
}

/// All comparisons and calls of two leaves, and their negations.
#[test]
fn no_shape_allows_more() {
    let mut leaves: Vec<Part> = VARIABLES
        .iter()
        .map(|(variable, keys)| Read(variable, keys))
        .collect();
    leaves.extend([
        Text("ab"),
        Text("a"),
        Number("5"),
        Number("4"),
        Null,
        Truth(true),
    ]);
    leaves.push(List(&["a", "ab"]));
    let (mut both, mut stricter) = (0, 0);
    let mut found = Vec::new();
    let mut look = |part: Part| {
        for part in [part.clone(), Not(Box::new(part))] {
            let (more, also, less) = too_much(&part);
            found.extend(more);
            both += also;
            stricter += less;
        }
    };
    for left in &leaves {
        for name in ["isEmpty", "toLowerCase"] {
            look(Call(Box::new(left.clone()), name, None));
        }
        let is_other = |right: &&Part| match right {
            Read(_, keys) => matches!(keys, ["mcp_tool_name" | "user" | "user-id"]),
            _ => true,
        };
        for right in leaves.iter().filter(is_other) {
            for sign in ["==", "!=", "<", ">="] {
                look(Two(sign, Box::new(left.clone()), Box::new(right.clone())));
                look(Two(sign, Box::new(right.clone()), Box::new(left.clone())));
            }
            for name in ["equals", "startsWith", "contains"] {
                look(Call(
                    Box::new(left.clone()),
                    name,
                    Some(Box::new(right.clone())),
                ));
                look(Call(
                    Box::new(right.clone()),
                    name,
                    Some(Box::new(left.clone())),
                ));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    // It is not safe by refusing everything.
    assert!(both > 1000 && stricter < both / 4, "{both} {stricter}");
}
