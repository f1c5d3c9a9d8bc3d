//! The axum router: from an HTTP request to the engine and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri,
};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::any;
use bytes::Bytes;
use futures_util::StreamExt;
use mcp_gw_core::{
    AuthnError, Credentials, Gateway, HttpFacts, LimitReport, RequestMeta, SignatureFault,
    Transport,
};
use mcp_gw_server::http::{
    HttpBody, HttpPeer, HttpReply, LIMIT_HEADERS, SESSION_ID_HEADER, limit_headers, preflight,
};
use mcp_gw_server::{Engine, EngineConfig, Inbound, PendingSignature};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::credentials;
use crate::guard::Guard;
use crate::head::Head;
use crate::incoming::Incoming;
use crate::pieces::Pieces;
use crate::proxies::TrustedProxies;

/// How the router treats requests.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Which `Host` and `Origin` are served.
    pub guard: Guard,
    /// Proxies whose word is taken for the address of a client.
    pub proxies: TrustedProxies,
    /// Longest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// How the engine presents itself and what it bounds.
    pub engine: EngineConfig,
    /// Where API keys stand, and how requests are signed. Without it keys are in `X-API-Key`, and
    /// signatures are not looked at.
    pub inbound: Option<Inbound>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            guard: Guard::new(),
            proxies: TrustedProxies::new(),
            max_body_bytes: 4 * 1024 * 1024,
            engine: EngineConfig::default(),
            inbound: None,
        }
    }
}

impl HttpConfig {
    /// Sets which `Host` and `Origin` are served.
    #[must_use]
    pub fn with_guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// Sets the proxies whose word is taken for the address of a client.
    #[must_use]
    pub fn with_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Sets the longest body that is read, in bytes.
    #[must_use]
    pub const fn with_max_body_bytes(mut self, max_body_bytes: usize) -> Self {
        self.max_body_bytes = max_body_bytes;
        self
    }

    /// Sets how the engine presents itself and what it bounds.
    #[must_use]
    pub fn with_engine(mut self, engine: EngineConfig) -> Self {
        self.engine = engine;
        self
    }

    /// Sets where API keys stand, and how requests are signed.
    #[must_use]
    pub fn with_inbound(mut self, inbound: Inbound) -> Self {
        self.inbound = Some(inbound);
        self
    }
}

/// The MCP endpoints of a gateway: the main one at `/` of the router, and the others each at its
/// name, with or without a slash behind. Nest it where you want it:
/// `app.nest_service("/mcp", router(gateway, HttpConfig::default()))`. With `nest` it is the same, except
/// that axum answers `/mcp/` itself, with an empty 404.
///
/// Serve it with [`axum::Router::into_make_service_with_connect_info`] and
/// [`std::net::SocketAddr`], so that the client's address reaches audit and policy.
pub fn router(gateway: Gateway, config: HttpConfig) -> Router {
    let engine = Engine::new(gateway, config.engine.clone());
    router_for(engine, config)
}

/// The same for an engine that is there already; [`HttpConfig::engine`] is not looked at. A server
/// that waits for open requests before it ends calls [`Engine::wind_down`] first, as streams of
/// sessions have no end of their own.
pub fn router_for(engine: Engine, config: HttpConfig) -> Router {
    let guard = config.guard.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            guard.allows_origin(origin)
        }))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // `Mcp-Param-*` are as many as tools want, so what the page asks for is what it gets.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed());
    let state = Arc::new(Endpoint { engine, config });
    Router::new()
        .route("/", any(main))
        .route("/{endpoint}", any(named))
        .route("/{endpoint}/", any(named))
        .fallback(elsewhere)
        .layer(cors)
        .layer(from_fn_with_state(Arc::clone(&state), asked_beforehand))
        .with_state(state)
}

/// Browsers ask with OPTIONS what they may send, and are answered before the request gets to anything
/// else: a name that is not served is not for them, either.
async fn asked_beforehand(
    State(state): State<Arc<Endpoint>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if *request.method() == Method::OPTIONS {
        let limits = LimitReport::new();
        let addr = state.client(peer_addr(request.extensions()), request.headers());
        if let Err(reply) = state.engine.admit_address_to(addr, &limits).await {
            return into_response(reply);
        }
        let guard = &state.config.guard;
        if let Err(refused) = guard.check_host(request.uri(), request.headers()) {
            return into_response(HttpReply::text(StatusCode::FORBIDDEN, &refused.0));
        }
    }
    next.run(request).await
}

/// What scripts of pages may read of answers.
pub(crate) fn exposed() -> Vec<HeaderName> {
    let limits = LIMIT_HEADERS.into_iter().map(HeaderName::from_static);
    let own = [HeaderName::from_static(SESSION_ID_HEADER), WWW_AUTHENTICATE];
    own.into_iter().chain(limits).collect()
}

pub(crate) struct Endpoint {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
}

async fn main(State(state): State<Arc<Endpoint>>, request: Request) -> Response<Body> {
    respond(&state, None, request).await
}

async fn named(
    State(state): State<Arc<Endpoint>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    respond(&state, Some(&name), request).await
}

/// What is neither.
async fn elsewhere(State(state): State<Arc<Endpoint>>, request: Request) -> Response<Body> {
    let limits = LimitReport::new();
    let addr = state.client(peer_addr(request.extensions()), request.headers());
    if let Err(reply) = state.engine.admit_address_to(addr, &limits).await {
        return into_response(reply);
    }
    let refused = state.guarded(request.uri(), request.headers()).err();
    let response = refused.map_or_else(
        || {
            let says = "Not found: the path of an endpoint is that of the gateway, or has one name \
                        behind it.";
            into_response(HttpReply::text(StatusCode::NOT_FOUND, says))
        },
        |refused| *refused,
    );
    told(response, &limits)
}

/// Answers a request to the endpoint of this name; the main one has none.
pub(crate) async fn respond(
    state: &Endpoint,
    name: Option<&str>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let limits = LimitReport::new();
    let key_header = state.config.inbound.as_ref().map(Inbound::api_key_header);
    let head = Arc::new(Head::new(head, key_header));
    let response = match state.answer(name, &head, body, &limits).await {
        Ok(reply) => into_response(reply),
        Err(response) => *response,
    };
    told(response, &limits)
}

/// The response with how the client stands with limits, if it does not say that yet.
fn told(mut response: Response<Body>, limits: &LimitReport) -> Response<Body> {
    if LIMIT_HEADERS
        .iter()
        .any(|name| response.headers().contains_key(*name))
    {
        return response;
    }
    for (name, value) in limit_headers(response.status(), limits) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Endpoint {
    async fn answer(
        &self,
        name: Option<&str>,
        shared: &Arc<Head>,
        body: Body,
        limits: &LimitReport,
    ) -> Result<HttpReply, Box<Response<Body>>> {
        let head = shared.parts();
        let addr = self.client(peer_addr(&head.extensions), &head.headers);
        // Every request counts, whatever becomes of it; and before anybody looks at keys, so that
        // guessing them is bounded.
        if let Err(reply) = self.engine.admit_address_to(addr, limits).await {
            return Ok(reply);
        }
        // Cheap refusals first; the body is read only for a caller who may be here.
        self.guarded(&head.uri, &head.headers)?;
        if let Some(reply) = preflight(&head.method, &head.headers) {
            // Who may not come at all is told nothing else.
            if self.engine.gateway().address_refusal(addr).is_some() {
                self.authenticate(shared, addr).await?;
            }
            return Ok(reply);
        }
        let mut body = Incoming::new(self.config.max_body_bytes, head, body);
        let (mut signed, peer) = match self.admitted(shared, addr, &mut body).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                body.pass_over().await;
                return Err(refused);
            }
        };
        // A signature without a body is good once from here on, one with a body when that is right.
        if let Some(signed) = &mut signed
            && head.method != Method::POST
            && let Err(error) = signed.check_body(&[])
        {
            return Err(Box::new(self.refuse(shared, addr, error).await));
        }
        let peer = peer.with_limits(limits.clone());
        let peer = peer.with_http(Arc::clone(shared) as Arc<dyn HttpFacts>);
        let engine = match name {
            None => Some(self.engine.clone()),
            Some(name) => self.engine.at(name),
        };
        let Some(engine) = engine else {
            let says = "Not found: there is no endpoint of this name. The path without it leads to \
                        everything.";
            let reply = HttpReply::text(StatusCode::NOT_FOUND, says);
            return Ok(self.engine.unread(&peer, reply).await);
        };
        match head.method {
            Method::GET => return Ok(engine.get(&head.headers, &peer)),
            Method::DELETE => return Ok(engine.delete(&head.headers, &peer)),
            _ => {}
        }
        let body = match body.whole().await {
            Ok(body) => body,
            Err(reply) => return Ok(engine.unread(&peer, reply).await),
        };
        if let Some(signed) = &mut signed
            && let Err(error) = signed.check_body(&body)
        {
            return Err(Box::new(self.refuse(shared, addr, error).await));
        }
        Ok(engine.post(&head.headers, body, peer).await)
    }

    /// Who sends a request, and its signature as far as it can be checked before the body is there.
    async fn admitted(
        &self,
        shared: &Head,
        addr: Option<IpAddr>,
        body: &mut Incoming,
    ) -> Result<(Option<PendingSignature>, HttpPeer), Box<Response<Body>>> {
        let signed = self.signature(shared, addr, body).await?;
        let peer = self.authenticate(shared, addr).await?;
        if let Some(signed) = &signed
            && let Err(error) = signed.check_caller(&peer.caller)
        {
            return Err(Box::new(self.refuse(shared, addr, error).await));
        }
        Ok((signed, peer))
    }

    /// The signature of a request, as far as it can be checked before it is known who the caller is. A
    /// form that says nothing without the body has it read now.
    async fn signature(
        &self,
        shared: &Head,
        addr: Option<IpAddr>,
        body: &mut Incoming,
    ) -> Result<Option<PendingSignature>, Box<Response<Body>>> {
        let Some(inbound) = &self.config.inbound else {
            return Ok(None);
        };
        // Who may not come at all is told so before anything is read.
        if self.engine.gateway().address_refusal(addr).is_some() {
            let fault = SignatureFault::Missing;
            let reason = "the address of the client was refused";
            let error = AuthnError::Signature { fault, reason };
            return Err(Box::new(self.refuse(shared, addr, error).await));
        }
        let checked = async {
            let Some(mut signed) = inbound.signature(&shared.signed())? else {
                return Ok(None);
            };
            if signed.needs_body() {
                let body = match shared.parts().method {
                    Method::POST => body.whole().await.map_err(Unread::Body)?,
                    _ => Bytes::new(),
                };
                signed.check_body(&body)?;
            }
            Ok(Some(signed))
        };
        match checked.await {
            Ok(signed) => Ok(signed),
            Err(Unread::Body(reply)) => Err(Box::new(into_response(reply))),
            Err(Unread::Signature(error)) => Err(Box::new(self.refuse(shared, addr, error).await)),
        }
    }

    /// The address of the client, behind the proxies whose word is taken for it.
    fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        self.config.proxies.client(peer, headers)
    }

    /// 403 for a `Host` or `Origin` of elsewhere.
    fn guarded(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response<Body>>> {
        self.config.guard.check(uri, headers).map_err(|refused| {
            Box::new(into_response(HttpReply::text(
                StatusCode::FORBIDDEN,
                &refused.0,
            )))
        })
    }

    async fn authenticate(
        &self,
        head: &Head,
        addr: Option<IpAddr>,
    ) -> Result<HttpPeer, Box<Response<Body>>> {
        let id = self.engine.next_request_id();
        let meta = RequestMeta::new(id.as_str(), Transport::Http).with_client_addr(addr);
        let credentials = credentials::read(&head.parts().headers, head.key_header(), addr);
        match self
            .engine
            .gateway()
            .authenticate(&credentials, &meta)
            .await
        {
            Ok(caller) => Ok(HttpPeer::new(caller, id, addr)),
            Err(error) => Err(Box::new(self.told(head, &error))),
        }
    }

    /// Refuses a request whose signature is not good, and has that audited. That nobody may come from
    /// the client's address is told before.
    async fn refuse(&self, head: &Head, addr: Option<IpAddr>, error: AuthnError) -> Response<Body> {
        let id = self.engine.next_request_id();
        let meta = RequestMeta::new(id.as_str(), Transport::Http).with_client_addr(addr);
        let refused = Credentials::none(Transport::Http).with_refusal(error.clone());
        let gateway = self.engine.gateway();
        let answer = gateway.authenticate(&refused, &meta).await;
        self.told(head, &answer.err().unwrap_or(error))
    }

    fn told(&self, head: &Head, error: &AuthnError) -> Response<Body> {
        let inbound = self.config.inbound.as_ref();
        let accept = inbound.and_then(|inbound| inbound.accept_signature(head.method()));
        credentials::refuse(error, head.key_header(), accept.as_deref())
    }
}

/// Why nothing is known of a signature.
enum Unread {
    Signature(AuthnError),
    Body(HttpReply),
}

impl From<AuthnError> for Unread {
    fn from(error: AuthnError) -> Self {
        Self::Signature(error)
    }
}

pub(crate) fn peer_addr(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(addr)| addr.ip())
}

fn into_response(reply: HttpReply) -> Response<Body> {
    let body = match reply.body {
        HttpBody::Full(bytes) => Body::from(bytes),
        HttpBody::Pieces(pieces) => Body::new(Pieces::of(pieces)),
        HttpBody::Events(events) => {
            Body::from_stream(events.map(Ok::<_, std::convert::Infallible>))
        }
        _ => Body::empty(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use mcp_gw_core::AllowAll;
    use tower::ServiceExt as _;

    use super::*;

    fn gateway_router() -> Router {
        let gateway = Gateway::builder().policy(AllowAll::new()).build().unwrap();
        router(gateway, HttpConfig::default())
    }

    async fn answer(app: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(Body::from(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_foreign_host_is_refused_before_pages_hear_what_they_may_send() {
        for (host, status) in [
            ("localhost", StatusCode::OK),
            ("evil.example", StatusCode::FORBIDDEN),
        ] {
            let request = Request::options("/")
                .header("host", host)
                .header("origin", "http://localhost")
                .header("access-control-request-method", "POST")
                .body(Body::empty())
                .unwrap();
            let response = gateway_router().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{host}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_is_where_the_router_is_nested_with_or_without_a_slash() {
        let nested = Router::new().nest("/mcp", gateway_router());
        let service = Router::new().nest_service("/mcp", gateway_router());
        for (app, path) in [
            (&nested, "/mcp"),
            (&service, "/mcp"),
            (&service, "/mcp/"),
            (&gateway_router(), "/"),
        ] {
            let (status, says) = answer(app, path).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {says}");
            assert!(says.contains("-32600"), "{path}: {says}");
        }
        for path in ["/mcp/nobody", "/mcp/nobody/", "/mcp/a/b"] {
            for app in [&nested, &service] {
                let (status, says) = answer(app, path).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {says}");
                assert!(says.starts_with("Not found: "), "{path}: {says}");
            }
        }
    }
}
