//! What is listed: names, schemas, hints.

use std::fmt::Write as _;

use mcp_gw_admin_client::tools::api7::{Access, Api7Config, ToolsError, backend};
use mcp_gw_admin_client::tools::apisix;
use mcp_gw_core::testing::{backend_contract, call_context};
use mcp_gw_core::{Caller, Extras, NoClient, ResourceRead, Secret};
use serde_json::Value;

use super::*;

/// The tools of API7-MCP.
const ORIGINALS: [&str; 18] = [
    "attach_permission_policy_to_role",
    "check_risk",
    "create_permission_policy",
    "create_role",
    "delete_permission_policy",
    "delete_role",
    "detach_permission_policy_from_role",
    "get_permission_policy",
    "get_permission_policy_by_role",
    "get_prometheus_metrics",
    "get_resource",
    "get_role",
    "get_role_by_user_id",
    "get_service_healthcheck",
    "get_userId_by_username",
    "send_request_to_gateway",
    "update_assigned_roles_for_user",
    "update_permission_policy",
];

fn config() -> Api7Config {
    Api7Config::new(
        "https://dashboard.example:7443",
        Secret::new(TOKEN.to_owned()),
    )
}

fn tools(config: &Api7Config) -> Vec<Value> {
    listed::definitions(&*backend(config).unwrap())
}

fn names(config: &Api7Config) -> Vec<String> {
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
fn all_names_of_the_original_are_there() {
    let names = names(&config());
    for name in ORIGINALS {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn schemas_are_complete_in_themselves_plain_and_short() {
    let tools = tools(&config());
    listed::are_plain(&tools);
    listed::are_short(&tools, 70 * 1024);
    for tool in tools {
        let name = listed::name(&tool);
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
    }
}

/// What is listed with these options of the command line.
fn with_options(api: &str, options: &str) -> Vec<Value> {
    let named = options.strip_prefix("--tools ");
    let chosen = named.map(|names| names.split(',').map(str::to_owned).collect());
    let access = match options {
        "--read-only" => Access::ReadOnly,
        _ => Access::Preview,
    };
    let backend = if api == "api7" {
        let mut config = config().with_access(access);
        config.tools = chosen;
        backend(&config).unwrap()
    } else {
        let mut config = apisix::ApisixConfig::from_lookup(|_| None).unwrap();
        config = config.with_access(access);
        config.tools = chosen;
        apisix::backend(&config).unwrap()
    };
    listed::definitions(&*backend)
}

#[test]
fn the_lengths_of_lists_in_the_handbook_are_true() {
    let mut table =
        String::from("| Program | Tools | KiB | Without output schemas |\n|---|---|---|---|\n");
    for (api, options) in [
        ("api7", ""),
        ("api7", "--read-only"),
        (
            "api7",
            "--tools get_resource,get_prometheus_metrics,check_risk",
        ),
        ("api7", "--tools read_resource,get_prometheus_metrics"),
        (
            "api7",
            "--tools read_resource,create_resource,patch_resource",
        ),
        ("apisix", ""),
        ("apisix", "--read-only"),
        (
            "apisix",
            "--tools get_resource,get_plugin_schema,create_route,update_route",
        ),
    ] {
        let mut tools = with_options(api, options);
        let count = tools.len();
        let length = |tools: &[Value]| {
            let bytes: usize = tools.iter().map(|tool| tool.to_string().len()).sum();
            bytes.div_ceil(1024)
        };
        let whole = length(&tools);
        for tool in &mut tools {
            tool.as_object_mut().unwrap().remove("outputSchema");
        }
        let command = format!("mcp-gw-stdio {api} {options}");
        let (command, short) = (command.trim_end(), length(&tools));
        writeln!(table, "| `{command}` | {count} | {whole} | {short} |").unwrap();
    }
    risk::hold("lists", &table);
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
        assert_eq!(reads, ["check", "get", "read"].contains(&verb), "{name}");
    }
}

#[test]
fn tools_are_chosen_by_access_and_by_name() {
    let mut chosen = config().with_access(Access::ReadOnly);
    for name in names(&chosen) {
        let verb = name.split('_').next().unwrap();
        assert!(["check", "get", "read", "send"].contains(&verb), "{name}");
    }
    chosen.exclude_tools = vec!["send_request_to_gateway".to_owned(), "get_role".to_owned()];
    let left = names(&chosen);
    assert!(!left.contains(&"get_role".to_owned()) && left.len() > 5);
    chosen.tools = Some(vec!["get_resource".to_owned(), "get_role".to_owned()]);
    assert_eq!(names(&chosen), ["get_resource"]);
    chosen.tools = Some(vec!["delete_role".to_owned()]);
    assert!(matches!(backend(&chosen), Err(ToolsError::NoTools)));
    chosen.tools = Some(vec!["get_rolle".to_owned()]);
    let error = backend(&chosen).map(drop).unwrap_err().to_string();
    assert!(
        error.contains("no tool get_rolle; there are: get_resource"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    let mut wrong: Vec<Api7Config> = Vec::new();
    for url in ["", "dashboard", "https://u:a7ee-hidden-token@h", "ftp://h"] {
        wrong.push(Api7Config::new(url, Secret::new(TOKEN.to_owned())));
        wrong.push(config().with_gateway_url(url));
    }
    wrong.push(Api7Config::new(
        "https://h",
        Secret::new(format!("{TOKEN}\n")),
    ));
    let mut bad = config();
    bad.ca_pem = Some("hello".to_owned());
    wrong.push(bad);
    let mut bad = config();
    bad.risk.min_gateway_version = Some("latest".to_owned());
    wrong.push(bad);
    for config in wrong {
        let error = backend(&config).map(drop).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_backend() {
    let backend = backend(&config()).unwrap();
    backend_contract(&*backend).await;
}

#[tokio::test]
async fn the_resource_about_policies_is_served() {
    let backend = backend(&config()).unwrap();
    let offer = backend.offer().await.unwrap();
    let uri = "text://policy-resources-actions.json";
    assert_eq!(offer.resources.len(), 1);
    assert_eq!(offer.resources[0].key(), uri);
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    let read = |uri: &str| ResourceRead::new(uri, Extras::default());
    let result = backend.read_resource(&ctx, read(uri)).await.unwrap();
    let result = result.to_value().unwrap();
    assert_eq!(result["contents"][0]["mimeType"], "application/json");
    let text: Value =
        serde_json::from_str(result["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text["entries"].as_array().unwrap().len(), 81);
    assert!(
        backend
            .read_resource(&ctx, read("text://other"))
            .await
            .is_err()
    );
}
