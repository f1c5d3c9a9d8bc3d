//! Whatever JSON is handed over comes back byte for byte.

use mcp_gw_core::jsonrpc::{Message, Request};
use mcp_gw_core::{Backend as _, Members, RawJson};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use proptest::prelude::*;

use crate::client::{ASKABLE, Client};
use crate::fake::{DISCOVERED, Fake, Seen, event, handshake, json, sse};
use crate::odd_json::{answer, try_many};

/// The result of the call that `request` is.
fn echo(request: &Request<'_>) -> String {
    let params = &request.params;
    let meta: Members<'_> = serde_json::from_str(params.get("_meta").unwrap().get()).unwrap();
    answer(
        params.get("arguments").unwrap().get(),
        meta.get("vendor/x").unwrap().get(),
        params.get("more").unwrap().get(),
    )
}

fn respond(seen: &Seen, is_modern: bool) -> axum::response::Response {
    // Numbers without end make no tree, so the text is looked at here.
    let Ok(Message::Request(request)) = Message::parse(seen.text.as_bytes()) else {
        return handshake(seen).unwrap();
    };
    match &*request.method {
        "server/discover" if is_modern => seen.result(DISCOVERED),
        "tools/call" => {
            let id = RawJson::parse(request.id.get().to_owned()).unwrap();
            let result = RawJson::parse(echo(&request)).unwrap();
            let message = mcp_gw_core::jsonrpc::result(&id, &result);
            if message.len().is_multiple_of(2) {
                json(200, message.as_str())
            } else {
                sse(event(message.as_str()))
            }
        }
        _ => handshake(seen).unwrap(),
    }
}

#[test]
fn payload_passes_in_both_eras_as_it_came_whatever_it_is() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for is_modern in [true, false] {
        let fake = runtime.block_on(Fake::start(
            move |seen| async move { respond(&seen, is_modern) },
        ));
        let backend = HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap();
        let client = Client::new(None, ASKABLE);
        try_many(|load| {
            let ctx = client.context();
            let output = runtime
                .block_on(backend.call_tool(&ctx, load.call()))
                .unwrap();
            prop_assert_eq!(output.as_raw().as_str(), load.expected());
            Ok(())
        });
    }
}
