//! Input and answers that are hostile or broken: a clear error of the tool, and no request that was not meant.

use super::scripted::on;
use super::{BOTH, Dashboard, Served, says};
use crate::support::json::quote;

#[test]
fn no_id_leads_elsewhere() {
    for binary in BOTH {
        // Whatever comes beyond these fails the test.
        let dashboard = Dashboard::start([
            on("GET /apisix/admin/consumers/a%3Fb?gateway_group_id=g"),
            on("GET /apisix/admin/consumers/a%23b?gateway_group_id=g"),
            on("GET /apisix/admin/consumers/%C3%BC?gateway_group_id=g"),
        ]);
        let served = Served::with(binary, &["--allow-write"], &dashboard.url());
        let client = served.client();
        for id in [
            "..",
            ".",
            "a/b",
            "../../api/users",
            "%2e%2e",
            "a\nb",
            "a\u{0}",
            "",
        ] {
            let id = quote(id);
            let consumer = format!(r#"{{"consumer":{{"gateway_group_id":"g","username":{id}}}}}"#);
            client.error("get_resource", &consumer);
            client.error("delete_role", &format!(r#"{{"id":{id}}}"#));
        }
        for id in ["a?b", "a#b", "ü"] {
            let id = quote(id);
            let consumer = format!(r#"{{"consumer":{{"gateway_group_id":"g","username":{id}}}}}"#);
            client.ok("get_resource", &consumer);
            client.error("delete_role", &format!(r#"{{"id":{id}}}"#));
        }
        served.end();
    }
}

#[test]
fn what_is_no_answer_is_a_clear_error() {
    let elsewhere = Dashboard::start([]);
    let ask = || on("GET /api/roles/r");
    let nested = format!("{}{}", "[".repeat(1 << 17), "]".repeat(1 << 17));
    for binary in BOTH {
        let table = [
            (
                ask().status(401).body(r#"{"message":"expired"}"#),
                "new token",
            ),
            (
                ask().status(403).body(r#"{"message":"no"}"#),
                "permission policy",
            ),
            (ask().status(404).body("{}"), "Check the ids"),
            (
                ask().status(429).header("retry-after", "3600"),
                "Wait 3600 s",
            ),
            (ask().body("<html>login</html>"), "DASHBOARD_URL"),
            (ask().body(r#"{"value":{"id":"#), "DASHBOARD_URL"),
            (
                ask()
                    .status(302)
                    .header("location", &format!("{}/api/roles/r", elsewhere.url())),
                "credentials do not follow",
            ),
            (
                ask().status(307).header("location", "//127.0.0.2:1/api"),
                "credentials do not follow",
            ),
            (ask().long(50 << 20), "Ask for less"),
            (ask().status(400).body(&*nested), "Correct what"),
        ];
        let count = table.len();
        let dashboard = Dashboard::start([]);
        let served = Served::with(binary, &[], &dashboard.url());
        let client = served.client();
        for (plan, word) in table {
            dashboard.plan(plan);
            says(&client.error("get_role", r#"{"id":"r"}"#), &[word]);
        }
        // The gateway is as well as before.
        dashboard.plan(ask());
        client.ok("get_role", r#"{"id":"r"}"#);
        dashboard.plan(ask().body(&*nested));
        let cut = client.ok("get_role", r#"{"id":"r"}"#);
        says(&cut, &["nested too deep"]);
        let lines = served.audit(count + 2);
        assert!(
            lines.iter().all(|line| line.contains("\"get_role\"")),
            "{lines:?}"
        );
        served.end();
    }
}

#[test]
fn what_an_api_repeats_of_the_token_is_not_shown() {
    for binary in BOTH {
        let echo = format!(r#"{{"message":"the key {} is not known"}}"#, super::TOKEN);
        let good = format!(r#"{{"value":{{"note":"{}"}}}}"#, super::TOKEN);
        let dashboard = Dashboard::start([
            on("GET /api/roles/a").status(401).body(&*echo),
            on("GET /api/roles/b").body(&*good),
        ]);
        let served = Served::with(binary, &[], &dashboard.url());
        let client = served.client();
        client.error("get_role", r#"{"id":"a"}"#);
        client.ok("get_role", r#"{"id":"b"}"#);
        served.end();
    }
}
