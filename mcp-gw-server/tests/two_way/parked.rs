//! Servers ask clients of 2026-07-28: the answer asks, the next request brings the answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_gw_core::{Outcome, SystemClock};
use mcp_gw_ratelimit::Limiter;
use mcp_gw_server::{EngineConfig, InputLimits};
use serde_json::{Value, json};

use crate::server::{engine, engine_limited};
use crate::wire::{BOTH, Client, Over};

fn can() -> Value {
    json!({"elicitation": {"url": {}, "form": {}}})
}

/// The params of a retry.
fn retry(name: &str, arguments: &Value, asked: &Value, responses: &Value) -> Value {
    json!({
        "name": name, "arguments": arguments, "inputResponses": responses,
        "requestState": asked["result"]["requestState"],
    })
}

fn said(answer: &Value) -> &Value {
    &answer["result"]["structuredContent"]
}

fn code(answer: &Value) -> &Value {
    &answer["error"]["code"]
}

#[tokio::test]
async fn a_call_that_asks_goes_on_when_its_client_comes_back() {
    for over in BOTH {
        let (engine, _, audit) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({"params": {"message": "Sure?", "x-vendor": 1.5}});
        let call = json!({"name": "ask", "arguments": args});
        let asked = client.asked("tools/call", call).await;
        let result = &asked["result"];
        assert_eq!(result["resultType"], "input_required", "{over:?} {asked}");
        assert_eq!(
            result["inputRequests"],
            json!({"input-1": {"method": "elicitation/create", "params": args["params"]}})
        );
        assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
        let yes = json!({"input-1": {"action": "accept", "n": 1}, "unknown": {}});
        let done = client
            .asked("tools/call", retry("ask", &args, &asked, &yes))
            .await;
        assert_eq!(said(&done)["said"]["answer"], yes["input-1"]);
        assert_eq!(said(&done)["declared"], can());
        // An event for the request that asked and ended the call, and one for that which answered.
        let events = audit.events();
        let calls = events.iter().filter(|it| it.method == "tools/call");
        let calls: Vec<_> = calls.map(|it| (it.outcome, it.backend_asked)).collect();
        assert_eq!(calls, [(Outcome::Ok, true), (Outcome::Ok, false)]);
        // Its state is used up.
        let again = client
            .asked("tools/call", retry("ask", &args, &asked, &yes))
            .await;
        assert_eq!(*code(&again), -32602, "{again}");
    }
}

#[tokio::test]
async fn each_round_is_charged_and_decided_on_with_the_arguments_of_the_call() {
    for over in BOTH {
        let (engine, shared, audit) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({"params": {"n": 1}});
        let call = json!({"name": "ask", "arguments": args});
        let asked = client.asked("tools/call", call).await;
        let yes = retry("ask", &args, &asked, &json!({"input-1": {}}));
        shared.budget.store(0, Ordering::SeqCst);
        let limited = client.asked("tools/call", yes.clone()).await;
        assert_eq!(*code(&limited), -31001, "{over:?} {limited}");
        assert_eq!(
            audit.events().last().unwrap().outcome.as_str(),
            "limited",
            "the round is on record"
        );
        // Who was too fast has lost nothing.
        shared.budget.store(1, Ordering::SeqCst);
        let done = client.asked("tools/call", yes).await;
        assert_eq!(said(&done)["said"]["answer"], json!({}), "{done}");
        assert_eq!(shared.budget.load(Ordering::SeqCst), 0);
        let same = format!("ask {args}");
        assert_eq!(*shared.decided.lock().unwrap(), [same.clone(), same]);
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_client_does_not_stand_in_its_way() {
    for over in BOTH {
        let limits = json!({ "concurrent": [{ "name": "one", "max": 1 }] });
        let limits = serde_json::from_value(limits).unwrap();
        let limiter = Limiter::in_memory(&limits, SystemClock::new()).unwrap();
        let (engine, _, _) = engine_limited(EngineConfig::default(), |_| limiter).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({});
        let call = json!({"name": "ask", "arguments": args});
        let asked = client.asked("tools/call", call.clone()).await;
        let busy = client.asked("tools/call", call.clone()).await;
        assert_eq!(*code(&busy), -31001, "{over:?}: the call has the one place");
        let yes = retry("ask", &args, &asked, &json!({"input-1": {}}));
        let done = client.asked("tools/call", yes).await;
        assert_eq!(said(&done)["said"]["answer"], json!({}), "{over:?} {done}");
        let next = client.asked("tools/call", call).await;
        assert_eq!(next["result"]["resultType"], "input_required", "{next}");
    }
}

/// A few that never answer must not close a server to everybody.
#[tokio::test]
async fn a_call_that_waits_for_its_client_lends_the_place_that_callers_share() {
    for over in BOTH {
        let limits = json!({ "concurrent": [{ "name": "all", "per": "global", "max": 1 }] });
        let limits = serde_json::from_value(limits).unwrap();
        let limiter = Limiter::in_memory(&limits, SystemClock::new()).unwrap();
        let kept = limiter.clone();
        let (engine, _, _) = engine_limited(EngineConfig::default(), |_| limiter).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({});
        let call = json!({"name": "ask", "arguments": args});
        let first = client.asked("tools/call", call.clone()).await;
        assert_eq!(kept.stats().under_way, 0, "{over:?}");
        let second = client.asked("tools/call", call.clone()).await;
        assert_eq!(second["result"]["resultType"], "input_required", "{second}");
        for asked in [&second, &first] {
            let yes = retry("ask", &args, asked, &json!({"input-1": {}}));
            let done = client.asked("tools/call", yes).await;
            assert_eq!(said(&done)["said"]["answer"], json!({}), "{over:?} {done}");
        }
        assert_eq!(kept.stats().under_way, 0, "{over:?}");
    }
}

#[tokio::test]
async fn who_may_not_call_any_more_has_no_call_to_come_back_to() {
    for over in BOTH {
        let (engine, shared, audit) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({});
        let call = json!({"name": "ask", "arguments": args});
        let asked = client.asked("tools/call", call).await;
        let yes = retry("ask", &args, &asked, &json!({"input-1": {}}));
        shared.refused.lock().unwrap().push("ask".to_owned());
        let refused = client.asked("tools/call", yes.clone()).await;
        let unknown = client
            .asked("tools/call", json!({"name": "none", "arguments": {}}))
            .await;
        let text = |answer: &Value| answer["error"].to_string();
        assert_eq!(text(&refused), text(&unknown).replace("none", "ask"));
        shared.heard("call ended", 1).await;
        let outcomes: Vec<_> = audit
            .events()
            .iter()
            .map(|it| it.outcome.as_str())
            .collect();
        assert!(outcomes.contains(&"denied") && outcomes.contains(&"cancelled"));
        shared.refused.lock().unwrap().retain(|it| it != "ask");
        let late = client.asked("tools/call", yes).await;
        assert_eq!(*code(&late), -32602, "{late}");
    }
}

#[tokio::test]
async fn several_questions_and_several_rounds() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        let args = json!({});
        let call = json!({"name": "ask_two", "arguments": args});
        let asked = client.asked("tools/call", call).await;
        let requests = asked["result"]["inputRequests"]
            .as_object()
            .unwrap()
            .clone();
        assert_eq!(requests.len(), 2);
        // What is missing is asked again, and the old state is used up.
        let one = json!({"input-2": {"n": 2}});
        let more = client
            .asked("tools/call", retry("ask_two", &args, &asked, &one))
            .await;
        let requests = more["result"]["inputRequests"].as_object().unwrap();
        assert_eq!(requests.keys().collect::<Vec<_>>(), ["input-1"]);
        let replayed = client
            .asked("tools/call", retry("ask_two", &args, &asked, &one))
            .await;
        assert_eq!(*code(&replayed), -32602);
        let other = json!({"input-1": {"n": 1}});
        let done = client
            .asked("tools/call", retry("ask_two", &args, &more, &other))
            .await;
        assert_eq!(
            *said(&done),
            json!([{"answer": {"n": 1}}, {"answer": {"n": 2}}])
        );

        let call = json!({"name": "ask_twice", "arguments": args});
        let first = client.asked("tools/call", call).await;
        let mut params = retry("ask_twice", &args, &first, &json!({"input-1": {}}));
        params["_meta"] = json!({
            "progressToken": "new", "io.modelcontextprotocol/logLevel": "info",
        });
        // Progress and logs follow to the stream of the retry.
        client.send("tools/call", params).await;
        let progress = client.next().await;
        assert_eq!(progress["params"]["progressToken"], "new", "{progress}");
        assert_eq!(client.next().await["method"], "notifications/message");
        let second = client.next().await;
        let requests = second["result"]["inputRequests"].as_object().unwrap();
        assert_eq!(requests.keys().collect::<Vec<_>>(), ["input-2"]);
        let done = client
            .asked(
                "tools/call",
                retry("ask_twice", &args, &second, &json!({"input-2": {}})),
            )
            .await;
        assert!(said(&done).is_array(), "{done}");
    }
}

#[tokio::test(start_paused = true)]
async fn questions_that_come_together_are_asked_together() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        for (apart, expected) in [(10, 2), (5000, 1)] {
            let args = json!({"apart_ms": apart});
            let call = json!({"name": "ask_two", "arguments": args});
            let asked = client.asked("tools/call", call).await;
            let requests = asked["result"]["inputRequests"].as_object().unwrap();
            assert_eq!(requests.len(), expected, "{over:?} {apart} ms");
            let all = json!({"input-1": {}, "input-2": {}});
            let mut done = client
                .asked("tools/call", retry("ask_two", &args, &asked, &all))
                .await;
            if expected == 1 {
                let later = json!({"input-2": {}});
                done = client
                    .asked("tools/call", retry("ask_two", &args, &done, &later))
                    .await;
            }
            assert_eq!(*said(&done), json!([{"answer": {}}, {"answer": {}}]));
        }
    }
}

#[tokio::test]
async fn a_state_that_is_changed_foreign_or_of_another_call_is_refused() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, can());
    let mut other = Client::modern_as("b", Over::Http, &engine, can());
    let args = json!({"params": {"n": 1}});
    let call = json!({"name": "ask", "arguments": args});
    let asked = client.asked("tools/call", call).await;
    let yes = json!({"input-1": {}});
    let good = retry("ask", &args, &asked, &yes);
    let answer = other.asked("tools/call", good.clone()).await;
    assert_eq!(*code(&answer), -32602, "another caller");
    let mut changed = good.clone();
    let mut state = asked["result"]["requestState"].as_str().unwrap().to_owned();
    let last = state.pop();
    state.push(if last == Some('A') { 'Q' } else { 'A' });
    changed["requestState"] = json!(state);
    let mut args_changed = good.clone();
    args_changed["arguments"]["params"]["n"] = json!(2);
    let mut renamed = good.clone();
    renamed["name"] = json!("ask_two");
    let mut strange = good.clone();
    strange["inputResponses"] = json!({"input-1": []});
    for (what, params) in [
        ("changed", changed),
        ("arguments", args_changed),
        ("name", renamed),
        ("no object", strange),
    ] {
        let answer = client.asked("tools/call", params).await;
        assert_eq!(*code(&answer), -32602, "{what} {answer}");
    }
    // None of that did harm, and nothing was called again.
    let done = client.asked("tools/call", good).await;
    assert_eq!(said(&done)["said"]["answer"], json!({}), "{done}");
    shared.heard("call ended", 1).await;
    let heard = shared.heard.lock().unwrap();
    assert_eq!(
        heard.iter().filter(|it| it.starts_with("called")).count(),
        1
    );
}

#[tokio::test]
async fn a_state_that_was_not_given_here_is_refused() {
    let (engine, _, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, can());
    for state in ["theirs", "mcp-gw.0.theirs", "mcp-gw.2.theirs", "mcp-gw.2."] {
        for tool in ["ask", "wait_not"] {
            let params = json!({"name": tool, "arguments": {}, "requestState": state});
            let answer = client.asked("tools/call", params).await;
            assert_eq!(*code(&answer), -32602, "{answer}");
            let says = answer["error"]["message"].as_str().unwrap();
            assert!(says.contains("is not of this call"), "{says}");
        }
    }
}

#[tokio::test]
async fn state_and_answers_of_another_shape_are_refused_whoever_asked() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        for (member, odd) in [
            ("requestState", json!(5)),
            ("requestState", json!(null)),
            ("requestState", json!({"a": 1})),
            ("inputResponses", json!(null)),
            ("inputResponses", json!([])),
            ("inputResponses", json!({"name": 5})),
            ("inputResponses", json!({"name": null})),
        ] {
            let mut call = json!({"name": "ask", "arguments": {}});
            call[member] = odd.clone();
            let answer = client.asked("tools/call", call).await;
            assert_eq!(*code(&answer), -32602, "{over:?} {member} {odd}: {answer}");
            let says = answer["error"]["message"].as_str().unwrap();
            assert!(says.contains(member), "{says}");
        }
        assert!(shared.heard.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_comes_back_to_is_given_up() {
    for over in BOTH {
        let limits = InputLimits::new(Duration::from_secs(30), 4, 4);
        let config = EngineConfig::default().with_input(limits);
        let (engine, shared, audit) = engine(config).await;
        let mut client = Client::modern(over, &engine, can());
        let call = json!({"name": "ask", "arguments": {}});
        let asked = client.asked("tools/call", call).await;
        shared.heard("call ended", 1).await;
        assert_eq!(
            audit.events().last().unwrap().outcome,
            Outcome::Cancelled,
            "{over:?}"
        );
        let params = retry("ask", &json!({}), &asked, &json!({"input-1": {}}));
        let late = client.asked("tools/call", params).await;
        assert_eq!(*code(&late), -32602);
    }
}

#[tokio::test]
async fn who_goes_away_while_the_call_works_gives_it_up() {
    let (engine, shared, audit) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, can());
    let args = json!({"method": "elicitation/create"});
    let call = json!({"name": "ask_then_wait", "arguments": args});
    let asked = client.asked("tools/call", call).await;
    let params = retry("ask_then_wait", &args, &asked, &json!({"input-1": {}}));
    client.send("tools/call", params).await;
    shared.heard("waits", 1).await;
    client.hang_up().await;
    shared.heard("call ended", 1).await;
    assert_eq!(audit.events().last().unwrap().outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn the_end_of_the_gateway_is_the_end_of_calls_that_wait() {
    for over in BOTH {
        let (engine, shared, audit) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, can());
        let call = json!({"name": "ask", "arguments": {}});
        client.asked("tools/call", call).await;
        match over {
            Over::Http => engine.wind_down(),
            // Calls that wait for the client of a connection end with it.
            Over::Lines => client.end().await,
        }
        shared.heard("call ended", 1).await;
        let expected = match over {
            Over::Http => Outcome::Stopped,
            Over::Lines => Outcome::Cancelled,
        };
        assert_eq!(audit.events().last().unwrap().outcome, expected);
    }
}

#[tokio::test]
async fn calls_that_wait_are_bounded_and_others_are_not_affected() {
    let limits = InputLimits::new(Duration::from_secs(60), 2, 3);
    let config = EngineConfig::default().with_input(limits);
    let (engine, _, _) = engine(config).await;
    let mut a = Client::modern_as("a", Over::Http, &engine, can());
    let mut b = Client::modern_as("b", Over::Http, &engine, can());
    let call = || json!({"name": "ask", "arguments": {}});
    let first = a.asked("tools/call", call()).await;
    a.asked("tools/call", call()).await;
    let refused = a.asked("tools/call", call()).await;
    assert_eq!(said(&refused)["said"], "unsupported", "{refused}");
    let asked = b.asked("tools/call", call()).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    let refused = b.asked("tools/call", call()).await;
    assert_eq!(said(&refused)["said"], "unsupported", "three in all");
    // A call that ends makes room.
    let params = retry("ask", &json!({}), &first, &json!({"input-1": {}}));
    a.asked("tools/call", params).await;
    let asked = a.asked("tools/call", call()).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
}

#[tokio::test]
async fn a_client_that_declared_nothing_is_never_asked() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, json!({}));
        let call = json!({"name": "ask", "arguments": {}});
        let answer = client.asked("tools/call", call).await;
        assert_eq!(said(&answer)["said"], "unsupported");
    }
}

#[tokio::test]
async fn prompts_ask_too() {
    let (engine, _, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, can());
    let asked = client.asked("prompts/get", json!({"name": "p"})).await;
    let state = &asked["result"]["requestState"];
    let params =
        json!({"name": "p", "requestState": state, "inputResponses": {"input-1": {"n": 1}}});
    let done = client.asked("prompts/get", params).await;
    assert_eq!(done["result"]["said"]["answer"], json!({"n": 1}), "{done}");
}

#[tokio::test]
async fn a_url_that_comes_first_is_asked_for_and_the_call_made_anew() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, can());
    let call = || json!({"name": "url_first", "arguments": {}});
    let asked = client.asked("tools/call", call()).await;
    let request = &asked["result"]["inputRequests"]["input-1"];
    assert_eq!(request["method"], "elicitation/create", "{asked}");
    assert_eq!(request["params"]["url"], "https://x.example/in");
    let no = json!({"input-1": {"action": "decline"}});
    let params = retry("url_first", &json!({}), &asked, &no);
    let declined = client.asked("tools/call", params).await;
    assert_eq!(*code(&declined), -32600, "{declined}");
    let yes = json!({"input-1": {"action": "accept"}});
    let params = retry("url_first", &json!({}), &asked, &yes);
    let done = client.asked("tools/call", params).await;
    // Neither answers nor state reach the server, which knows nothing of them.
    assert_eq!(said(&done)["extras"], 0, "{done}");
    shared.heard("called url_first", 2).await;

    let mut plain = Client::modern(Over::Http, &engine, json!({"elicitation": {}}));
    shared.heard.lock().unwrap().clear();
    let refused = plain.asked("tools/call", call()).await;
    let says = refused["error"]["message"].as_str().unwrap();
    assert!(says.contains("elicitation.url"), "{refused}");
}
