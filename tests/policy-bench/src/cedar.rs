//! The same rules and the same question, asked of Cedar.

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use mcp_gw_core::{RequestMeta, Transport};
use mcp_gw_policy::PolicyEngine;

use crate::rules::Shape;
use crate::time::{Row, once};

/// Both engines with the policy [`Shape::Literals`]: each rule allows one tool to one role.
pub fn beside(rules: usize) {
    let [name, _] = Shape::Literals.names(rules);
    let engine = PolicyEngine::compile(&Shape::Literals.policy(rules)).expect("the policy is good");
    let (caller, meta) = (crate::caller(), RequestMeta::new("1", Transport::Http));
    let request = crate::call(&caller, &meta, &name);
    let ours = engine.decide_now(&request).is_allowed();
    let timing = once(CALLS, || engine.decide_now(&request));
    Row::new(&format!("this engine: {name}"), rules, timing, effect(ours)).print();

    let cedar = Cedar::new(rules);
    let request = cedar.request(&name);
    let theirs = cedar.allows(&request);
    assert_eq!(ours, theirs, "both engines say the same of {name}");
    let timing = once(CALLS, || cedar.allows(&request));
    Row::new(&format!("Cedar: {name}"), rules, timing, effect(theirs)).print();
}

const CALLS: usize = 1_000;

const fn effect(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
}

impl Cedar {
    fn new(rules: usize) -> Self {
        let policies: String = (0..rules)
            .map(|at| {
                format!(
                    "permit(principal in Role::\"role_{}\", action in [Action::\"tools/list\", \
                     Action::\"tools/call\"], resource == Tool::\"tool_{at}\");\n",
                    at % 10
                )
            })
            .collect();
        let entities = r#"[
            { "uid": { "type": "User", "id": "ann" }, "attrs": {},
              "parents": [{ "type": "Role", "id": "role_1" }, { "type": "Role", "id": "role_7" }] }
        ]"#;
        Self {
            authorizer: Authorizer::new(),
            policies: policies.parse().expect("the policies are good"),
            entities: Entities::from_json_str(entities, None).expect("the entities are good"),
        }
    }

    fn request(&self, tool: &str) -> Request {
        let uid = |text: &str| -> EntityUid { text.parse().expect("a good id") };
        Request::new(
            uid("User::\"ann\""),
            uid("Action::\"tools/call\""),
            uid(&format!("Tool::\"{tool}\"")),
            Context::empty(),
            None,
        )
        .expect("a good request")
    }

    fn allows(&self, request: &Request) -> bool {
        let response = self
            .authorizer
            .is_authorized(request, &self.policies, &self.entities);
        response.decision() == Decision::Allow
    }
}
