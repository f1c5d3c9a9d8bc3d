//! What is listed: names, schemas, hints.

use mcp_gw_admin_client::tools::apisix::ToolsError;
use mcp_gw_core::testing::backend_contract;

use super::*;

/// The tools of apisix-mcp 0.0.7.
const ORIGINALS: [&str; 32] = [
    "get_resource",
    "delete_resource",
    "send_request_to_gateway",
    "create_route",
    "update_route",
    "create_service",
    "update_service",
    "create_upstream",
    "update_upstream",
    "create_or_update_consumer",
    "get_credential",
    "create_or_update_credential",
    "delete_credential",
    "create_ssl",
    "update_ssl",
    "create_global_rule",
    "update_global_rule",
    "create_consumer_group",
    "update_consumer_group",
    "get_all_plugin_names",
    "get_plugin_schema",
    "get_plugin_metadata",
    "create_plugin_config",
    "update_plugin_config",
    "create_or_update_plugin_metadata",
    "delete_plugin_metadata",
    "create_or_update_stream_route",
    "get_secret_by_id",
    "create_secret",
    "update_secret",
    "delete_secret",
    "create_or_update_proto",
];

fn config() -> ApisixConfig {
    ApisixConfig::new(
        "https://apisix.example:9180/apisix/admin",
        Secret::new(KEY.to_owned()),
    )
}

fn tools(config: &ApisixConfig) -> Vec<Value> {
    listed::definitions(&*backend(config).unwrap())
}

fn names(config: &ApisixConfig) -> Vec<String> {
    listed::names(&*backend(config).unwrap())
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
fn all_names_of_the_original_are_there_in_its_order() {
    let names = names(&config());
    assert_eq!(names[..32], ORIGINALS);
    assert_eq!(names[32..], ["validate_resource"]);
}

#[test]
fn schemas_are_complete_in_themselves_plain_and_short() {
    let tools = tools(&config());
    listed::are_plain(&tools);
    listed::are_short(&tools, 60 * 1024);
    for tool in tools {
        let name = listed::name(&tool);
        // A consumer may have more members than are known here.
        let is_closed = tool["inputSchema"]["additionalProperties"] == false;
        assert_eq!(is_closed, name != "create_or_update_consumer", "{name}");
        assert!(!tool.to_string().contains("dashboard"), "{name}");
    }
}

#[test]
fn what_writes_can_show_before_what_it_would_send() {
    for tool in tools(&config()) {
        let name = listed::name(&tool);
        let reads = tool["annotations"]["readOnlyHint"] == true;
        let has_dry_run = !tool["inputSchema"]["properties"]["dry_run"].is_null();
        assert_eq!(
            has_dry_run,
            !reads && name != "send_request_to_gateway",
            "{name}"
        );
        let verb = name.split('_').next().unwrap();
        assert_eq!(reads, ["get", "validate"].contains(&verb), "{name}");
        assert_eq!(
            tool["annotations"]["destructiveHint"] == true,
            !reads,
            "{name}: all that writes may replace what is there"
        );
    }
}

#[test]
fn tools_are_chosen_by_access_and_by_name() {
    let mut chosen = config().with_access(Access::ReadOnly);
    for name in names(&chosen) {
        let verb = name.split('_').next().unwrap();
        assert!(["get", "validate", "send"].contains(&verb), "{name}");
    }
    chosen.tools = Some(vec!["delete_secret".to_owned()]);
    assert!(matches!(backend(&chosen), Err(ToolsError::NoTools)));
    chosen.tools = Some(vec!["get_plugin_info".to_owned()]);
    let error = backend(&chosen).map(drop).unwrap_err().to_string();
    assert!(error.contains("no tool get_plugin_info"), "{error}");
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    let key = || Secret::new(KEY.to_owned());
    let mut wrong = vec![ApisixConfig::new(
        "https://h",
        Secret::new(format!("{KEY}\n")),
    )];
    for url in ["", "apisix", "https://u:hidden-admin-key@h", "ftp://h"] {
        wrong.push(ApisixConfig::new(url, key()));
        wrong.push(config().with_gateway_url(url));
    }
    for config in wrong {
        let error = backend(&config).map(drop).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(KEY));
    }
}

#[test]
fn the_user_is_told_of_a_key_that_everybody_knows() {
    let instructions = |config: &ApisixConfig| {
        let offer = backend(config).unwrap().offer_now().unwrap();
        offer.instructions.unwrap()
    };
    let usual = ApisixConfig::from_lookup(|_| None).unwrap();
    assert!(instructions(&usual).contains("everybody knows"));
    assert!(!instructions(&config()).contains("everybody knows"));
}

#[test]
fn a_configuration_is_read_from_a_file() {
    let text = r#"{"admin_url":"http://127.0.0.1:9180/apisix/admin","admin_key":"k","access":"read-write"}"#;
    let read: ApisixConfig = serde_json::from_str(text).unwrap();
    assert_eq!(read.access, Access::ReadWrite);
    assert_eq!(
        (read.name.as_str(), read.answer_bytes),
        ("apisix", 64 * 1024)
    );
    assert!(
        serde_json::from_str::<ApisixConfig>(r#"{"admin_url":"http://h","admin_key":"k","x":1}"#)
            .is_err()
    );
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_backend() {
    backend_contract(&*backend(&config()).unwrap()).await;
}
