//! The short way to the endpoints of a gateway: what programs send, and browsers do not, needs nothing that a
//! framework does between the connection and the engine.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY};
use axum::http::{HeaderValue, Method, Response};
use mcp_gw_server::Engine;
use tower::ServiceExt as _;

use crate::router::{Endpoint, HttpConfig, exposed, respond};

/// Answers requests that no page of a browser makes (no `Origin`, not OPTIONS) at the path of the endpoints itself;
/// leaves all others to a router. What it answers has the headers that the router's answers have.
#[derive(Clone)]
pub(crate) struct Direct {
    lane: Arc<Lane>,
    rest: Router,
}

struct Lane {
    path: String,
    endpoint: Endpoint,
    exposed: HeaderValue,
}

impl Direct {
    /// The short way to the endpoints of `engine` at `path`, and `rest` for everything else.
    pub(crate) fn new(path: &str, engine: Engine, config: HttpConfig, rest: Router) -> Self {
        let names: Vec<_> = exposed().iter().map(ToString::to_string).collect();
        let exposed = HeaderValue::from_str(&names.join(","));
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let lane = Lane {
            path: path.to_owned(),
            endpoint: Endpoint { engine, config },
            exposed: exposed.unwrap_or(HeaderValue::from_static("")),
        };
        let lane = Arc::new(lane);
        Self { lane, rest }
    }

    pub(crate) async fn answer(self, request: Request) -> Result<Response<Body>, Infallible> {
        let is_direct = request.uri().path() == self.lane.path
            && *request.method() != Method::OPTIONS
            && !request.headers().contains_key(ORIGIN);
        if !is_direct {
            return self.rest.oneshot(request).await;
        }
        let mut response = respond(&self.lane.endpoint, None, request).await;
        let headers = response.headers_mut();
        headers.insert(VARY, VARIES);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.lane.exposed.clone());
        Ok(response)
    }
}

/// What answers to browsers depend on, which caches must know of every answer.
const VARIES: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header::CONTENT_LENGTH;
    use mcp_gw_core::{AllowAll, Gateway};
    use mcp_gw_server::EngineConfig;

    use super::*;
    use crate::router::router_for;

    fn asked(method: &str, path: &str, origin: Option<&str>) -> Request {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        request.body(Body::from(ping)).unwrap()
    }

    async fn taken(response: Response<Body>) -> (String, Vec<(String, String)>, String) {
        let (head, body) = response.into_parts();
        // The router says the length of a body; the connection would say it, too.
        let all = head
            .headers
            .iter()
            .filter(|(name, _)| **name != CONTENT_LENGTH);
        let mut headers: Vec<_> = all
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let body = to_bytes(body, 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (head.status.to_string(), headers, body)
    }

    /// Whatever is asked, and whoever asks, it is answered as by the router.
    #[tokio::test]
    async fn the_short_way_answers_as_the_long_one() {
        for path in ["", "/", "/mcp", "/mcp/"] {
            let gateway = Gateway::builder().policy(AllowAll::new()).build().unwrap();
            let engine = Engine::new(gateway, EngineConfig::default());
            let router = router_for(engine.clone(), HttpConfig::default());
            let app = match path.trim_end_matches('/') {
                "" => router,
                path => Router::new().nest_service(path, router),
            };
            let direct = Direct::new(path, engine, HttpConfig::default(), app.clone());
            for method in ["POST", "GET", "DELETE", "PUT", "OPTIONS"] {
                for asked_path in ["/", "/mcp", "/mcp/", "/mcp/nobody", "/other", "/mcp?a=b"] {
                    for origin in [None, Some("http://localhost"), Some("http://evil.example")] {
                        let request = || asked(method, asked_path, origin);
                        let short = direct.clone().answer(request()).await.unwrap();
                        let long = app.clone().oneshot(request()).await.unwrap();
                        let what = format!("{path} {method} {asked_path} {origin:?}");
                        assert_eq!(taken(short).await, taken(long).await, "{what}");
                    }
                }
            }
        }
    }
}
