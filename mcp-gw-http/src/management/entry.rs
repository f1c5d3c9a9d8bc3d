//! The way of a request to its operation and back.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, request};
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt as _;
use mcp_gw_core::{
    Caller, Deed, ErrorClass, GatewayError, Incoming, LimitReport, Outcome, RequestMeta, Transport,
};
use mcp_gw_server::Inbound;
use mcp_gw_server::http::HttpReply;
use mcp_gw_server::identity::Scope;

use super::ask::{Api, Ask, Reply};
use super::body;
use super::fault::Fault;
use super::limits;
use super::table::{BodyKind, Need, Operation};
use crate::credentials;
use crate::incoming::Incoming as RequestBody;
use crate::router::peer_addr;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IGNORED: HeaderName = HeaderName::from_static("x-ignored-members");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How long the answer to a change waits until its audit event is written.
const PATIENCE: Duration = Duration::from_secs(2);

/// What limits know these requests as.
const METHOD: &str = "management";

/// The routes of a table.
pub(super) fn routes(api: &Arc<Api>, table: Vec<Operation>) -> Router {
    let mut paths: Vec<(&'static str, Vec<Operation>)> = Vec::new();
    for row in table {
        match paths.iter_mut().find(|(path, _)| *path == row.path) {
            Some((_, rows)) => rows.push(row),
            None => paths.push((row.path, vec![row])),
        }
    }
    let mut router = Router::new();
    for (path, rows) in paths {
        let (api, rows) = (Arc::clone(api), Arc::new(rows));
        let handler = move |params: Result<RawPathParams, _>, request: Request| {
            let (api, rows) = (Arc::clone(&api), Arc::clone(&rows));
            // What is no UTF-8 is the name of nothing.
            let params: Option<Vec<_>> = params.ok().map(|params: RawPathParams| {
                let params = params.iter();
                params
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect()
            });
            async move { respond(api, &rows, params, request).await }
        };
        router = router.route(path, any(handler));
    }
    router
}

/// The answer where there is no route.
pub(super) async fn nowhere(api: Arc<Api>, request: Request) -> Response<Body> {
    respond(api, &[], None, request).await
}

async fn respond(
    api: Arc<Api>,
    rows: &[Operation],
    params: Option<Vec<(String, String)>>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let (by_addr, by_caller) = (LimitReport::new(), LimitReport::new());
    let id: Arc<str> = id_of(&api, &head.headers).into();
    let way = Way {
        api: &api,
        id: &id,
        addr: api
            .http
            .proxies
            .client(peer_addr(&head.extensions), &head.headers),
        by_addr: &by_addr,
        by_caller: &by_caller,
    };
    let mut response = match way.go(rows, params, &head, body).await {
        Ok(reply) => reply.response(),
        Err(fault) => fault.response(&id),
    };
    if rows.is_empty() || response.status() == StatusCode::METHOD_NOT_ALLOWED {
        allow(&mut response, rows);
    }
    by_caller.fill(by_addr.standings());
    let status = response.status();
    let headers = response.headers_mut();
    limits::tell(headers, status, &by_caller);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    // Tokens and keys are among what is answered.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

fn allow(response: &mut Response<Body>, rows: &[Operation]) {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return;
    }
    let mut methods: Vec<&str> = rows.iter().map(|row| row.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, methods);
    }
}

/// What the client calls this request, if that is a sane name; else one of ours.
fn id_of(api: &Api, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| {
        let of_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        (1..=128).contains(&id.len()) && id.bytes().all(of_name)
    };
    given
        .filter(is_sane)
        .map_or_else(|| api.engine.next_request_id(), str::to_owned)
}

struct Way<'a> {
    api: &'a Arc<Api>,
    id: &'a Arc<str>,
    addr: Option<IpAddr>,
    by_addr: &'a LimitReport,
    by_caller: &'a LimitReport,
}

impl Way<'_> {
    async fn go(
        &self,
        rows: &[Operation],
        params: Option<Vec<(String, String)>>,
        head: &request::Parts,
        body: Body,
    ) -> Result<Reply, Fault> {
        let gateway = self.api.engine.gateway();
        // Every request counts, whatever becomes of it, so that guessing is bounded.
        gateway.admit_address(self.addr, self.by_addr).await?;
        self.guard(head)?;
        if gateway.address_refusal(self.addr).is_some() {
            return Err(Fault::new(
                StatusCode::FORBIDDEN,
                "ADDRESS_REFUSED",
                "Forbidden",
            ));
        }
        let (Some(row), Some(params)) = (find(rows, &head.method)?, params) else {
            return Err(Fault::not_found("Not Found"));
        };
        let caller = self.caller(row, &params, head).await?;
        if !row.is_charged_behind && row.need != Need::Nobody {
            self.charge(&caller).await?;
        }
        let outcome = self.run(row, params, head, body, &caller).await;
        // What was refused before the gateway behind heard of it was charged to nobody yet.
        let is_uncharged = row.is_charged_behind && self.by_caller.standings().is_empty();
        if outcome.is_err() && is_uncharged {
            self.charge(&caller).await?;
        }
        outcome
    }

    /// 403 for a `Host` or `Origin` of elsewhere.
    fn guard(&self, head: &request::Parts) -> Result<(), Fault> {
        let (guard, headers) = (&self.api.http.guard, &head.headers);
        let refused = |says: String| Fault::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", says);
        guard
            .check_host(&head.uri, headers)
            .map_err(|error| refused(error.0))?;
        let mut origins = headers.get_all("origin").iter();
        if origins.all(|origin| self.api.allows_origin(origin)) {
            return Ok(());
        }
        Err(refused(
            "Pages of this origin may not ask: see `management.cors_origins`".to_owned(),
        ))
    }

    /// Who asks, when they may.
    async fn caller(
        &self,
        row: &Operation,
        params: &[(String, String)],
        head: &request::Parts,
    ) -> Result<Arc<Caller>, Fault> {
        if row.need == Need::Nobody {
            return Ok(Arc::new(Caller::anonymous()));
        }
        let inbound = self.api.http.inbound.as_ref();
        let key_header = inbound.map_or(API_KEY, Inbound::api_key_header);
        let shown = credentials::read(&head.headers, &key_header, self.addr);
        let gateway = self.api.engine.gateway();
        let caller = gateway.authenticate(&shown, &self.meta()).await?;
        if let Need::Scope(scope) = row.need
            && !Scope::held_by(&caller).contains(&scope)
        {
            // It costs as much as if it were answered.
            self.charge(&caller).await?;
            let fault = Fault::lacks(scope);
            if is_audited(row) {
                let deed = deed_of(Err(&fault));
                let deed = of_path(params).into_iter().fold(deed, Deed::with_name);
                let refused = std::future::ready(((), deed));
                let meta = self.meta();
                gateway.audited(Some(&caller), &meta, row.id, refused).await;
            }
            return Err(fault);
        }
        Ok(caller)
    }

    async fn charge(&self, caller: &Arc<Caller>) -> Result<(), GatewayError> {
        let incoming = Incoming::new(Arc::clone(caller), self.meta());
        self.api.engine.gateway().charge(&incoming, METHOD).await
    }

    fn meta(&self) -> RequestMeta {
        RequestMeta::new(Arc::clone(self.id), Transport::Http)
            .with_client_addr(self.addr)
            .with_limit_report(self.by_caller.clone())
    }

    async fn run(
        &self,
        row: &Operation,
        params: Vec<(String, String)>,
        head: &request::Parts,
        body: Body,
        caller: &Arc<Caller>,
    ) -> Result<Reply, Fault> {
        // Where nothing is asked of the query nothing of it can be wrong.
        let query = head.uri.query().filter(|_| !row.query.is_empty());
        let query = query.unwrap_or_default();
        let query = body::pairs(query.as_bytes(), "query")?;
        let mut ignored = None;
        let (mut form, mut json) = (Bytes::new(), None);
        if let Some(kind) = &row.body {
            match kind {
                BodyKind::Json(_) => body::expect_type(&head.headers, kind.media_type())?,
                BodyKind::Form(_) => body::expect_form(&head.headers, &["username", "password"])?,
            }
            let mut body = RequestBody::new(self.api.http.max_body_bytes, head, body);
            form = body.whole().await.map_err(|reply| unread(&reply))?;
            if matches!(kind, BodyKind::Json(_)) {
                let whole = body::whole(&form);
                let known = self.api.known.get(row.id);
                ignored = known.and_then(|known| body::ignored(&whole, known));
                json = Some(whole);
            }
        }
        let ask = Ask {
            api: Arc::clone(self.api),
            caller: Arc::clone(caller),
            addr: self.addr,
            request_id: Arc::clone(self.id),
            params,
            query,
            headers: head.headers.clone(),
            form,
            json,
            limits: self.by_caller.clone(),
            about: Arc::default(),
        };
        let reply = perform(row, ask).await?;
        Ok(match ignored {
            Some(names) => reply.with(IGNORED, names),
            None => reply,
        })
    }
}

/// Does it. A change is made to its end though the client has gone; a panic is an answer, too.
async fn perform(row: &Operation, ask: Ask) -> Result<Reply, Fault> {
    if !is_audited(row) {
        return caught(row.id, (row.run)(ask)).await;
    }
    let id = row.id;
    let (api, caller, meta) = (Arc::clone(&ask.api), Arc::clone(&ask.caller), ask.meta());
    let (about, of_path) = (Arc::clone(&ask.about), of_path(&ask.params));
    let work = (row.run)(ask);
    let work = async move {
        let done = caught(id, work).await;
        let deed = deed_of(done.as_ref());
        let about = about.get().cloned().or(of_path);
        (done, about.into_iter().fold(deed, Deed::with_name))
    };
    let whole = async move {
        let gateway = api.engine.gateway();
        let done = gateway.audited(Some(&caller), &meta, id, work).await;
        // What is acknowledged is known to have been done, whatever becomes of this process.
        match &api.audit {
            Some(audit) if done.is_ok() => {
                let written = tokio::time::timeout(PATIENCE, audit.flush()).await;
                matches!(written, Ok(Ok(())))
                    .then_some(done)
                    .unwrap_or_else(|| Err(Fault::unwritten(id)))
            }
            _ => done,
        }
    };
    let done = tokio::spawn(whole).await;
    done.unwrap_or_else(|_| Err(Fault::internal()))
}

async fn caught(
    id: &'static str,
    work: impl Future<Output = Result<Reply, Fault>>,
) -> Result<Reply, Fault> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| {
        tracing::error!(
            operation = id,
            "an operation of the management API panicked"
        );
        Err(Fault::internal())
    })
}

/// Changes are. What is asked of servers the gateway behind audits, and that somebody looks is no deed.
fn is_audited(row: &Operation) -> bool {
    row.method != Method::GET && !row.is_charged_behind
}

/// What a change was done to, as far as the path says it.
fn of_path(params: &[(String, String)]) -> Option<String> {
    let values: Vec<&str> = params.iter().map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join("/"))
}

fn deed_of(done: Result<&Reply, &Fault>) -> Deed {
    let Err(fault) = done else {
        return Deed::new(Outcome::Ok);
    };
    let outcome = match fault.status {
        StatusCode::UNAUTHORIZED => Outcome::Unauthenticated,
        StatusCode::FORBIDDEN => Outcome::Error(ErrorClass::Denied),
        StatusCode::NOT_FOUND => Outcome::Error(ErrorClass::Unknown),
        StatusCode::TOO_MANY_REQUESTS => Outcome::Error(ErrorClass::Limited),
        status if status.is_client_error() => Outcome::Error(ErrorClass::InvalidParams),
        _ => Outcome::Error(ErrorClass::Internal),
    };
    Deed::new(outcome).with_error(fault.code)
}

fn find<'r>(rows: &'r [Operation], method: &Method) -> Result<Option<&'r Operation>, Fault> {
    if rows.is_empty() {
        return Ok(None);
    }
    let wanted = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let found = rows.iter().find(|row| row.method == *wanted);
    let not_allowed = || {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Fault::new(status, "METHOD_NOT_ALLOWED", "Method Not Allowed")
    };
    found.map(Some).ok_or_else(not_allowed)
}

/// In our words, why a body could not be read.
fn unread(reply: &HttpReply) -> Fault {
    let (code, says) = match reply.status {
        StatusCode::PAYLOAD_TOO_LARGE => ("CONTENT_TOO_LARGE", "The body is too large"),
        StatusCode::REQUEST_TIMEOUT => ("REQUEST_TIMEOUT", "The body did not arrive in time"),
        _ => ("BAD_REQUEST", "The body ended early"),
    };
    Fault::new(reply.status, code, says)
}
