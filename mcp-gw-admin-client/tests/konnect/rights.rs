//! What is listed follows what can be learnt of the token, and the organization lets people in or not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use mcp_gw_admin_client::tools::konnect::Visibility;
use mcp_gw_core::testing::{backend_contract, call_context};
use mcp_gw_core::{
    AllowAll, Arguments, BackendError, BackendEvent, BackendListener, Caller, Extras, Gateway,
    GatewayEvent, GatewayListener, ItemSpec, NoClient, PromptGet,
};

use super::*;

/// The person of the token.
const ME: &str = "11111111-2222-4333-8444-555555555555";
const TEAM: &str = "99999999-2222-4333-8444-555555555555";
const ALL: usize = 12;

fn me() -> Plan {
    on("GET /v3/users/me").body(json!({"id": ME, "email": "jack@example.com"}).to_string())
}

fn organization(state: &str) -> Plan {
    organization_of(CP, state)
}

fn organization_of(id: &str, state: &str) -> Plan {
    on("GET /v3/organizations/me")
        .body(json!({"id": id, "name": "Acme", "state": state}).to_string())
}

fn paged(path: &str, items: &Value) -> Plan {
    let page = json!({"number": 1, "size": 100, "total": items.as_array().unwrap().len()});
    on(&format!("GET {path}?page%5Bsize%5D=100&page%5Bnumber%5D=1"))
        .body(json!({"data": items, "meta": {"page": page}}).to_string())
}

fn role(name: &str) -> Value {
    json!({"id": ID, "role_name": name, "entity_id": CP, "entity_type_name": "Control Planes", "entity_region": "eu"})
}

fn roles(items: &Value) -> Plan {
    paged(&format!("/v3/users/{ME}/assigned-roles"), items)
}

fn teams(items: &Value) -> Plan {
    paged(&format!("/v3/users/{ME}/teams"), items)
}

/// Who has these roles, and is in no team.
fn person(items: &Value) -> Vec<Plan> {
    vec![
        organization("active"),
        me(),
        roles(items),
        teams(&json!([])),
    ]
}

/// Whether requests can be seen is found out by asking for one.
fn one_request() -> Plan {
    on("POST /v2/api-requests").body(r#"{"results":[],"meta":{}}"#)
}

fn one_plane() -> Plan {
    on("GET /v2/control-planes?page%5Bsize%5D=1&page%5Bnumber%5D=1")
        .body(r#"{"data":[],"meta":{"page":{"total":0}}}"#)
}

fn refused(plan: Plan, status: u16) -> Plan {
    let body =
        json!({"status": status, "title": "no", "instance": "konnect:trace:1", "detail": TOKEN});
    plan.status(status).body(body.to_string())
}

impl Setup {
    /// What is listed after the rights were asked for, if it was time.
    async fn listed(&self) -> Vec<String> {
        let offer = self.backend.offer().await.unwrap();
        assert!(!format!("{:?}", offer.remarks).contains(TOKEN));
        offer
            .tools
            .iter()
            .map(|tool| tool.name().to_owned())
            .collect()
    }

    async fn excluded(&self) -> Vec<String> {
        let mut all = listed::names(&*konnect_backend(&Self::all(), Parts::default()).unwrap());
        let listed = self.listed().await;
        all.retain(|name| !listed.contains(name));
        all
    }

    fn all() -> KonnectConfig {
        KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()))
            .with_visibility(Visibility::All)
    }

    fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        plans.into_iter().for_each(|plan| self.api.plan(plan));
    }
}

/// As if so much time had gone by.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_the_roles_exclude_is_not_listed_and_it_is_said_what_it_takes() {
    let setup = Setup::new(person(&json!([role("Viewer")]))).await;
    setup.plan([refused(one_request(), 403)]);
    assert_eq!(
        listed::names(&*setup.backend).len(),
        ALL,
        "nothing is known before"
    );
    let offer = setup.backend.offer().await.unwrap();
    let excluded = setup.excluded().await;
    assert_eq!(excluded, ["GetAnalytics", "CreateDebugSession"]);
    let prompts: Vec<&str> = offer.prompts.iter().map(ItemSpec::key).collect();
    assert_eq!(prompts, ["investigate-endpoint", "audit-configuration"]);
    let absent: Vec<&str> = offer.absent.iter().map(|name| &**name).collect();
    assert!(absent.contains(&"CreateDebugSession"), "{absent:?}");
    let remarks = offer.remarks.join("\n");
    for says in [
        "`GetAnalytics`",
        "Analytics Viewer",
        "`CreateDebugSession`",
        "Debug Session Creator",
    ] {
        assert!(remarks.contains(says), "{remarks}");
    }
}

#[tokio::test]
async fn who_may_do_everything_is_listed_everything_and_asked_no_more() {
    let admin = json!([{"id": TEAM, "name": "organization-admin", "system_team": true}]);
    let setup = Setup::new([
        organization("active"),
        me(),
        roles(&json!([])),
        teams(&admin),
    ])
    .await;
    assert_eq!(setup.listed().await.len(), ALL);
    assert_eq!(setup.listed().await.len(), ALL);
    assert_eq!(setup.api.seen().len(), 4);
    for seen in setup.api.seen() {
        let wanted = format!("Bearer {TOKEN}");
        assert_eq!(seen.header("authorization"), Some(&*wanted));
    }
}

#[tokio::test]
async fn teams_of_people_have_roles_of_their_own() {
    let team = json!([{"id": TEAM, "name": "ours", "system_team": false}]);
    let path = format!("/v3/teams/{TEAM}/assigned-roles");
    for (of_team, excluded) in [
        (
            paged(&path, &json!([role("Debug Session Creator")])),
            vec![],
        ),
        (
            paged(&path, &json!([role("Deployer")])),
            vec!["CreateDebugSession", "ActiveTracingSession"],
        ),
        // Nobody knows what the team may do.
        (refused(paged(&path, &json!([])), 403), vec![]),
        (paged(&path, &json!([])).body(r#"{"data":[7]}"#), vec![]),
    ] {
        let setup = Setup::new([
            organization("active"),
            me(),
            roles(&json!([])),
            teams(&team),
        ])
        .await;
        setup.plan([of_team, one_request()]);
        // Where the roles are silent about control planes, Konnect is asked for one.
        setup.plan([one_plane()]);
        assert_eq!(setup.excluded().await, excluded);
        setup.api.forget_plans();
    }
}

#[tokio::test]
async fn who_has_nothing_to_do_with_gateways_can_still_ask_what_there_is() {
    let other = json!([{"id": ID, "role_name": "Admin", "entity_type_name": "Portals", "entity_region": "*"}]);
    let setup = Setup::new(person(&other)).await;
    setup.plan([refused(one_request(), 403)]);
    assert_eq!(
        setup.listed().await,
        ["GetControlPlane", "FetchAlertingEventDetails"]
    );
}

#[tokio::test]
async fn where_the_rights_cannot_be_learnt_everything_is_listed() {
    let problem = |status: u16, title: &str| {
        json!({"status": status, "title": title, "instance": "konnect:trace:1", "detail": "d"})
            .to_string()
    };
    // A system account is no user: Kong does not say what it is answered.
    for (status, body) in [
        (401, problem(401, "Unauthenticated")),
        (403, problem(403, "Permission denied")),
        (404, problem(404, "Not Found")),
        (400, r#"{"status":400,"title":"Bad Request","invalid_parameters":[{"field":"id","reason":"no"}]}"#.to_owned()),
        (401, r#"{"message":"Unauthorized","status":401}"#.to_owned()),
        (403, r#"{"code":7,"message":"","details":[]}"#.to_owned()),
        (404, r#"{"message":"no Route matched with those values"}"#.to_owned()),
        (404, String::new()),
        (200, "<html>".to_owned()),
        (200, "[]".to_owned()),
        (200, "{}".to_owned()),
        (200, r#"{"id":"not an id"}"#.to_owned()),
        (200, r#"{"id":{"id":7}}"#.to_owned()),
    ] {
        let user = on("GET /v3/users/me").status(status).body(&*body);
        let whole = on("GET /v3/organizations/me").status(status).body(&*body);
        let setup = Setup::new([user, whole, one_plane(), one_request()]).await;
        assert_eq!(setup.listed().await.len(), ALL, "{status} {body}");
        // The same of roles and teams: who may not read them may still have some.
        let none = json!([]);
        for (of_roles, of_teams) in [
            (roles(&none).status(status).body(&*body), teams(&none)),
            (roles(&none), teams(&none).status(status).body(&*body)),
        ] {
            let setup = Setup::new([organization("active"), me(), of_roles, of_teams]).await;
            setup.plan([one_plane(), one_request()]);
            assert_eq!(setup.listed().await.len(), ALL, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_system_account_is_told_by_what_it_can_ask() {
    let unknown = || [refused(me(), 404), organization("active")];
    let setup = Setup::new(unknown()).await;
    setup.plan([one_plane(), refused(one_request(), 403)]);
    assert_eq!(setup.excluded().await, ["GetAnalytics"]);
    // A token that is accepted elsewhere is refused here.
    let setup = Setup::new(unknown()).await;
    setup.plan([refused(one_plane(), 403), refused(one_request(), 401)]);
    assert_eq!(
        setup.listed().await,
        [
            "GetControlPlane",
            "CreateDebugSession",
            "ActiveTracingSession",
            "FetchAlertingEventDetails"
        ]
    );
}

#[tokio::test]
async fn a_token_that_expires_changes_nothing_but_what_calls_say() {
    let expired = || {
        let all = [organization("active"), me(), one_plane(), one_request()];
        all.map(|plan| refused(plan, 401))
    };
    let setup = Setup::new(expired()).await;
    assert_eq!(setup.listed().await.len(), ALL);
    later(61).await;
    setup.plan(person(&json!([role("Viewer")])));
    setup.plan([one_request()]);
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    later(301).await;
    setup.plan(expired());
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    setup.plan([refused(planes(&[]), 401)]);
    let error = setup
        .call("GetControlPlane", json!({"operation": "list"}))
        .await
        .error();
    assert!(error.contains("has expired"), "{error}");
    // What is older than an hour counts no more.
    later(3601).await;
    setup.plan(expired());
    assert_eq!(setup.listed().await.len(), ALL);
}

#[tokio::test]
async fn limits_and_failures_leave_what_is_known_and_are_not_made_worse() {
    let setup = Setup::new(person(&json!([role("Viewer")]))).await;
    setup.plan([one_request()]);
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    let limited = |plan: Plan, seconds: &str| {
        let body = r#"{"message":"API rate limit exceeded","request_id":"r"}"#;
        plan.status(429).body(body).header("retry-after", seconds)
    };
    later(301).await;
    setup.plan([limited(me(), "120"), organization("active")]);
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    later(119).await;
    assert_eq!(
        setup.excluded().await,
        ["CreateDebugSession"],
        "it is not asked before"
    );
    later(2).await;
    setup.plan([limited(me(), "3600"), organization("active")]);
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    later(301).await;
    setup.plan([
        me(),
        organization("active"),
        teams(&json!([])),
        roles(&json!([])).status(500).body("{}"),
    ]);
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    // Konnect could not fetch permissions: nobody knows, and it is asked again by the client itself.
    let setup = Setup::new([organization("active")]).await;
    setup.plan((0..3).map(|_| refused(me(), 503)));
    assert_eq!(setup.listed().await.len(), ALL);
}

#[tokio::test]
async fn a_konnect_that_does_not_answer_is_not_waited_for() {
    let viewer = [me(), roles(&json!([role("Viewer")])), teams(&json!([]))];
    let setup = Setup::new(viewer).await;
    setup.plan([organization("active").never()]);
    let begun = tokio::time::Instant::now();
    // What did come counts.
    assert_eq!(setup.excluded().await, ["CreateDebugSession"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn it_is_asked_once_however_many_want_to_know() {
    let setup = Setup::new(person(&json!([role("Viewer")]))).await;
    setup.plan([one_request()]);
    let all = futures_util::future::join_all((0..8).map(|_| setup.excluded())).await;
    assert!(
        all.iter()
            .all(|excluded| excluded == &["CreateDebugSession"]),
        "{all:?}"
    );
    assert_eq!(setup.api.seen().len(), 5);
    // Who gives up leaves the question to the next.
    later(301).await;
    setup.plan(person(&json!([role("Admin")])));
    setup.plan([one_request()]);
    assert!(setup.backend.offer().now_or_never().is_none());
    assert_eq!(setup.listed().await.len(), ALL);
}

/// Counts the news.
#[derive(Default)]
struct News(AtomicUsize);

impl BackendListener for News {
    fn on_event(&self, event: BackendEvent) {
        assert_eq!(event, BackendEvent::OfferChanged);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_refusal_is_a_reason_to_ask_again_but_not_each_time() {
    let setup = Setup::new(person(&json!([role("Admin")]))).await;
    let news = Arc::new(News::default());
    setup
        .backend
        .watch(Arc::clone(&news) as Arc<dyn BackendListener>);
    setup.plan([one_request()]);
    assert_eq!(setup.listed().await.len(), ALL);
    let list = json!({"control_plane_id": CP, "operation": "list"});
    let services = || refused(on_core("GET /services?size=1000"), 403);
    for (seconds, heard) in [(0, 0), (61, 1), (0, 1)] {
        later(seconds).await;
        setup.plan([services()]);
        let error = setup.call("GetService", list.clone()).await.error();
        assert!(error.contains("It takes the role Viewer"), "{error}");
        assert_eq!(news.0.load(Ordering::SeqCst), heard);
        if heard == 1 && seconds > 0 {
            setup.plan(person(&json!([role("Creator")])));
            setup.plan([one_request()]);
            assert!(!setup.listed().await.contains(&"GetService".to_owned()));
        }
    }
}

/// Remembers whether the list of tools has changed.
#[derive(Default)]
struct Changes(Mutex<Vec<bool>>);

impl GatewayListener for Changes {
    fn on_event(&self, event: &GatewayEvent) {
        if let GatewayEvent::CatalogueChanged { change, .. } = event {
            self.0.lock().unwrap().push(change.tools);
        }
    }
}

#[tokio::test]
async fn clients_are_told_when_what_is_listed_changes() {
    let setup = Setup::new(person(&json!([role("Admin")]))).await;
    setup.plan([one_request()]);
    let gateway = Gateway::builder()
        .backend(Arc::clone(&setup.backend))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    let changes = Arc::new(Changes::default());
    gateway.listen(Arc::clone(&changes) as Arc<dyn GatewayListener>);
    let taken = || std::mem::take(&mut *changes.0.lock().unwrap()).contains(&true);
    gateway.refresh().await.unwrap();
    assert!(!taken(), "all is listed, as before");
    assert!(gateway.good_for("konnect").unwrap() > Duration::from_secs(250));
    later(301).await;
    setup.plan(person(&json!([role("Viewer")])));
    setup.plan([one_request()]);
    gateway.refresh().await.unwrap();
    assert!(taken());
    later(301).await;
    setup.plan(person(&json!([
        role("Gateway Route Admin"),
        role("Viewer")
    ])));
    setup.plan([one_request()]);
    gateway.refresh().await.unwrap();
    assert!(!taken(), "other roles, the same tools");
}

async fn prompt(setup: &Setup) -> Result<(), BackendError> {
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    let get = PromptGet::new("audit-configuration", Arguments::none(), Extras::default());
    setup.backend.get_prompt(&ctx, get).await.map(drop)
}

#[tokio::test]
async fn an_organization_that_is_off_lets_nobody_in_and_konnect_is_not_asked() {
    for state in ["inactive", "deleting", "Deleted"] {
        let admin = json!([role("Admin")]);
        let setup = Setup::new([organization(state), me(), roles(&admin), teams(&json!([]))]).await;
        setup.plan([one_request()]);
        assert_eq!(setup.listed().await.len(), ALL);
        let before = setup.api.seen().len();
        for tool in setup.listed().await {
            let error = setup.call(&tool, json!({})).await.error();
            assert!(error.contains("Access is denied"), "{tool}: {error}");
            assert!(error.contains(&state.to_lowercase()), "{error}");
        }
        assert!(matches!(prompt(&setup).await, Err(BackendError::Rpc(_))));
        assert_eq!(setup.api.seen().len(), before);
        // It is let in again when that is over.
        later(301).await;
        setup.plan(person(&admin));
        setup.plan([one_request(), planes(&[(CP, "a")])]);
        assert_eq!(setup.listed().await.len(), ALL);
        let found = setup
            .call("GetControlPlane", json!({"operation": "list"}))
            .await
            .ok();
        assert_eq!(found["count"], 1);
        prompt(&setup).await.unwrap();
    }
}

#[tokio::test]
async fn states_that_say_nothing_let_people_in() {
    for body in [
        r#"{"state":"active"}"#,
        r#"{"state":"on holiday"}"#,
        r#"{"state":7}"#,
        r#"{"state":null}"#,
        "{}",
        "[]",
    ] {
        let setup = Setup::new([
            on("GET /v3/organizations/me").body(body),
            refused(me(), 404),
        ])
        .await;
        setup.plan([one_plane(), one_request(), planes(&[])]);
        assert_eq!(setup.listed().await.len(), ALL);
        setup
            .call("GetControlPlane", json!({"operation": "list"}))
            .await
            .ok();
    }
}

#[tokio::test]
async fn whoever_runs_the_server_can_switch_it_off_and_then_nothing_is_ever_asked() {
    let setup = Setup::with([], |config| config.enabled = false).await;
    assert_eq!(setup.listed().await.len(), ALL);
    for tool in setup.listed().await {
        let error = setup
            .call(&tool, json!({"operation": "list"}))
            .await
            .error();
        assert!(error.contains("`enabled: false`"), "{error}");
    }
    assert!(matches!(prompt(&setup).await, Err(BackendError::Rpc(_))));
    let all = Setup::with([], |config| config.visibility = Visibility::All).await;
    assert_eq!(all.listed().await.len(), ALL);
    let unset = Setup::with([], |config| config.unset = Some("set it".to_owned())).await;
    assert_eq!(unset.listed().await.len(), ALL);
}

/// Where a consumer is: known from the rows of requests, or found by asking all control planes.
fn rows(plane: &str) -> String {
    json!({"results": [{"response_http_status": "500", "consumer": format!("{plane}:{ID}"), "control_plane": plane}]}).to_string()
}

async fn failures(setup: &Setup) -> Answered {
    let of = json!({"time_range": "24H", "operation": "get_consumer_requests", "consumer_id": ID, "failureOnly": true});
    setup.call("GetAnalytics", of).await
}

fn consumer(plane: &str) -> [Plan; 2] {
    let path = format!("/v2/control-planes/{plane}/core-entities/consumers/{ID}");
    [
        planes(&[(plane, "a")]),
        on(&format!("GET {path}")).body(json!({"id": ID}).to_string()),
    ]
}

#[tokio::test]
async fn what_is_remembered_of_one_organization_is_not_known_to_another() {
    let query = json!({"time_range": "24H", "operation": "query_api_requests"});
    let requests = |plane| on("POST /v2/api-requests").body(rows(plane));
    let acme = Setup::new([requests(CP), requests(CP)]).await;
    acme.call("GetAnalytics", query.clone()).await.ok();
    failures(&acme).await.ok();
    // The same id is somewhere else for another one, which has to find that out.
    let other = Setup::new(consumer(CP2)).await;
    other.plan([requests(CP2)]);
    failures(&other).await.ok();
    let sent = other.api.seen().pop().unwrap().json().to_string();
    assert!(
        sent.contains(&format!("{CP2}:{ID}")) && !sent.contains(CP),
        "{sent}"
    );
    // A proxy that leads to another organization from now on.
    let viewer = json!([role("Viewer")]);
    for (id, seconds) in [(CP, 0), (CP2, 301)] {
        later(seconds).await;
        acme.plan([
            organization_of(id, "active"),
            me(),
            roles(&viewer),
            teams(&json!([])),
            one_request(),
        ]);
        acme.listed().await;
    }
    acme.plan(consumer(CP2));
    acme.plan([requests(CP2)]);
    failures(&acme).await.ok();
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_backend() {
    let setup = Setup::new(person(&json!([role("Viewer")]))).await;
    setup.plan([one_request()]);
    backend_contract(&*setup.backend).await;
}
