//! Tools, prompts, resources: each primitive once.

use serde_json::{Value, json};

use crate::call::{Call, Fault, rpc};

type Answer = Result<Value, Fault>;

/// Answers a request.
pub(crate) async fn answer(call: &Call, method: &str) -> Answer {
    let params = &call.params;
    let name = params["name"].as_str().unwrap_or_default();
    let uri = params["uri"].as_str().unwrap_or_default();
    match method {
        "initialize" => Ok(initialized(call)),
        "server/discover" if call.state.is_modern() => Ok(json!({
            "supportedVersions": [call.state.revision],
            "capabilities": capabilities(),
            "ttlMs": 0,
            "cacheScope": "private",
        })),
        "ping" if !call.state.is_modern() => Ok(json!({})),
        "logging/setLevel" if !call.state.is_modern() => {
            let level = params["level"].as_str().map(str::to_owned);
            change(call, |session| session.level = level);
            Ok(json!({}))
        }
        "resources/subscribe" if !call.state.is_modern() => {
            change(call, |session| {
                session.watched.insert(uri.to_owned());
            });
            Ok(json!({}))
        }
        "resources/unsubscribe" if !call.state.is_modern() => {
            change(call, |session| {
                session.watched.remove(uri);
            });
            Ok(json!({}))
        }
        "tools/list" => Ok(listed(call, json!({ "tools": tools(call) }))),
        "prompts/list" => Ok(listed(
            call,
            json!({ "prompts": [
            { "name": "greet", "arguments": [{ "name": "name", "required": true }] },
            { "name": "ask_first" },
        ] }),
        )),
        "resources/list" => Ok(listed(
            call,
            json!({ "resources": [
            { "uri": "test://static", "name": "static" },
            { "uri": "test://watched", "name": "watched" },
        ] }),
        )),
        "resources/templates/list" => Ok(listed(
            call,
            json!({ "resourceTemplates": [
            { "uriTemplate": "test://items/{id}", "name": "items" },
        ] }),
        )),
        "tools/call" => tool(call, name).await,
        "prompts/get" => prompt(call, name).await,
        "resources/read" => read(call, uri),
        "completion/complete" => Ok(json!({ "completion": {
            "values": [format!("{}!", params["argument"]["value"].as_str().unwrap_or_default())],
            "total": 1,
            "hasMore": false,
        } })),
        _ => Err(rpc(-32601, "Method not found")),
    }
}

/// Lists and contents say how long they hold, from 2026-07-28 on.
fn listed(call: &Call, mut list: Value) -> Value {
    if call.state.is_modern() {
        list["ttlMs"] = json!(0);
        list["cacheScope"] = json!("private");
    }
    list
}

fn capabilities() -> Value {
    json!({
        "tools": { "listChanged": true },
        "prompts": { "listChanged": true },
        "resources": { "listChanged": true, "subscribe": true },
        "completions": {},
        "logging": {},
    })
}

fn initialized(call: &Call) -> Value {
    let capabilities_of_client = call.params["capabilities"].clone();
    change(call, |session| {
        session.capabilities = capabilities_of_client;
    });
    json!({
        "protocolVersion": call.state.revision,
        "capabilities": capabilities(),
        "serverInfo": { "name": "full", "version": "1" },
    })
}

fn change(call: &Call, work: impl FnOnce(&mut crate::state::Session)) {
    let mut memory = call.state.memory();
    work(memory.sessions.entry(call.session.clone()).or_default());
}

fn tools(call: &Call) -> Value {
    let mut names = vec![
        "ask_model",
        "both",
        "cancelled_count",
        "confirm",
        "echo",
        "grow",
        "link",
        "logs",
        "progress",
        "touch",
        "wait",
        "where",
    ];
    if call.state.memory().has_grown {
        names.push("grown");
    }
    let tool = |name: &str| {
        let mut tool = json!({ "name": name, "inputSchema": { "type": "object" } });
        if name == "echo" {
            tool["annotations"] = json!({ "readOnlyHint": true, "idempotentHint": true });
        }
        tool
    };
    names.into_iter().map(tool).collect()
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

async fn tool(call: &Call, name: &str) -> Answer {
    match name {
        "echo" => {
            let arguments = &call.params["arguments"];
            let mut result = text(&arguments.to_string());
            result["structuredContent"] = arguments.clone();
            return Ok(result);
        }
        "progress" => {
            for step in 1..=3 {
                call.progress(step, 3).await;
            }
        }
        "logs" => {
            for level in ["debug", "info", "error"] {
                call.log(level, &format!("a line of {level}")).await;
            }
        }
        "wait" => return Err(call.wait().await),
        "cancelled_count" => return Ok(text(&call.state.memory().cancelled.to_string())),
        "grow" => {
            call.state.memory().has_grown = true;
            call.state
                .tell("notifications/tools/list_changed", "toolsListChanged", None);
        }
        "touch" => {
            let uri = Some("test://watched");
            call.state.tell(
                "notifications/resources/updated",
                "resourceSubscriptions",
                uri,
            );
        }
        "grown" => {}
        "confirm" => return Ok(text(&confirm(call, "Sure?").await?)),
        "link" => {
            let params = json!({
                "mode": "url", "message": "Look", "url": "https://example.com/x",
                "elicitationId": "e1",
            });
            return Ok(text(
                &asked(
                    call,
                    "elicitation.url",
                    "elicitation/create",
                    params,
                    "action",
                )
                .await?,
            ));
        }
        "ask_model" => return Ok(text(&model(call).await?)),
        "where" => {
            let answer = call.ask("roots", "roots/list", json!({})).await?;
            let roots = answer.map_or_else(
                || "cannot".to_owned(),
                |answer| answer["roots"][0]["uri"].to_string(),
            );
            return Ok(text(&roots));
        }
        "both" => {
            let first = confirm(call, "First?").await?;
            let second = model(call).await?;
            return Ok(text(&format!("{first} {second}")));
        }
        _ => return Err(rpc(-32602, "Unknown tool")),
    }
    Ok(text("done"))
}

async fn confirm(call: &Call, message: &str) -> Result<String, Fault> {
    let params = json!({
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": { "name": { "type": "string", "x-vendor": 1.0 } },
        },
    });
    let answer = call
        .ask("elicitation", "elicitation/create", params)
        .await?;
    Ok(match answer {
        None => "cannot".to_owned(),
        Some(answer) => format!("{} {}", answer["action"], answer["content"]["name"]),
    })
}

async fn model(call: &Call) -> Result<String, Fault> {
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": "2+2?" } }],
        "maxTokens": 10,
    });
    let answer = call
        .ask("sampling", "sampling/createMessage", params)
        .await?;
    Ok(answer.map_or_else(
        || "cannot".to_owned(),
        |answer| answer["content"]["text"].to_string(),
    ))
}

async fn asked(
    call: &Call,
    capability: &str,
    method: &str,
    params: Value,
    member: &str,
) -> Result<String, Fault> {
    let answer = call.ask(capability, method, params).await?;
    Ok(answer.map_or_else(|| "cannot".to_owned(), |answer| answer[member].to_string()))
}

async fn prompt(call: &Call, name: &str) -> Answer {
    let says = match name {
        "greet" => format!("Hello {}", call.params["arguments"]["name"]),
        "ask_first" => confirm(call, "Which?").await?,
        _ => return Err(rpc(-32602, "Unknown prompt")),
    };
    Ok(json!({ "messages": [
        { "role": "user", "content": { "type": "text", "text": says } },
    ] }))
}

fn read(call: &Call, uri: &str) -> Answer {
    let known = matches!(uri, "test://static" | "test://watched")
        || uri
            .strip_prefix("test://items/")
            .is_some_and(|id| id.parse::<u64>().is_ok());
    if known {
        return Ok(listed(
            call,
            json!({ "contents": [{ "uri": uri, "text": format!("text of {uri}") }] }),
        ));
    }
    let code = if call.state.is_modern() {
        -32602
    } else {
        -32002
    };
    let error = json!({ "code": code, "message": "Resource not found", "data": { "uri": uri } });
    Err(Fault::Rpc(error))
}
