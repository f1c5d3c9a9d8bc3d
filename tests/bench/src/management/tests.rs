//! Answers are judged, and what was measured is told.

use http::StatusCode;

use super::{
    MCP,
    api::{Job, Work},
    plan,
    report::{Crowd, Report, Row},
};
use crate::load::Outcome;
use std::time::Duration;

fn job(work: Work) -> Job {
    let plan = plan(&"http://h:1/mcp".parse().unwrap(), 32, "key");
    Job::new(work, &plan, &["key".to_owned()]).unwrap()
}

#[test]
fn only_the_text_of_the_call_is_a_right_answer() {
    let job = job(Work::Echo("s".to_owned()));
    let text = "000000000000002aabcdefghijklmnop";
    let answer = |text: &str, failed: bool| {
        format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"isError":{failed}}}"#)
    };
    let check = |status, body: &str| job.check(42, status, body.as_bytes());
    assert!(check(StatusCode::OK, &answer(text, false)).is_ok());
    assert!(check(StatusCode::OK, &answer(text, true)).is_err());
    assert!(
        check(
            StatusCode::OK,
            &answer(text.trim_start_matches("000"), false)
        )
        .is_err()
    );
    assert!(check(StatusCode::OK, &answer(&text.replace("2a", "2b"), false)).is_err());
    assert!(check(StatusCode::OK, r#"{"content":[],"isError":false}"#).is_err());
    assert!(check(StatusCode::OK, "no JSON").is_err());
    assert!(check(StatusCode::TOO_MANY_REQUESTS, &answer(text, false)).is_err());
}

#[test]
fn a_login_gives_a_token_and_a_key_has_its_name() {
    let login = job(Work::Login("a".to_owned(), "b".to_owned()));
    let check = |body: &str| login.check(1, StatusCode::OK, body.as_bytes());
    assert!(check(r#"{"access_token":"a.b.c"}"#).is_ok());
    assert!(check(r#"{"access_token":"a"}"#).is_err());
    assert!(check("{}").is_err());
    let key = job(Work::NewKey);
    let check = |status, body: &str| key.check(7, status, body.as_bytes());
    assert!(check(StatusCode::CREATED, r#"{"name":"key 7","key":"mcp_x"}"#).is_ok());
    assert!(check(StatusCode::OK, r#"{"name":"key 7","key":"mcp_x"}"#).is_err());
    assert!(check(StatusCode::CREATED, r#"{"name":"key 8","key":"mcp_x"}"#).is_err());
    assert!(check(StatusCode::CREATED, r#"{"name":"key 7"}"#).is_err());
}

fn outcome(calls: u32) -> Outcome {
    let mut outcome = Outcome::default();
    for _ in 0..calls {
        outcome.latencies.record(Duration::from_micros(100));
    }
    outcome.elapsed = Duration::from_secs(1);
    outcome
}

fn row(database: &'static str, what: &str, calls: u32, micros: u64) -> Row {
    let mut row = Row::new(database, what);
    let cpu = Duration::from_micros(micros * u64::from(calls));
    row.add(outcome(calls), cpu, 2048);
    row
}

#[test]
fn a_way_is_compared_with_the_mcp_endpoint_over_its_own_database() {
    let mut report = Report::new(Vec::new());
    report.add_rows(vec![
        row("a", &format!("{MCP}, 1 connections"), 1000, 40),
        row("a", &format!("{MCP}, 16 connections"), 2000, 20),
        row("b", &format!("{MCP}, 16 connections"), 4000, 10),
        row("a", "x, 16 connections", 1000, 30),
        row("a", "logins, 1 at once", 10, 30_000),
    ]);
    assert!(report.is_right());
    let text = report.markdown();
    let columns: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
    assert_eq!(columns, [11; 7], "{text}");
    let line =
        "| a | x, 16 connections | 1,000 | 50 % | 0.100 ms | 0.100 ms | 30.0 | 1.50 | 2.0 | 0 |";
    assert!(text.contains(line), "{text}");
    let line = "| a | logins, 1 at once | 10 | - | 0.100 ms | 0.100 ms | 30000.0 | - | 2.0 | 0 |";
    assert!(text.ends_with(line), "{text}");
    assert_eq!(report.json()["rows"][3]["cpu_us"], 30.0);
}

#[test]
fn a_way_without_a_right_answer_fails_the_run() {
    let mut report = Report::new(Vec::new());
    report.add_rows(vec![row("a", "x", 0, 1)]);
    assert!(!report.is_right());
    let mut bad = row("a", "x", 5, 1);
    let mut wrong = outcome(5);
    wrong.errors = 3;
    bad.add(wrong, Duration::ZERO, 0);
    let mut report = Report::new(Vec::new());
    report.add_rows(vec![bad]);
    assert!(!report.is_right());
    assert!(report.markdown().ends_with("| **3** |"));
}

#[test]
fn a_crowd_has_a_table_of_its_own() {
    let mut report = Report::new(Vec::new());
    let mut any = outcome(3);
    any.errors = 1;
    report.crowds.push(Crowd {
        database: "SQLite",
        servers: 10_000,
        keys: 100_000,
        listening: Duration::from_millis(20),
        by_api: Duration::from_millis(30),
        by_mcp: Duration::from_millis(40),
        idle_kib: 1024,
        lists: vec![("/servers", Duration::from_millis(5), 1234)],
        one: outcome(3),
        any,
        idle_cpu: 0.0125,
        end_kib: 2048,
        most_kib: 4096,
        connections: 64,
    });
    assert!(!report.is_right());
    let text = report.markdown();
    assert!(
        text.contains("| `GET /servers` | 5.000 ms, 1,234 bytes |"),
        "{text}"
    );
    assert!(text.contains("| 0.100 ms, **1 errors** |"), "{text}");
    assert!(text.contains("while nobody calls | 12.5 ms |"), "{text}");
    assert_eq!(
        report.json()["crowds"][0]["lists"]["/servers"]["bytes"],
        1234
    );
}
