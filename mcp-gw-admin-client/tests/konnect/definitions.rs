//! What is listed: names, schemas, hints.

use mcp_gw_admin_client::tools::konnect::{ToolsError, Visibility, gateway_backend};
use mcp_gw_core::testing::backend_contract;

use super::*;

fn config() -> KonnectConfig {
    KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()))
}

fn tools(config: &KonnectConfig) -> Vec<Value> {
    let parts = Parts::default().with_knowledge(Arc::new(Book));
    listed::definitions(&*konnect_backend(config, parts).unwrap())
}

fn names(config: &KonnectConfig) -> Vec<String> {
    listed::names(&*konnect_backend(config, Parts::default()).unwrap())
}

/// The names of the tools' arguments; those that Kong's server does not have are named in the test.
fn arguments(tool: &Value) -> Vec<&str> {
    let all = tool["inputSchema"]["properties"].as_object().unwrap();
    all.keys().map(String::as_str).collect()
}

#[test]
fn the_list_of_tools_is_what_we_promise() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for mut tool in tools(&config()) {
            let name = listed::name(&tool).to_owned();
            tool.sort_all_objects();
            insta::assert_snapshot!(name, serde_json::to_string_pretty(&tool).unwrap());
        }
    });
}

#[test]
fn the_list_of_tools_of_a_gateway_is_what_we_promise() {
    let mut kong = KongConfig::new("http://127.0.0.1:8001");
    kong.consumer_groups = Some(true);
    let parts = Parts::default().with_knowledge(Arc::new(Book));
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for mut tool in listed::definitions(&*gateway_backend(&kong, parts).unwrap()) {
            let name = format!("kong.{}", listed::name(&tool));
            tool.sort_all_objects();
            insta::assert_snapshot!(name, serde_json::to_string_pretty(&tool).unwrap());
        }
    });
}

#[test]
fn the_list_of_workflows_is_what_we_promise() {
    let backend = konnect_backend(&config(), Parts::default()).unwrap();
    let offer = backend.offer_now().unwrap();
    let prompts = offer.prompts.iter();
    let all: Vec<Value> = prompts
        .map(|one| one.definition().to_value().unwrap())
        .collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings
        .bind(|| insta::assert_snapshot!("prompts", serde_json::to_string_pretty(&all).unwrap()));
}

#[test]
fn names_and_arguments_are_those_of_kongs_server() {
    // `skip` reads on, `confirm` stands for the user where no client asks: both are ours.
    let ours = ["skip", "confirm"];
    for (name, wanted) in [
        ("GetControlPlane", "id name operation path"),
        ("GetControlPlaneGroup", "control_plane_group_id operation"),
        (
            "GetConsumer",
            "consumer_id consumer_name control_plane_id operation",
        ),
        ("GetConsumerGroup", "control_plane_id operation"),
        (
            "GetService",
            "control_plane_id operation service_id service_name",
        ),
        ("GetRoute", "control_plane_id operation route_id route_name"),
        ("GetPlugin", "control_plane_id operation plugin_id"),
        ("GetVault", "control_plane_id operation vault_id vault_name"),
        (
            "GetAnalytics",
            "consumer_id consumer_ids excluded_status_codes failureOnly http_methods max_results operation route_ids \
             service_ids status_codes successOnly time_range",
        ),
        (
            "CreateDebugSession",
            "control_plane_id http_latency http_method http_path http_status_code max_samples service_id session_duration",
        ),
        (
            "ActiveTracingSession",
            "control_plane_id debug_session_id operation phase phase_filter plugin_filter",
        ),
        ("FetchAlertingEventDetails", "alert_event_id"),
        ("KnowledgeBaseSearch", "query"),
    ] {
        let all = tools(&config());
        let tool = all.iter().find(|tool| listed::name(tool) == name).unwrap();
        let mut found = arguments(tool);
        found.retain(|argument| !ours.contains(argument));
        found.sort_unstable();
        assert_eq!(found.join(" "), wanted, "{name}");
    }
}

#[test]
fn schemas_are_complete_in_themselves_plain_and_short() {
    let tools = tools(&config());
    listed::are_plain(&tools);
    listed::are_short(&tools, 40 * 1024);
    for tool in tools {
        let name = listed::name(&tool);
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        let reads = tool["annotations"]["readOnlyHint"] == true;
        let writes = ["CreateDebugSession", "ActiveTracingSession"].contains(&name);
        assert_eq!(reads, !writes, "{name}");
    }
}

#[test]
fn what_changes_something_is_not_listed_when_nothing_may_be_changed() {
    let read_only = names(&config().with_access(Access::ReadOnly));
    assert!(!read_only.contains(&"CreateDebugSession".to_owned()));
    let mut all = names(&config());
    all.retain(|name| name != "CreateDebugSession");
    assert_eq!(read_only, all);
}

#[test]
fn documentation_is_searched_where_there_is_some() {
    let name = "KnowledgeBaseSearch".to_owned();
    assert!(!names(&config()).contains(&name));
    let kong = KongConfig::new("http://127.0.0.1:8001");
    assert!(!listed::names(&*gateway_backend(&kong, Parts::default()).unwrap()).contains(&name));
    let parts = Parts::default().with_knowledge(Arc::new(Book));
    let kong = gateway_backend(&kong, parts).unwrap();
    assert!(listed::names(&*kong).contains(&name));
}

#[test]
fn a_gateway_of_ones_own_has_the_tools_that_it_can_answer() {
    let names =
        |config: &KongConfig| listed::names(&*gateway_backend(config, Parts::default()).unwrap());
    let mut config = KongConfig::new("http://127.0.0.1:8001");
    let free = names(&config);
    assert_eq!(
        free,
        [
            "GetControlPlane",
            "GetConsumer",
            "GetService",
            "GetRoute",
            "GetPlugin",
            "GetVault"
        ]
    );
    config.workspace = Some("team".to_owned());
    assert_eq!(names(&config).len(), 7);
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    for change in [
        (|config| config.region = "mars".to_owned()) as fn(&mut KonnectConfig),
        |config| config.base_url = Some("http://konnect.example".to_owned()),
        |config| config.global_url = Some("ftp://h".to_owned()),
        |config| config.base_url = Some(format!("https://u:{TOKEN}@h")),
        |config| config.token = Secret::new(format!("{TOKEN}\n")),
        |config| config.tools = Some(vec!["GetEverything".to_owned()]),
        |config| config.exclude_tools = vec!["GetEverything".to_owned()],
    ] {
        let mut config = config();
        change(&mut config);
        let error = konnect_backend(&config, Parts::default())
            .map(drop)
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
    }
    let mut kong = KongConfig::new("http://h");
    kong.control_plane_id = Some("x".to_owned());
    assert!(matches!(
        gateway_backend(&kong, Parts::default()),
        Err(ToolsError::PlaneId)
    ));
}

#[test]
fn a_region_without_a_name_is_fine_at_an_address_of_its_own() {
    let mut config = config();
    config.region = "staging".to_owned();
    config.base_url = Some("https://konnect.example/eu".to_owned());
    assert!(konnect_backend(&config, Parts::default()).is_ok());
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_backend() {
    let config = config().with_visibility(Visibility::All);
    backend_contract(&*konnect_backend(&config, Parts::default()).unwrap()).await;
    let kong = KongConfig::new("http://127.0.0.1:8001");
    backend_contract(&*gateway_backend(&kong, Parts::default()).unwrap()).await;
}
