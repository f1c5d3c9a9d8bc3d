//! A policy written by hand: everybody may look, and only the role `editor` may change something.
//!
//! `cargo run -p mcp-gw-http --example policy [ADDRESS]`

#[path = "shared/mod.rs"]
mod shared;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use mcp_gw_core::schemars::{self, JsonSchema};
use mcp_gw_core::{
    AccessRequest, Authenticator, AuthnError, BuildError, CallContext, Caller, CallerKind,
    Credentials, Decision, Gateway, NoArguments, Policy, ToolAnnotations, ToolError, TypedTool,
    async_trait,
};
use mcp_gw_http::{HttpConfig, router};
use serde::Deserialize;

/// The decision depends on the request alone, so what a caller sees in a list is what it may call.
///
/// Annotations are facts here because the tools are ours. Those of a server behind the gateway are
/// only its own words.
struct EditorsWrite;

#[async_trait]
impl Policy for EditorsWrite {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let looks = request
            .tool
            .is_some_and(|tool| tool.annotations().is_read_only());
        if looks {
            return Decision::allow().because("everybody-looks");
        }
        if request.caller.roles.iter().any(|role| role == "editor") {
            return Decision::allow().because("editors-write");
        }
        Decision::deny().because("editors-write")
    }
}

/// Who shows the key is an editor; who shows none is nobody in particular.
struct OneKey;

/// A real service compares digests, and gets its keys from elsewhere.
pub(crate) const EDITORS_KEY: &str = "key-of-the-editor";

#[async_trait]
impl Authenticator for OneKey {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        match &credentials.bearer {
            Some(key) if key.expose() == EDITORS_KEY => {
                let caller = Caller::new(CallerKind::ApiKey, "erin").with_roles(["editor"]);
                Ok(Arc::new(caller))
            }
            None if !credentials.is_some() => Ok(Arc::new(Caller::anonymous())),
            _ => Err(AuthnError::Invalid {
                reason: "unknown key".to_owned(),
            }),
        }
    }
}

#[derive(Clone, Default)]
struct Motto(Arc<Mutex<String>>);

struct GetMotto(Motto);

impl TypedTool for GetMotto {
    const NAME: &'static str = "get_motto";
    const DESCRIPTION: &'static str = "Says the motto.";
    type Args = NoArguments;
    type Output = String;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only()
    }

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        let motto = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(motto.clone())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetMottoArgs {
    /// The new motto.
    text: String,
}

struct SetMotto(Motto);

impl TypedTool for SetMotto {
    const NAME: &'static str = "set_motto";
    const DESCRIPTION: &'static str = "Replaces the motto.";
    type Args = SetMottoArgs;
    type Output = &'static str;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::destructive().with_idempotent(true)
    }

    async fn call(&self, _: &CallContext, args: SetMottoArgs) -> Result<&'static str, ToolError> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = args.text;
        Ok("replaced")
    }
}

/// The gateway, at `/mcp`.
pub(crate) fn app() -> Result<Router, BuildError> {
    let motto = Motto::default();
    let gateway = Gateway::builder()
        .tool(GetMotto(motto.clone()))
        .tool(SetMotto(motto))
        .authenticator(OneKey)
        .policy(EditorsWrite)
        .build()?;
    Ok(Router::new().nest_service("/mcp", router(gateway, HttpConfig::default())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    shared::serve_until_ctrl_c(
        app()?,
        "set_motto",
        r#"{"text":"Look, then leap."}"#,
        Some(EDITORS_KEY),
    )
    .await
}
