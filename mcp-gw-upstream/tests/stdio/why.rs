//! What a process hears of why it is not waited for any more.

use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError, CallContext};
use mcp_gw_upstream::StdioServer;

use crate::child::fake;
use crate::client::Client;
use crate::support::{call, context};

async fn ask(backend: &StdioServer, name: &str) -> Result<String, BackendError> {
    let (ctx, _) = context();
    let output = backend.call_tool(&ctx, call(name, "{}")).await?;
    Ok(output.as_raw().member("v").unwrap().unwrap().to_string())
}

/// Makes a call, and gives it up at once after `before`.
async fn give_up(backend: &StdioServer, ctx: &CallContext, before: impl FnOnce()) {
    let mut call = Box::pin(backend.call_tool(ctx, call("hang", "{}")));
    tokio::select! {
        biased;
        _ = &mut call => panic!("it never answers"),
        () = tokio::task::yield_now() => {}
    }
    before();
}

#[tokio::test]
async fn the_server_is_told_why_a_call_is_given_up() {
    for mode in ["modern", "legacy"] {
        let config = fake(mode).with_timeout(Duration::from_millis(800));
        let backend = StdioServer::new(&config).unwrap();
        assert_eq!(ask(&backend, "reason").await.unwrap(), "null");
        let late = ask(&backend, "hang").await;
        assert!(matches!(late, Err(BackendError::Timeout { .. })));
        let reason = ask(&backend, "reason").await.unwrap();
        assert_eq!(reason, r#""No answer came within 0.8 s.""#);
        // What the client says goes on as it is written.
        let said = r#""user \u0061bort""#;
        let ctx = Client::new(None, "{}").gives_up(said).context();
        give_up(&backend, &ctx, || ()).await;
        assert_eq!(ask(&backend, "reason").await.unwrap(), said);
        // Who is between was first.
        give_up(&backend, &ctx, || ctx.give_up("too slow")).await;
        assert_eq!(ask(&backend, "reason").await.unwrap(), r#""too slow""#);
        // Nobody has to say why.
        give_up(&backend, &context().0, || ()).await;
        assert_eq!(ask(&backend, "reason").await.unwrap(), "null");
    }
}
