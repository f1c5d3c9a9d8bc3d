//! Users, keys, servers and calls over plain HTTP and JSON.
//!
//! There are two sets of paths for the same things: `/health`, `/servers`, `/tools/call` and `/stats`, and
//! `/gateway/…` and `/mcp/{template}/…`. All operations stand in one table, and so do their scopes, statuses and
//! types: the description at `/openapi.json` is made of it, and `/docs` shows that.

mod accounts;
mod ask;
mod body;
mod calls;
mod entry;
mod fault;
mod keys;
mod limits;
mod openapi;
mod place;
mod servers;
mod shapes;
mod status;
mod table;
mod templates;
mod trail;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{ALLOW, ETAG, LINK, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method};
use bytes::Bytes;
use mcp_gw_server::Engine;
use mcp_gw_server::http::LIMIT_HEADERS;
use mcp_gw_server::identity::Identity;
use mcp_gw_server::registry::Registry;
use mcp_gw_server::store::AuditWriter;
use tower::ServiceExt as _;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use self::ask::Api;
use self::table::Operation;
use crate::router::HttpConfig;

/// The management API of a gateway, to be made a router.
#[derive(Debug, Clone)]
pub struct ManagementApi {
    engine: Engine,
    identity: Identity,
    registry: Registry,
    audit: Option<AuditWriter>,
    http: HttpConfig,
    origins: Vec<String>,
    is_open: bool,
    strategy: &'static str,
}

impl ManagementApi {
    /// An API for the users of `identity` and the servers of `registry`, behind the gateway of `engine`, which
    /// must know callers by that identity.
    pub fn new(engine: Engine, identity: Identity, registry: Registry) -> Self {
        Self {
            engine,
            identity,
            registry,
            audit: None,
            http: HttpConfig::default(),
            origins: Vec::new(),
            is_open: false,
            strategy: "round_robin",
        }
    }

    /// Sets the hosts, proxies and longest bodies; what it says of engines is not looked at. Who may ask is told
    /// by credentials: signatures of requests are not looked at, either.
    #[must_use]
    pub fn with_http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Sets what writes audit events to the database: changes are answered when theirs are written, and with
    /// 503 `OUTCOME_UNKNOWN` when that takes longer than two seconds.
    #[must_use]
    pub fn with_audit(mut self, audit: Option<AuditWriter>) -> Self {
        self.audit = audit;
        self
    }

    /// Sets the origins whose pages may ask, beside those of the guard; `*` is all, where callers must show who
    /// they are (see [`Self::with_authentication`]).
    #[must_use]
    pub fn with_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        let origins = origins.into_iter();
        let plain = origins.map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
        self.origins = plain.collect();
        self
    }

    /// Sets whether callers must show who they are; they must unless this is called. Where they need not, any page
    /// that a browser on this machine shows could do everything: `*` is then loopback origins only.
    #[must_use]
    pub const fn with_authentication(mut self, is_required: bool) -> Self {
        self.is_open = !is_required;
        self
    }

    /// Sets what `/stats` says of how calls are spread.
    #[must_use]
    pub const fn with_strategy(mut self, strategy: &'static str) -> Self {
        self.strategy = strategy;
        self
    }

    /// Its routes. Serve them with [`Router::into_make_service_with_connect_info`].
    pub fn router(self) -> Router {
        self.build(None)
    }

    /// The same with MCP endpoints at `path` and below, of [`crate::router_for`]. Where both have a path, such as
    /// `/mcp/files/tools/list`, it is one of this API.
    pub fn router_with_mcp(self, path: &str, mcp: Router) -> Router {
        let path = path.trim_end_matches('/').to_owned();
        // As a service, so that a slash behind the path leads there too.
        let mcp = if path.is_empty() {
            mcp
        } else {
            Router::new().nest_service(&path, mcp)
        };
        self.build(Some((path, mcp)))
    }

    fn build(self, mcp: Option<(String, Router)>) -> Router {
        let table = operations();
        let (document, known) = openapi::document(&table);
        let api = Arc::new(self.into_api(document.to_string().into(), known));
        let nowhere = Arc::clone(&api);
        let fallback = move |request: Request| {
            let (api, mcp) = (Arc::clone(&nowhere), mcp.clone());
            let mcp = mcp.filter(|(path, _)| is_below(request.uri().path(), path));
            async move {
                match mcp {
                    Some((_, mcp)) => match mcp.oneshot(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    },
                    None => entry::nowhere(api, request).await,
                }
            }
        };
        entry::routes(&api, table)
            .layer(cors(&api))
            .fallback(fallback)
    }

    fn into_api(self, document: Bytes, known: BTreeMap<&'static str, Vec<String>>) -> Api {
        Api {
            engine: self.engine,
            identity: self.identity,
            registry: self.registry,
            audit: self.audit,
            http: self.http,
            origins: self.origins,
            is_open: self.is_open,
            strategy: self.strategy,
            document,
            known,
        }
    }

    /// The description in the form of `OpenAPI` 3.1, as it is at `/openapi.json`.
    pub fn document() -> String {
        openapi::document(&operations()).0.to_string()
    }
}

/// True for a path and all below it.
fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|rest| top.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

fn operations() -> Vec<Operation> {
    let mut table = status::table();
    table.extend(accounts::table());
    table.extend(keys::table());
    table.extend(servers::table());
    table.extend(templates::table());
    table.extend(calls::table());
    table.extend(trail::table());
    table
}

impl Api {
    /// Whether pages of this origin may ask.
    fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let is_listed = |text: &str| {
            let mut origins = self.origins.iter();
            let is_any = |one: &str| one == "*" && !self.is_open;
            origins.any(|one| is_any(one) || one.eq_ignore_ascii_case(text))
        };
        origin.to_str().is_ok_and(is_listed) || self.http.guard.allows_origin(origin)
    }
}

/// What browsers are told. Credentials are in headers that scripts set: none that a browser would add by itself
/// is looked at, so nothing is given away by allowing them. Where no credentials are needed, origins are few.
fn cors(api: &Arc<Api>) -> CorsLayer {
    let api = Arc::clone(api);
    let limits = LIMIT_HEADERS.into_iter().map(HeaderName::from_static);
    let own = ["x-request-id", "x-next-cursor", "x-ignored-members"];
    let own = own.into_iter().map(HeaderName::from_static);
    let usual = [WWW_AUTHENTICATE, ALLOW, ETAG, LINK, LOCATION];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            api.allows_origin(origin)
        }))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            usual
                .into_iter()
                .chain(own)
                .chain(limits)
                .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_secs(600))
}
