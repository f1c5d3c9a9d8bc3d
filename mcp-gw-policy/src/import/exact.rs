//! Translated conditions beside an evaluator of the other language, written separately: what the
//! translation allows the original allows.

use mcp_gw_core::{AccessRequest, Caller, CallerKind, Feature, RequestMeta, Transport};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::el::translate;
use crate::condition::{ConditionCompiler, ConditionLimits, Facts, Verdict};
use crate::rbac::Identity;

/// A part of a condition that is a truth, a value, or an error.
#[derive(Debug, Clone)]
enum Part {
    Claim(&'static str),
    Text(&'static str),
    Truth(bool),
    Null,
    Not(Box<Self>),
    Two(&'static str, Box<Self>, Box<Self>),
    Call(Box<Self>, &'static str, Option<&'static str>),
}

use Part::{Call, Claim, Not, Null, Text, Truth, Two};

impl Part {
    fn write(&self) -> String {
        match self {
            Claim(name) => format!("#context.attributes['jwt.claims']['{name}']"),
            Text(text) => format!("'{text}'"),
            Truth(truth) => truth.to_string(),
            Null => "null".to_owned(),
            Not(part) => format!("!{}", part.write()),
            Two(sign, left, right) => format!("({} {sign} {})", left.write(), right.write()),
            Call(on, name, argument) => {
                let argument = argument.map(|text| format!("'{text}'"));
                format!("{}.{name}({})", on.write(), argument.unwrap_or_default())
            }
        }
    }

    /// From left to right; an error ends it.
    fn value(&self, claims: &Value) -> Option<Value> {
        let truth = |part: &Self| part.value(claims)?.as_bool();
        Some(match self {
            Claim(name) => claims[*name].clone(),
            Text(text) => json!(text),
            Truth(truth) => json!(truth),
            Null => Value::Null,
            Not(part) => json!(!truth(part)?),
            Two("||", left, right) => json!(truth(left)? || truth(right)?),
            Two("&&", left, right) => json!(truth(left)? && truth(right)?),
            Two("==", left, right) => json!(left.value(claims)? == right.value(claims)?),
            Two(_, left, right) => json!(left.value(claims)? != right.value(claims)?),
            Call(on, name, argument) => {
                let on = on.value(claims)?;
                match (*name, argument) {
                    ("equals", Some(argument)) if !on.is_null() => json!(on == *argument),
                    ("startsWith", Some(argument)) => json!(on.as_str()?.starts_with(argument)),
                    ("contains", Some(argument)) => match on {
                        Value::Array(items) => json!(items.contains(&json!(argument))),
                        on => json!(on.as_str()?.contains(argument)),
                    },
                    ("isEmpty", None) => match on {
                        Value::Array(items) => json!(items.is_empty()),
                        on => json!(on.as_str()?.is_empty()),
                    },
                    ("toLowerCase", None) => json!(on.as_str()?.to_lowercase()),
                    _ => return None,
                }
            }
        })
    }
}

fn part() -> impl Strategy<Value = Part> {
    let claim = prop::sample::select(vec!["s", "u", "t", "f", "l", "n", "gone", "lost"]);
    let text = prop::sample::select(vec!["a", "ab", "ä"]);
    let leaf = prop_oneof![
        4 => claim.prop_map(Claim),
        2 => text.clone().prop_map(Text),
        1 => any::<bool>().prop_map(Truth),
        1 => Just(Null),
    ];
    let call = (
        leaf.clone(),
        prop::sample::select(vec![
            "equals",
            "startsWith",
            "contains",
            "isEmpty",
            "toLowerCase",
        ]),
        text,
    );
    let call = call.prop_map(|(on, name, text)| {
        let takes = !matches!(name, "isEmpty" | "toLowerCase");
        Call(Box::new(on), name, takes.then_some(text))
    });
    prop_oneof![leaf, call].prop_recursive(4, 24, 2, |inner| {
        let sign = prop::sample::select(vec!["||", "&&", "==", "!="]);
        prop_oneof![
            1 => inner.clone().prop_map(|part| Not(Box::new(part))),
            3 => (sign, inner.clone(), inner)
                .prop_map(|(sign, left, right)| Two(sign, Box::new(left), Box::new(right))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_translation_never_allows_more(part in part()) {
        let Ok(translated) = translate(&format!("{{{}}}", part.write()), false) else {
            return Ok(());
        };
        let claims = json!({"s": "ab", "u": "Ä", "t": true, "f": false, "l": ["a"], "n": null});
        let Value::Object(members) = claims.clone() else {
            unreachable!()
        };
        let caller = Caller::new(CallerKind::OAuthClient, "ann").with_claims(members);
        let meta = RequestMeta::new("1", Transport::Http);
        let identity = Identity::of(&caller);
        let facts = Facts::new(&caller, &identity, &meta);
        let request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "t");
        let condition = ConditionCompiler::new(&Map::new(), &ConditionLimits::default())
            .compile(&translated.cel)
            .unwrap();
        if condition.evaluate(&facts.of(&request)) == Verdict::True {
            let value = part.value(&claims);
            prop_assert_eq!(value, Some(json!(true)), "{} as {}", part.write(), translated.cel);
        }
    }
}
