use std::sync::Arc;

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Effect, Feature, Phase, RawJson, RequestMeta,
    Transport,
};
use serde_json::{Value, json};

use super::el::{Asked, translate};
use super::exact::Http;
use super::{ImportNoteKind, ImportedPolicy, import_mcp_acl};
use crate::PolicyEngine;

mod steps;

fn import(value: &Value) -> ImportedPolicy {
    import_mcp_acl(&value.to_string()).unwrap()
}

/// An ACL of one feature.
fn one(kind: &str, methods: &[&str], pattern: &str, value: Option<&str>, condition: &str) -> Value {
    json!({"authorizations": [{
        "authorizedFeatures": [{
            "type": kind, "methods": methods, "patternType": pattern, "patternValue": value,
        }],
        "condition": condition,
    }]})
}

/// What the policy says of these, for Ann, who has the claim `dept: sales`.
fn decides(policy: &Value, method: &str, name: &str, arguments: &str) -> Effect {
    let Value::Object(claims) = json!({"dept": "sales", "tags": ["a", "b"], "sub": "ann", "name": "MÜLLER", "nb": "a\u{a0}"})
    else {
        unreachable!()
    };
    let caller = Caller::new(CallerKind::OAuthClient, "ann").with_claims(claims);
    decides_for(&caller, policy, method, name, arguments)
}

fn decides_for(
    caller: &Caller,
    policy: &Value,
    method: &str,
    name: &str,
    arguments: &str,
) -> Effect {
    let engine = PolicyEngine::compile(&import(policy).policy).unwrap();
    let meta = RequestMeta::new("1", Transport::Http)
        .with_http(Some(Arc::new(Http)))
        .with_client_addr(Some("10.1.2.3".parse().unwrap()))
        .with_headers(vec![("x-tenant".to_owned(), "acme".to_owned())]);
    let feature = match method.split('/').next() {
        Some("tools") => Feature::Tool,
        Some("prompts") => Feature::Prompt,
        _ if method.contains("templates") => Feature::ResourceTemplate,
        _ => Feature::Resource,
    };
    let mut request = AccessRequest::new(caller, &meta, method, feature, name);
    let arguments = Arguments::from_raw(RawJson::parse(arguments.to_owned()).unwrap()).unwrap();
    if method.ends_with("/list") {
        request.phase = Phase::List;
    } else {
        request.arguments = Some(&arguments);
    }
    engine.decide_now(&request).effect()
}

fn kinds(policy: &Value) -> Vec<ImportNoteKind> {
    import(policy).notes.iter().map(|note| note.kind).collect()
}

#[test]
fn nothing_authorized_is_nothing_allowed() {
    for empty in [
        json!({}),
        json!({"authorizations": []}),
        json!({"authorizations": null}),
    ] {
        assert!(import(&empty).policy.rules.is_empty());
        assert_eq!(decides(&empty, "tools/list", "a", "{}"), Effect::Deny);
        assert_eq!(kinds(&empty), [ImportNoteKind::Assumed]);
    }
}

#[test]
fn each_method_is_granted_by_itself() {
    let all = [
        ("TOOLS", "TOOLS_LIST", "tools/list", "a"),
        ("TOOLS", "TOOLS_CALL", "tools/call", "a"),
        ("RESOURCES", "RESOURCES_LIST", "resources/list", "file:///a"),
        ("RESOURCES", "RESOURCES_READ", "resources/read", "file:///a"),
        (
            "RESOURCES",
            "RESOURCES_SUBSCRIBE",
            "resources/subscribe",
            "file:///a",
        ),
        (
            "RESOURCES",
            "RESOURCES_TEMPLATES_LIST",
            "resources/templates/list",
            "file:///{a}",
        ),
        ("PROMPTS", "PROMPTS_LIST", "prompts/list", "a"),
        ("PROMPTS", "PROMPTS_GET", "prompts/get", "a"),
    ];
    for (kind, granted, ..) in all {
        let policy = one(kind, &[granted], "ANY", None, "");
        for (_, other, method, name) in all {
            let expected = if granted == other {
                Effect::Allow
            } else {
                Effect::Deny
            };
            assert_eq!(
                decides(&policy, method, name, "{}"),
                expected,
                "{granted}: {method}"
            );
        }
    }
}

#[test]
fn patterns_mean_what_they_meant() {
    let allowed = |pattern: &str, value: &str, name: &str| {
        let policy = one("TOOLS", &["TOOLS_CALL"], pattern, Some(value), "");
        decides(&policy, "tools/call", name, "{}") == Effect::Allow
    };
    assert!(allowed("LITERAL", "get_a", "get_a"));
    assert!(!allowed("LITERAL", "get_a", "Get_a"));
    assert!(!allowed("LITERAL", "get_*", "get_a"));
    assert!(allowed("LITERAL", "get_*", "get_*"));
    assert!(allowed("LITERAL", "any", "any") && !allowed("LITERAL", "any", "other"));
    assert!(allowed("EXPRESSION", "get_*", "get_a") && !allowed("EXPRESSION", "get_*", "set_a"));
    assert!(allowed("EXPRESSION", "g?t", "get") && !allowed("EXPRESSION", "g?t", "gt"));
    // Special characters were refused once; a backslash is no escape there.
    assert!(allowed("EXPRESSION", "a.b[1]$(x)", "a.b[1]$(x)"));
    assert!(allowed("EXPRESSION", r"a\*", r"a\x") && !allowed("EXPRESSION", r"a\*", "a*"));
    assert!(allowed("ANY", "ignored", "anything"));
    // A URI that no request gets through with.
    let policy = one(
        "RESOURCES",
        &["RESOURCES_READ"],
        "LITERAL",
        Some("no uri"),
        "",
    );
    assert_eq!(kinds(&policy), [ImportNoteKind::Stricter]);
    assert!(import(&policy).policy.rules.is_empty());
}

#[test]
fn what_cannot_be_read_grants_nothing_and_is_told() {
    for (policy, kind) in [
        (
            one("TOOLS", &["TOOLS_CALL"], "LITERAL", None, ""),
            ImportNoteKind::Stricter,
        ),
        (
            one("TOOLS", &["TOOLS_CALL"], "EXPRESSION", Some(""), ""),
            ImportNoteKind::Stricter,
        ),
        (
            one(
                "TOOLS",
                &["TOOLS_CALL"],
                "LITERAL",
                Some("{#request.id}"),
                "",
            ),
            ImportNoteKind::Stricter,
        ),
        (
            one("TOOLS", &["TOOLS_CALL"], "LITERAL", Some("a\nb"), ""),
            ImportNoteKind::Stricter,
        ),
        (
            one("TOOLS", &["PROMPTS_GET"], "ANY", None, ""),
            ImportNoteKind::Ignored,
        ),
        (
            one("TOOLS", &["TOOL_CALL"], "ANY", None, ""),
            ImportNoteKind::Stricter,
        ),
        (one("TOOLS", &[], "ANY", None, ""), ImportNoteKind::Ignored),
    ] {
        assert_eq!(kinds(&policy), [kind], "{policy}");
        assert!(import(&policy).policy.rules.is_empty(), "{policy}");
    }
}

#[test]
fn the_defaults_of_the_schema_are_taken() {
    let policy = json!({"authorizations": [{"authorizedFeatures": [{"type": "TOOLS"}]}]});
    assert_eq!(decides(&policy, "tools/list", "a", "{}"), Effect::Allow);
    assert_eq!(decides(&policy, "tools/call", "a", "{}"), Effect::Deny);
    let wire = one("TOOLS", &["tools/call"], "ANY", None, "");
    assert_eq!(decides(&wire, "tools/call", "a", "{}"), Effect::Allow);
}

#[test]
fn a_step_of_a_flow_is_taken_too() {
    let acl = one("TOOLS", &["TOOLS_CALL"], "ANY", None, "");
    let step = json!({"name": "ACL", "policy": "mcp-acl", "configuration": acl});
    assert_eq!(decides(&step, "tools/call", "a", "{}"), Effect::Allow);
    let text = json!({"policy": "mcp-acl", "configuration": acl.to_string()});
    assert_eq!(decides(&text, "tools/call", "a", "{}"), Effect::Allow);
    let other = json!({"policy": "oauth2", "configuration": acl});
    assert!(import_mcp_acl(&other.to_string()).is_err());
}

#[test]
fn what_is_no_such_configuration_is_refused_with_its_place() {
    for (bad, says) in [
        ("[]", "not an object"),
        ("{", "EOF"),
        (
            r#"{"authorisations": []}"#,
            "unknown field `authorisations`",
        ),
        (
            r#"{"authorizations": [{}]}"#,
            "authorizations[0]: missing field `authorizedFeatures`",
        ),
        (
            r#"{"authorizations": [{"authorizedFeatures": [{"type": "TOOL"}]}]}"#,
            "authorizations[0].authorizedFeatures[0].type: unknown variant `TOOL`",
        ),
        (
            r#"{"authorizations": [{"authorizedFeatures": [{"type": "TOOLS", "patternType": "REGEX"}]}]}"#,
            "unknown variant `REGEX`",
        ),
    ] {
        let error = import_mcp_acl(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{bad}: {error}");
    }
}

/// What a condition comes to in a call of `get_a` with arguments, and in a list.
fn condition(el: &str) -> (Effect, Effect) {
    let policy = one("TOOLS", &["TOOLS_LIST", "TOOLS_CALL"], "ANY", None, el);
    (
        decides(&policy, "tools/call", "get_a", r#"{"n":5,"s":"xyz"}"#),
        decides(&policy, "tools/list", "get_a", "{}"),
    )
}

const YES: Effect = Effect::Allow;
const NO: Effect = Effect::Deny;

/// Conditions, with what they come to in a call and in a list.
const CONDITIONS: &[(&str, Effect, Effect)] = &[
    (
        "{#context.attributes['jwt.claims']['dept'] == 'sales'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'] eq 'sales'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'] == 'it'}",
        NO,
        NO,
    ),
    ("{#context.attributes['jwt.claims']['gone'] == 'x'}", NO, NO),
    (
        "{#context.attributes['jwt.claims']['gone'] == null}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'] != null}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'] != 'x'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'].startsWith('x')}",
        NO,
        NO,
    ),
    (
        "{(!(#context.attributes['jwt.claims']['gone'] == 'x'))}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['tags'].contains('b')}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].contains('ale')}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'] matches 'sa.*'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].matches('sal')}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].matches('x|sales')}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].toUpperCase() == 'SALES'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['user'] == 'ann' and not (#request.method == 'x')}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['user-id'].equals('ann') || false}",
        YES,
        YES,
    ),
    ("{#request.remoteAddress == '10.1.2.3'}", YES, YES),
    ("{#request.remoteAddress.startsWith('10.')}", YES, YES),
    (
        "{({'a', 'b'}.contains(#context.attributes['user']))}",
        NO,
        NO,
    ),
    (
        "{({'ann', 'b'}.contains(#context.attributes['user']))}",
        YES,
        YES,
    ),
    ("{#request.jsonContent.params.name == 'get_a'}", YES, NO),
    ("{#request.jsonContent.params.name != 'get_a'}", NO, NO),
    ("{#request.jsonContent.params.arguments.n < 10}", YES, NO),
    (
        "{#request.jsonContent.params.arguments.s == 'xyz'}",
        YES,
        NO,
    ),
    (
        "{#context.attributes['mcp_tool_name'].startsWith('get')}",
        YES,
        NO,
    ),
    ("{#request.jsonContent.method == 'tools/call'}", YES, NO),
    ("{#request.headers['X-Tenant'][0] == 'acme'}", YES, YES),
    ("{#request.headers['X-Gone'][0] == 'acme'}", NO, NO),
    ("{#request.headers['X-Gone'] == null}", YES, YES),
    ("{#request.headers['X-Tenant'].contains('acme')}", YES, YES),
    (
        "{#context.attributes['jwt.claims']['dept']['deep'] == null}",
        NO,
        NO,
    ),
    // The other language stops at an error, and takes a negation first.
    (
        "{#context.attributes['jwt.claims']['gone'].startsWith('x') || #context.attributes['user'] == 'ann'}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['user'] == 'ann' || #context.attributes['jwt.claims']['gone'].startsWith('x')}",
        YES,
        YES,
    ),
    (
        "{(!(#context.attributes['jwt.claims']['gone'].startsWith('x') && #context.attributes['user'] == 'root'))}",
        NO,
        NO,
    ),
    (
        "{(!(#context.attributes['user'] == 'root' && #context.attributes['jwt.claims']['gone'].startsWith('x')))}",
        YES,
        YES,
    ),
    ("{(!#context.attributes['user'] == 'root')}", NO, NO),
    ("{(not #context.attributes['user'] == 'root')}", NO, NO),
    (
        "{(!(#context.attributes['user'] == 'root') == true)}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'] > 5 || true}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'].isEmpty() || true}",
        NO,
        NO,
    ),
    (
        "{(true || #context.attributes['jwt.claims']['gone'].isEmpty())}",
        YES,
        YES,
    ),
    (
        "{(!(#context.attributes['jwt.claims']['gone'] == #context.attributes['jwt.claims']['lost']))}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['gone'] == #context.attributes['jwt.claims']['lost']}",
        YES,
        YES,
    ),
    (
        "{(!(#context.attributes['jwt.claims']['gone'] != #context.attributes['jwt.claims']['dept']))}",
        NO,
        NO,
    ),
    (
        "{(!#context.attributes['jwt.claims']['gone'].equals('x'))}",
        NO,
        NO,
    ),
    ("{('ann'.equals(#context.attributes['user']))}", YES, YES),
    (
        "{#context.attributes['jwt.claims']['name'].toLowerCase() != 'müller'}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['name'].toLowerCase() == 'müller'}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].toLowerCase() != 'müller'}",
        YES,
        YES,
    ),
    (
        "{#context.attributes['jwt.claims']['nb'].trim() == 'a'}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['nb'].trim() != 'a'}",
        NO,
        NO,
    ),
    (
        "{#context.attributes['jwt.claims']['dept'].trim() == 'sales'}",
        YES,
        YES,
    ),
    (
        "{(!#context.attributes['jwt.claims']['dept'].matches('\\<sales\\>'))}",
        YES,
        YES,
    ),
    ("{(true)}", YES, YES),
    ("true", YES, YES),
    ("false", NO, NO),
];

#[test]
fn conditions_mean_what_they_meant() {
    for &(el, call, list) in CONDITIONS {
        let note = import(&one("TOOLS", &["TOOLS_CALL"], "ANY", None, el));
        assert_eq!(condition(el), (call, list), "{el}: {note:?}");
    }
}

/// What is `null` for a caller without a credential; to look into it is an error.
#[test]
fn what_is_missing_lets_nobody_in() {
    let claims = "#context.attributes['jwt.claims']";
    let user = "#context.attributes['user']";
    let roles = "#context.attributes['user.roles']";
    let arguments = "#request.jsonContent.params.arguments";
    for (el, anonymous, key) in [
        // Who has a key may have no `user` there.
        (format!("{{{user} != null}}"), NO, NO),
        (format!("{{{user} == null}}"), YES, NO),
        (format!("{{{user} == 'k1'}}"), NO, NO),
        (format!("{{{user} != 'root'}}"), YES, NO),
        (format!("{{(!{user}.startsWith('guest'))}}"), NO, NO),
        (
            format!("{{#request.id == 'x' || {user}.isEmpty()}}"),
            NO,
            NO,
        ),
        (
            "{#context.attributes['user-id'] != null}".to_owned(),
            NO,
            YES,
        ),
        (
            "{#context.attributes['user-id'] == null}".to_owned(),
            NO,
            NO,
        ),
        (
            "{#context.attributes['application'] != null}".to_owned(),
            NO,
            YES,
        ),
        (
            "{#context.attributes['clientIdentifier'] != 'x'}".to_owned(),
            NO,
            YES,
        ),
        (
            "{#subscription.metadata['tier'] != 'gold'}".to_owned(),
            NO,
            NO,
        ),
        ("{#context.attributes['plan'] != 'gold'}".to_owned(), NO, NO),
        (format!("{{{roles} != null}}"), NO, NO),
        (format!("{{(!{roles}.contains('banned'))}}"), NO, NO),
        (format!("{{{roles}.isEmpty()}}"), NO, NO),
        (format!("{{{claims} != null}}"), NO, NO),
        (format!("{{{claims} == null}}"), YES, YES),
        (format!("{{{claims}['role'] != 'guest'}}"), NO, NO),
        (format!("{{{claims}['a'] == null}}"), NO, NO),
        (format!("{{(!({claims}['a'] == 'x'))}}"), NO, NO),
        (format!("{{{claims}['a'] == {claims}['b']}}"), NO, NO),
        (format!("{{{claims}['a'] < 5}}"), NO, NO),
        (
            format!("{{{claims} == null || {claims}['a'] != 'x'}}"),
            YES,
            YES,
        ),
        (
            format!("{{{user} != null || {claims}['a'] != 'x'}}"),
            NO,
            NO,
        ),
        (format!("{{{arguments}['a'] != 'x'}}"), NO, NO),
        (format!("{{{arguments}['a'] == null}}"), NO, NO),
        ("{#request.params['gone'][0] != 'x'}".to_owned(), NO, NO),
        ("{#request.params['gone'] == null}".to_owned(), YES, YES),
        ("{#request.headers['X-Gone'][0] != 'x'}".to_owned(), NO, NO),
        (
            "{(!(#request.headers['X-Gone'][0] == 'x'))}".to_owned(),
            NO,
            NO,
        ),
        (
            "{#request.headers['X-Tenant'][0] != 'x'}".to_owned(),
            YES,
            YES,
        ),
    ] {
        let policy = one("TOOLS", &["TOOLS_LIST", "TOOLS_CALL"], "ANY", None, &el);
        for (caller, expected) in [
            (Caller::anonymous(), anonymous),
            (Caller::new(CallerKind::ApiKey, "k1"), key),
        ] {
            let call = decides_for(&caller, &policy, "tools/call", "get_a", "{}");
            let list = decides_for(&caller, &policy, "tools/list", "get_a", "{}");
            assert_eq!((call, list), (expected, expected), "{el} for {}", caller.id);
        }
    }
}

/// Whether it counts as none there is not known.
#[test]
fn a_blank_condition_allows_nothing_and_is_told() {
    for (text, expected) in [("", YES), ("  ", NO), ("\t\n", NO)] {
        assert_eq!(condition(text), (expected, expected), "{text:?}");
    }
}

/// The other gateway has no parameters of a list to look into.
#[test]
fn lists_have_no_parameters_to_look_into() {
    let read = "#request.jsonContent.params.arguments['a'] != 'x'";
    for (el, call, list) in [
        (format!("{{{read}}}"), YES, NO),
        (format!("{{#request.id == '1' || {read}}}"), YES, YES),
        (format!("{{#request.id == '2' || {read}}}"), YES, NO),
        (format!("{{(!(#request.id == '2' && {read}))}}"), YES, YES),
        (format!("{{(!(#request.id == '1' && {read}))}}"), NO, NO),
        (
            "{#context.attributes['mcp_tool_name'] == null}".to_owned(),
            NO,
            YES,
        ),
    ] {
        assert_eq!(condition(&el), (call, list), "{el}");
    }
}

#[test]
fn conditions_that_cannot_be_translated_allow_nothing_and_are_told() {
    for el in [
        "{#context.attributes['user'].matches('[].]')}",
        "{#context.attributes['user'].matches('[^].]')}",
        "{#context.attributes['user'].matches('ann$|b')}",
        "{{1, 2}.contains(#context.attributes['jwt.claims']['n'])}",
        "{#context.attributes['jwt.claims']['n'].equals(5)}",
        "always",
        "x {#request.id == 'a'}",
        "{#request.id == 'a'} or {#request.id == 'b'}",
        "{T(java.lang.Math).random() > 0}",
        "{#jsonPath(#request.content, '$.a') == 'x'}",
        "{#request.content.contains('x')}",
        "{#context.attributes['api-key'] == 'x'}",
        "{#request.headers['Authorization'][0] == 'x'}",
        "{#request.headers['X-A'][1] == 'x'}",
        "{#api.properties['a'] == 'x'}",
        "{#dictionaries['a']['b'] == 'x'}",
        "{#context.attributes['jwt.claims']['a'] ? true : false}",
        "{#context.attributes['jwt.claims']['a'] + 'x' == 'y'}",
        "{#context.attributes['jwt.claims']['dept'] > 'a'}",
        "{'text'}",
        "{('text')}",
        // Texts there, and no expressions.
        "{true}",
        "{ \t#request.id == 'a'}",
        "{!(#request.id == 'a')}",
        "{!#context.attributes['user.roles'].contains('banned')}",
        "{not (#request.id == 'a')}",
        "{'ann'.equals(#context.attributes['user'])}",
        "{{'ann'}.contains(#context.attributes['user'])}",
        // They end early.
        "{#context.attributes['user'] != '}'}",
        "{#context.attributes['user'] != '{'}",
        "{({{'ann'}}.contains(#context.attributes['user']))}",
        // Whole numbers that the other language does not read, and doubles that it rounds.
        "{#context.attributes['jwt.claims']['n'] != 5000000000}",
        "{#context.attributes['jwt.claims']['n'] > 9007199254740992.0}",
        "{#context.attributes['jwt.claims']['n'] < #context.attributes['jwt.claims']['gone']}",
        // Lists and maps there, as wholes.
        "{#request.params['a'] != 'x'}",
        "{#context.attributes['jwt.claims'] == 'x'}",
        "{#request.remoteAddress != '::1'}",
        "{!#request.remoteAddress.startsWith('2001:db8::')}",
        "{({'::1'}.contains(#request.remoteAddress))}",
        "{#request.id}",
        "{#request.id == 'a}",
        "{}",
        "{#context.attributes['jwt.claims']['dept'].matches('a)|(sales')}",
        "{#context.attributes['jwt.claims']['dept'].matches('(?i)SALES')}",
        r"{#context.attributes['jwt.claims']['dept'].matches('\p{L}+')}",
        "{#context.attributes['jwt.claims']['dept'].matches('[a-z&&[^x]]+')}",
        "{#context.attributes['jwt.claims']['dept'].matches(#request.id)}",
        "{#context.attributes['jwt.claims']['dept'].length() == 5}",
        &format!("{{{}true{}}}", "(".repeat(40), ")".repeat(40)),
    ] {
        let policy = one("TOOLS", &["TOOLS_CALL"], "ANY", None, el);
        let kinds = kinds(&policy);
        assert!(kinds.contains(&ImportNoteKind::Stricter), "{el}: {kinds:?}");
        assert_eq!(condition(el), (Effect::Deny, Effect::Deny), "{el}");
    }
}

#[test]
fn literals_cannot_break_out_of_their_quotes() {
    let cel = translate(r"{#request.id == 'a'' || true || ''\'}", Asked::Use)
        .unwrap()
        .cel;
    assert_eq!(cel, r"request.id == 'a\' || true || \'\\'");
    let cel = translate(
        "{#context.attributes['jwt.claims']['a''].b'] == \"it's\"}",
        Asked::Use,
    )
    .unwrap();
    assert_eq!(
        cel.cel,
        r"size(jwt) > 0 && ('a\'].b' in jwt && jwt['a\'].b'] == 'it\'s')"
    );
}

#[test]
fn ascii_classes_stay_ascii() {
    let cel = translate(r"{#request.id.matches('\w+[\d.-]\.x.')}", Asked::Use)
        .unwrap()
        .cel;
    assert!(cel.contains(r"[A-Za-z0-9_]+[0-9.-]\\.x[^\\n"), "{cel}");
}

#[test]
fn arguments_are_those_of_what_the_feature_is() {
    let read = "{#request.jsonContent.params.arguments['s'] == 'xyz'}";
    for (kind, method, asked, name, expected) in [
        ("TOOLS", "TOOLS_CALL", "tools/call", "a", YES),
        ("PROMPTS", "PROMPTS_GET", "prompts/get", "a", YES),
        ("PROMPTS", "PROMPTS_LIST", "prompts/list", "a", NO),
        (
            "RESOURCES",
            "RESOURCES_READ",
            "resources/read",
            "file:///a",
            NO,
        ),
    ] {
        let policy = one(kind, &[method], "ANY", None, read);
        let arguments = r#"{"s":"xyz"}"#;
        assert_eq!(
            decides(&policy, asked, name, arguments),
            expected,
            "{asked}"
        );
        assert_eq!(decides(&policy, asked, name, "{}"), NO, "{asked}");
    }
}

#[test]
fn what_completion_needs_is_told() {
    let assumed = |kind: &str, methods: &[&str]| {
        let notes = import(&one(kind, methods, "ANY", None, "")).notes;
        notes.iter().any(|note| note.message.contains("completion"))
    };
    assert!(assumed("PROMPTS", &["PROMPTS_LIST"]));
    assert!(!assumed("PROMPTS", &["PROMPTS_LIST", "PROMPTS_GET"]));
    assert!(assumed("RESOURCES", &["RESOURCES_TEMPLATES_LIST"]));
    assert!(!assumed("TOOLS", &["TOOLS_LIST"]));
}

proptest::proptest! {
    #[test]
    fn any_condition_is_translated_or_refused(
        text in "[{}#a-z.\\[\\]'()=!&|<> 0-9\"\\\\]{0,40}",
    ) {
        let _ = translate(&text, Asked::Use);
        let _ = translate(&format!("{{{text}}}"), Asked::List);
    }
}
