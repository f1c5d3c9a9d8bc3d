//! A REST API for the demo: it knows the weather, and wants a key that no caller has.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, serve};
use mcp_gw_server::config::{ApiConfig, CredentialConfig};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

const KEY: &str = "demo-key-of-the-gateway";

/// The API, as long as this is there.
pub(super) struct Weather {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Weather {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/v1/weather/{town}", get(weather));
        let task = tokio::spawn(async move {
            // It ends with the demo.
            let _ = serve(listener, router).await;
        });
        Ok(Self {
            address,
            task: task.abort_handle(),
        })
    }

    /// How the gateway is told of it.
    pub(super) fn config(&self) -> ApiConfig {
        let mut api = ApiConfig::new(format!("http://{}/v1", self.address));
        api.description = Some("The weather in a town: /weather/{town}.".to_owned());
        // It is on this machine.
        (api.allow_http, api.allow_ip, api.allow_private) = (true, true, true);
        api.with_credential(CredentialConfig::header("X-API-Key", KEY.to_owned()))
    }
}

async fn weather(Path(town): Path<String>, headers: HeaderMap) -> Response {
    let key = headers.get("x-api-key").map(HeaderValue::as_bytes);
    if key != Some(KEY.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    // The same for a town each time.
    let degrees = town.bytes().fold(0_u32, |sum, byte| sum + u32::from(byte)) % 25;
    let json = [(header::CONTENT_TYPE, "application/json")];
    let town = serde_json::Value::from(town);
    (json, format!(r#"{{"town":{town},"degrees":{degrees}}}"#)).into_response()
}
