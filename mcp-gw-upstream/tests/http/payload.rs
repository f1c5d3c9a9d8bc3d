//! What passes between client and server: results, lists, headers, notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Duration;

use mcp_gw_core::testing::context_of;
use mcp_gw_core::{
    Backend as _, BackendError, CacheHint, CallContext, CallNotification, Caller, Completion,
    CompletionRef, Extras, ForeignParams, Incoming, PromptGet, RequestMeta, ResourceRead, Secret,
    Transport,
};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};

use crate::fake::{DISCOVERED, Fake, Seen, event, json, sse};
use crate::support::{ODD, call, context, raw};
use crate::{answer, ask, server};

#[tokio::test]
async fn errors_of_the_server_come_back_as_they_are() {
    let error = r#"{"code":-1,"message":"m","data":{"x":1.0},"vendor":[1e5]}"#;
    for status in [200, 400, 500] {
        let fake = Fake::modern(move |seen| async move {
            let id = seen.id();
            json(
                status,
                &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
            )
        })
        .await;
        let Err(BackendError::Rpc(found)) = ask(&server(&fake)).await else {
            panic!()
        };
        assert_eq!(found.as_str(), error);
    }
}

#[tokio::test]
async fn the_other_methods_are_relayed_as_text() {
    let mut fake = Fake::modern(|seen| async move { seen.result(ODD) }).await;
    let backend = server(&fake);
    let (ctx, _) = context();
    let extras = || {
        Extras::new(
            Some(raw(r#"{"v":1.0}"#)),
            vec![("more".to_owned(), raw("1e5"))],
        )
    };
    let meta = |seen: &Seen| {
        assert!(
            seen.text.contains(r#","more":1e5,"_meta":{"#),
            "{}",
            seen.text
        );
        assert!(seen.text.contains(r#","v":1.0}}"#), "{}", seen.text);
    };

    let read = ResourceRead::new("x:ä", extras());
    assert_eq!(
        backend.read_resource(&ctx, read).await.unwrap().as_str(),
        ODD
    );
    let seen = fake.next("resources/read").await;
    assert_eq!(seen.header("mcp-name"), Some("=?base64?eDrDpA==?="));
    meta(&seen);

    let get = PromptGet::new("p", mcp_gw_core::Arguments::none(), extras());
    assert_eq!(backend.get_prompt(&ctx, get).await.unwrap().as_str(), ODD);
    let seen = fake.next("prompts/get").await;
    assert_eq!(seen.header("mcp-name"), Some("p"));
    meta(&seen);

    let about = CompletionRef::Prompt("p".into());
    let completion = Completion::new(about, raw(r#"{"name":"a","value":"1"}"#), extras())
        .with_reference_members(vec![("title".to_owned(), raw(r#""T\u0021""#))]);
    assert_eq!(
        backend.complete(&ctx, completion).await.unwrap().as_str(),
        ODD
    );
    let seen = fake.next("completion/complete").await;
    let begins = r#"{"ref":{"type":"ref/prompt","name":"p","title":"T\u0021"},"argument":{"name":"a","value":"1"},"#;
    assert!(seen.text.contains(begins), "{}", seen.text);
    meta(&seen);
}

#[tokio::test]
async fn arguments_are_repeated_in_headers_and_a_tool_that_cannot_be_is_left_out() {
    let changed = Arc::new(AtomicUsize::new(0));
    let of_server = Arc::clone(&changed);
    let mut fake = Fake::modern(move |seen| {
        let changed = Arc::clone(&of_server);
        async move {
            let header = if changed.load(Ordering::SeqCst) == 0 { "Old" } else { "New" };
            if seen.method() == "tools/list" {
                return seen.result(&format!(
                    r#"{{"tools":[
                    {{"name":"echo","inputSchema":{{"properties":{{"a":{{"type":"string","x-mcp-header":"{header}"}}}}}}}},
                    {{"name":"bad","inputSchema":{{"properties":{{"a":{{"type":"object","x-mcp-header":"A"}}}}}}}}]}}"#
                ));
            }
            match seen.header(&format!("mcp-param-{header}")) {
                Some(_) => answer(&seen),
                None => seen.error(400, -32020, "Header mismatch"),
            }
        }
    })
    .await;
    let backend = server(&fake);
    let offer = backend.offer().await.unwrap();
    assert_eq!(offer.tools.len(), 1);
    let (ctx, _) = context();
    for old in [0, 1] {
        changed.store(old, Ordering::SeqCst);
        let call = call("echo", r#"{"a":"über"}"#);
        backend.call_tool(&ctx, call).await.unwrap();
    }
    let seen = fake.next("tools/call").await;
    assert_eq!(seen.header("mcp-param-old"), Some("=?base64?w7xiZXI=?="));
}

/// The context of a call that came with these headers.
fn with_headers(headers: &[(&str, &str)]) -> CallContext {
    let mut foreign = ForeignParams::new();
    for (name, value) in headers {
        foreign.push(name, value).unwrap();
    }
    let meta = RequestMeta::new("test", Transport::Http).with_foreign_params(foreign);
    context_of(Incoming::new(Caller::local(), meta))
}

#[tokio::test]
async fn headers_of_clients_are_handed_on_unless_the_tool_has_them() {
    let mut fake = Fake::modern(|seen| async move {
        if seen.method() == "tools/list" {
            let tool = r#"{"name":"echo","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"Mine"},"b":{"type":"string","x-mcp-header":"Absent"}}}}"#;
            return seen.result(&format!(r#"{{"tools":[{tool}]}}"#));
        }
        answer(&seen)
    })
    .await;
    // Nothing was read of this server before: it is, or it would get what the client says.
    let backend = server(&fake);
    let ctx = with_headers(&[
        ("mcp-param-mine", "evil"),
        ("mcp-param-absent", "evil"),
        ("mcp-param-other", "=?base64?w6k=?="),
    ]);
    let made = call("echo", r#"{"a":"good"}"#);
    backend.call_tool(&ctx, made).await.unwrap();
    let read = ResourceRead::new("x:y", Extras::default());
    let _ = backend.read_resource(&ctx, read).await;
    let seen = fake.next("tools/call").await;
    assert_eq!(seen.header("mcp-param-mine"), Some("good"));
    assert_eq!(seen.header("mcp-param-absent"), None);
    assert_eq!(seen.header("mcp-param-other"), Some("=?base64?w6k=?="));
    let seen = fake.next("resources/read").await;
    assert_eq!(seen.header("mcp-param-other"), Some("=?base64?w6k=?="));

    // Servers of old revisions have no such headers.
    let mut fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    let made = call("echo", "{}");
    server(&fake).call_tool(&ctx, made).await.unwrap();
    let seen = fake.next("tools/call").await;
    assert_eq!(seen.header("mcp-param-other"), None);
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_not_for_ever() {
    let fake = Fake::start(|seen| async move {
        let page: usize = seen.body["params"]["cursor"]
            .as_str()
            .unwrap_or("0")
            .parse()
            .unwrap();
        match seen.method() {
            "server/discover" => seen.result(
                &DISCOVERED.replace(r#""tools":{}"#, r#""tools":{},"resources":{},"prompts":{}"#),
            ),
            // Endless.
            "tools/list" => seen.result(&format!(
                r#"{{"tools":[{{"name":"t{page}","inputSchema":{{}}}}],"nextCursor":"{}"}}"#,
                page + 1
            )),
            "resources/list" if page == 2 => {
                seen.result(r#"{"resources":[{"uri":"x:2"}],"ttlMs":9000,"cacheScope":"private"}"#)
            }
            "resources/list" => seen.result(&format!(
                r#"{{"resources":[{{"uri":"x:{page}"}},{{"name":"no uri"}}],"nextCursor":"{}","ttlMs":{},"cacheScope":"public"}}"#,
                page + 1,
                7000 + page
            )),
            "prompts/list" => seen.error(200, -32603, "broken"),
            _ => seen.error(404, -32601, "Method not found"),
        }
    })
    .await;
    let offer = server(&fake).offer().await.unwrap();
    assert_eq!(offer.tools.len(), 100);
    let uris: Vec<_> = offer
        .resources
        .iter()
        .map(mcp_gw_core::ItemSpec::key)
        .collect();
    assert_eq!(uris, ["x:0", "x:1", "x:2"]);
    assert!(offer.resource_templates.is_empty() && offer.prompts.is_empty());
    let hint = |ms| Some(CacheHint::new(Duration::from_millis(ms), false));
    assert_eq!(offer.hints.tools, None, "no page says anything");
    assert_eq!(offer.hints.resources, hint(7000), "the worst of all pages");
    assert_eq!(
        offer.hints.resource_templates,
        hint(0),
        "what discovery says"
    );
    assert_eq!(offer.hints.prompts, None, "it is broken");
    let left_out: Vec<_> = offer.left_out.iter().map(|item| &*item.name).collect();
    assert_eq!(left_out, ["no uri", "no uri"]);
    let [tools, prompts] = &offer.remarks[..] else {
        panic!("{:?}", offer.remarks)
    };
    assert!(tools.contains("100 pages") && prompts.contains("broken"));
}

#[tokio::test]
async fn headers_of_the_configuration_go_with_every_request_and_into_no_error() {
    let mut fake = Fake::start(|seen| async move { seen.error(403, -32001, "hidden") }).await;
    let config = HttpServerConfig::new("up", format!("{}?key=hidden", fake.url()))
        .with_header("Authorization", Secret::new("Bearer hidden".to_owned()));
    let backend = HttpServer::new(&config).unwrap();
    assert!(!format!("{backend:?}").contains("hidden"));
    let error = ask(&backend).await.unwrap_err();
    assert!(matches!(error, BackendError::Refused { status: 403, .. }));
    assert!(error.to_string().contains("look at `headers`"), "{error}");
    assert!(!format!("{error:?}").contains("hidden"));
    for method in ["server/discover", "initialize"] {
        let seen = fake.next(method).await;
        assert_eq!(seen.header("authorization"), Some("Bearer hidden"));
    }
}

#[tokio::test]
async fn logs_and_progress_of_a_call_come_before_its_result() {
    let fake = Fake::modern(|seen| async move {
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let note = |method: &str, params: &str| {
            event(&format!(
                r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#
            ))
        };
        let progress = |token: &str, step: u32| {
            let params = format!(r#"{{"progress":{step}.0,"progressToken":{token},"x":1e5}}"#);
            note("notifications/progress", &params)
        };
        let token = token.to_string();
        sse([
            ": hello\n\n".to_owned(),
            progress(&token, 1),
            progress("\"other\"", 9),
            note("notifications/message", r#"{"level":"info","data":1.0}"#),
            note("notifications/x", r#"{"y":1.0}"#),
            progress(&token, 2),
            event(&seen.result_text("{}").replace(":{}", ":\ndata: {}")),
            progress(&token, 3),
        ]
        .concat())
    })
    .await;
    let (ctx, link) = context();
    server(&fake)
        .call_tool(&ctx, call("echo", "{}"))
        .await
        .unwrap();
    assert_eq!(
        link.notifications(),
        [
            CallNotification::Progress(raw(r#"{"progress":1.0,"x":1e5}"#)),
            CallNotification::Log(raw(r#"{"level":"info","data":1.0}"#)),
            CallNotification::Other {
                method: "notifications/x".to_owned(),
                params: raw(r#"{"y":1.0}"#)
            },
            CallNotification::Progress(raw(r#"{"progress":2.0,"x":1e5}"#)),
        ]
    );
}

#[tokio::test]
async fn a_page_that_is_of_no_use_ends_the_list_and_those_before_it_stay() {
    type Page = fn(&Seen) -> axum::response::Response;
    let pages: [(Page, &str); 3] = [
        (|seen| seen.error(200, -32603, "no page"), "no page"),
        (|seen| seen.result("{}"), "no array `tools`"),
        (|seen| seen.result(r#"{"tools":{}}"#), "no array `tools`"),
    ];
    for (second, why) in pages {
        let fake = Fake::modern(move |seen| async move {
            let first = r#"{"tools":[{"name":"t","inputSchema":{}}],"nextCursor":"2"}"#;
            if seen.text.contains(r#""cursor":"2""#) {
                second(&seen)
            } else {
                seen.result(first)
            }
        })
        .await;
        let backend = HttpServer::new(&HttpServerConfig::new("s", fake.url())).unwrap();
        let offer = backend.offer().await.unwrap();
        assert_eq!(offer.tools.len(), 1);
        assert!(offer.remarks[0].contains(why), "{:?}", offer.remarks);
        let fake = Fake::modern(move |seen| async move { second(&seen) }).await;
        let backend = HttpServer::new(&HttpServerConfig::new("s", fake.url())).unwrap();
        let error = backend.offer().await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
