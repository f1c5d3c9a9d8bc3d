//! What a user of API7-MCP gets who changes one line.

use super::scripted::on;
use super::{BOTH, Dashboard, Served, TOKEN, says};
use crate::operator::run;
use crate::support::STDIO_BIN;
use crate::support::json::at;

/// Those of API7-MCP 0.0.1 that are here.
const ORIGINALS: [&str; 16] = [
    "get_resource",
    "send_request_to_gateway",
    "get_service_healthcheck",
    "get_role",
    "create_role",
    "delete_role",
    "update_assigned_roles_for_user",
    "get_role_by_user_id",
    "get_userId_by_username",
    "get_permission_policy",
    "get_permission_policy_by_role",
    "create_permission_policy",
    "update_permission_policy",
    "delete_permission_policy",
    "attach_permission_policy_to_role",
    "detach_permission_policy_from_role",
];

#[test]
fn the_tools_have_the_names_that_they_had() {
    let dashboard = Dashboard::start([]);
    for binary in BOTH {
        let served = Served::with(binary, &[], &dashboard.url());
        let names = served.client().names();
        for name in ORIGINALS {
            assert!(
                names.iter().any(|found| found == name),
                "no {name}: {names:?}"
            );
        }
        served.end();
        let served = Served::with(binary, &["--read-only"], &dashboard.url());
        let tools = served.client().list();
        assert!(tools.len() > 5, "{tools:?}");
        for tool in tools {
            let reads = at(&tool, &["annotations", "readOnlyHint"]);
            let is_test = at(&tool, &["name"]) == "\"send_request_to_gateway\"";
            assert!(reads == "true" || is_test, "{tool}");
        }
        served.end();
        let args = [
            "--tools",
            "get_role,get_resource",
            "--exclude-tools",
            "get_resource,create_role",
        ];
        let args = [&args[..2], &["--exclude-tools", "create_role"]].concat();
        let served = Served::with(binary, &args, &dashboard.url());
        assert_eq!(served.client().names(), ["get_resource", "get_role"]);
        served.end();
    }
}

#[test]
fn a_read_is_answered_and_audited() {
    for binary in BOTH {
        let dashboard = Dashboard::start([on("GET /api/roles/r-1")
            .body(r#"{"value":{"id":"r-1","name":"dev","n":1.50,"api_key":"of-somebody"}}"#)]);
        let served = Served::with(binary, &[], &dashboard.url());
        let answer = served.client().ok("get_role", r#"{"id":"r-1"}"#);
        assert_eq!(at(&answer, &["body", "value", "name"]), "\"dev\"");
        assert_eq!(at(&answer, &["body", "value", "n"]), "1.50");
        assert_eq!(at(&answer, &["body", "value", "api_key"]), "\"[redacted]\"");
        let seen = dashboard.seen();
        assert_eq!(seen[0].header("x-api-key"), Some(TOKEN));
        let line = served.audit(1).remove(0);
        says(&line, &["\"get_role\"", "\"local\"", "\"ok\"", "\"api7\""]);
        let said = served.end().join("\n");
        assert!(
            !said.contains("of-somebody"),
            "a secret of the answer is logged"
        );
    }
}

const NEW_ROLE: &str = r#"{"role":{"name":"dev","policies":[]}}"#;
const NEW_ROLE_SHOWN: &str = r#"{"role":{"name":"dev","policies":[]},"dry_run":true}"#;

#[test]
fn a_write_is_shown_first_and_sent_only_when_the_user_allows_it() {
    for binary in BOTH {
        let dashboard = Dashboard::start([]);
        let served = Served::with(binary, &[], &dashboard.url());
        let client = served.client();
        says(
            &client.error("create_role", NEW_ROLE),
            &["Nothing was sent", "--allow-write", "dry_run"],
        );
        let shown = client.ok("create_role", NEW_ROLE_SHOWN);
        assert_eq!(at(&shown, &["dry_run"]), "true");
        says(&shown, &["POST", "/api/roles"]);
        assert!(dashboard.seen().is_empty());
        served.end();

        let served = Served::with(binary, &["--allow-write"], &dashboard.url());
        let client = served.client();
        client.ok("create_role", NEW_ROLE_SHOWN);
        assert!(dashboard.seen().is_empty());
        dashboard.plan(on("POST /api/roles").body(r#"{"value":{"id":"r-9"}}"#));
        let done = client.ok("create_role", NEW_ROLE);
        assert_eq!(at(&done, &["status"]), "200");
        let body = dashboard.seen()[0].json();
        assert_eq!(body["name"], "dev");
        dashboard.plan(
            on("POST /api/roles")
                .status(409)
                .body(r#"{"error_msg":"the name is taken"}"#),
        );
        let refused = client.error("create_role", NEW_ROLE);
        says(&refused, &["409", "the name is taken", "exists already"]);
        served.end();

        let served = Served::with(binary, &["--read-only"], &dashboard.url());
        let (code, _) = served.client().tool("create_role", NEW_ROLE).fault();
        assert_eq!(code, -32602, "it is as if there were no such tool");
        served.end();
    }
}

#[test]
fn test_requests_go_to_the_gateway_without_the_token() {
    for binary in BOTH {
        let dashboard = Dashboard::start([]);
        let gateway = Dashboard::start([on("GET /shop?x=1").body(r#"{"shop":true}"#)]);
        let (dashboard_url, gateway_url) = (dashboard.url(), gateway.url());
        let variables = [
            ("DASHBOARD_URL", &*dashboard_url),
            ("GATEWAY_URL", &gateway_url),
            ("TOKEN", TOKEN),
        ];
        let served = Served::start(binary, &[], &variables);
        let request = r#"{"requests":[{"path":"/shop?x=1","method":"GET"}]}"#;
        let answer = served.client().ok("send_request_to_gateway", request);
        assert_eq!(at(&answer, &["summary", "successful"]), "1");
        let write = r#"{"requests":[{"path":"/shop","method":"DELETE"}]}"#;
        served.client().error("send_request_to_gateway", write);
        assert!(!format!("{:?}", gateway.seen()).contains(TOKEN));
        served.end();
    }
}

#[test]
fn a_dashboard_that_is_not_there_does_not_stop_the_start() {
    for binary in BOTH {
        let served = Served::with(binary, &[], "http://127.0.0.1:1");
        let client = served.client();
        assert!(client.names().len() >= ORIGINALS.len());
        let error = client.error("get_role", r#"{"id":"r"}"#);
        says(&error, &["check that the dashboard runs", "DASHBOARD_URL"]);
        served.end();
    }
}

#[test]
fn a_missing_or_malformed_environment_says_what_to_set() {
    // The environment of these tests has none of the variables.
    for binary in BOTH {
        for args in [&["api7"][..], &["check", "api7"]] {
            // An IDE shows what a tool says, and not why a program ended.
            if binary == STDIO_BIN && args == ["api7"] {
                let served = Served::start(binary, &["--allow-write"], &[("TOKEN", " ")]);
                let client = served.client();
                assert!(client.names().len() >= ORIGINALS.len());
                for (tool, arguments) in [("get_role", "{}"), ("delete_role", r#"{"id":"r"}"#)] {
                    let error = client.error(tool, arguments);
                    says(
                        &error,
                        &["Nothing was sent", "DASHBOARD_URL", "TOKEN", "\"env\": {"],
                    );
                }
                served.end();
                continue;
            }
            let (code, stdout, stderr) = run(binary, args);
            assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
            says(
                &stderr,
                &[
                    "DASHBOARD_URL: the address of the dashboard is not set",
                    "TOKEN: a token of the dashboard is not set",
                    "\"env\": { \"DASHBOARD_URL\": \"https://dashboard.example.com:7443\"",
                    "2 faults",
                ],
            );
        }
        let (code, _, stderr) = run(binary, &["api7", "--read-only", "--allow-write"]);
        assert_eq!(code, Some(2), "{stderr}");
        says(
            &stderr,
            &["--read-only", "cannot be used with", "--allow-write"],
        );
        let (code, _, stderr) = run(binary, &["--url", "http://127.0.0.1:1/", "api7"]);
        assert_eq!(code, Some(2), "{stderr}");
        says(&stderr, &["comes after its name"]);
        let (code, _, stderr) = run(binary, &["check", "--url", "http://127.0.0.1:1/", "api7"]);
        assert_eq!(code, Some(2), "{stderr}");
    }
}

#[test]
fn an_apisix_is_served_with_the_variables_of_apisix_mcp() {
    for binary in BOTH {
        let apisix = Dashboard::start([on("GET /apisix/admin/routes/r")
            .body(r#"{"key":"/apisix/routes/r","value":{"id":"r","uri":"/shop"}}"#)]);
        let url = apisix.url();
        let (_, port) = url.rsplit_once(':').unwrap();
        let variables = [("APISIX_ADMIN_API_PORT", port), ("APISIX_ADMIN_KEY", TOKEN)];
        let served = Served::of_kind("apisix", binary, &[], &variables);
        let client = served.client();
        let names = client.names();
        for name in ["get_resource", "create_route", "get_plugin_schema"] {
            assert!(names.contains(&name.to_owned()), "no {name}: {names:?}");
        }
        let answer = client.ok("get_resource", r#"{"type":"routes","id":"r"}"#);
        says(&answer, &["/shop"]);
        assert_eq!(apisix.seen()[0].header("x-api-key"), Some(TOKEN));
        let write = r#"{"route":{"uri":"/x","upstream_id":"u"}}"#;
        says(&client.error("create_route", write), &["--allow-write"]);
        let line = served.audit(2).remove(1);
        says(&line, &["\"get_resource\"", "\"apisix\""]);
        served.end();
        let (code, stdout, stderr) = run(binary, &["check", "apisix"]);
        assert_eq!(code, Some(0), "{stderr}");
        says(&stdout, &["apisix: Apache APISIX at http://127.0.0.1:9180"]);
    }
}
