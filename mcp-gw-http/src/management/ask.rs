//! One request on its way: who asks, what was sent, and the answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use mcp_gw_core::{Caller, LimitReport, RawJson, RequestMeta, Transport};
use mcp_gw_server::Engine;
use mcp_gw_server::identity::{Identity, Principal, Scope};
use mcp_gw_server::registry::{Asker, Registry, ServerView};
use mcp_gw_server::store::{AuditWriter, Conflict, Cursor, MAX_PAGE, PageRequest, Revision};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body;
use super::fault::Fault;
use crate::router::HttpConfig;

/// What requests are about.
pub(super) struct Api {
    pub(super) engine: Engine,
    pub(super) identity: Identity,
    pub(super) registry: Registry,
    pub(super) audit: Option<AuditWriter>,
    pub(super) http: HttpConfig,
    /// Pages of other places that may read answers.
    pub(super) origins: Vec<String>,
    /// Nobody has to show who they are: `*` is not every origin then.
    pub(super) is_open: bool,
    /// How calls are spread unless a template says so.
    pub(super) strategy: &'static str,
    /// The `OpenAPI` document.
    pub(super) document: Bytes,
    /// By operation, the members that its body knows.
    pub(super) known: BTreeMap<&'static str, Vec<String>>,
}

/// A request whose sender may do what is asked.
pub(super) struct Ask {
    pub(super) api: Arc<Api>,
    pub(super) caller: Arc<Caller>,
    pub(super) addr: Option<IpAddr>,
    pub(super) request_id: Arc<str>,
    /// What the path has in the places of the braces.
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// The body, where it is a form.
    pub(super) form: Bytes,
    /// The body, where it is JSON.
    pub(super) json: Option<body::Whole>,
    pub(super) limits: LimitReport,
    /// For the audit: what this is done to, where the path does not say it.
    pub(super) about: Arc<OnceLock<String>>,
}

impl Ask {
    /// The body, as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.json
            .as_ref()
            .map_or_else(|| Err(Fault::internal()), body::of_whole)
    }

    /// What the path has in the place of `{name}`.
    pub(super) fn param(&self, name: &str) -> Result<&str, Fault> {
        let mut params = self.params.iter();
        let found = params.find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(Fault::internal)
    }

    /// The same, as a number.
    pub(super) fn number(&self, name: &str) -> Result<i64, Fault> {
        let wrong = |_| {
            Fault::at(
                &["path", name],
                "Input should be a whole number",
                "int_parsing",
            )
        };
        self.param(name)?.parse().map_err(wrong)
    }

    /// A value of the query.
    pub(super) fn asked(&self, name: &str) -> Result<Option<&str>, Fault> {
        body::one(&self.query, name, "query")
    }

    /// The same, as a boolean.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(text) = self.asked(name)? else {
            return Ok(None);
        };
        let wrong = || {
            Fault::at(
                &["query", name],
                "Input should be a boolean",
                "bool_parsing",
            )
        };
        body::flag(text).map(Some).ok_or_else(wrong)
    }

    /// The same, as a number from 1 on.
    pub(super) fn count(&self, name: &str, most: u32) -> Result<Option<u32>, Fault> {
        let Some(text) = self.asked(name)? else {
            return Ok(None);
        };
        let count = text.parse().ok().filter(|count| (1..=most).contains(count));
        let wrong = || {
            let says = format!("Input should be a whole number from 1 to {most}");
            Fault::at(&["query", name], says, "int_parsing")
        };
        count.map(Some).ok_or_else(wrong)
    }

    /// The page that is asked for.
    pub(super) fn page(&self) -> Result<PageRequest, Fault> {
        let page = PageRequest::first(self.count("limit", MAX_PAGE)?.unwrap_or(100));
        Ok(match self.asked("cursor")? {
            Some(cursor) => page.after(Cursor::from_text(cursor)),
            None => page,
        })
    }

    /// The revision that `If-Match` expects.
    pub(super) fn expected(&self) -> Result<Option<Revision>, Fault> {
        let mut values = self.headers.get_all(IF_MATCH).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let inner = |tag: &'_ str| {
            let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            tag.map(str::to_owned)
        };
        let number = inner(text).and_then(|number| number.parse().ok());
        let wrong = || {
            // A tag that is none of ours is that of nothing that is here (RFC 9110 §13.1.1).
            let is_tag = |tag: &str| inner(tag.trim().trim_start_matches("W/")).is_some();
            if text.split(',').all(is_tag) {
                return Fault::from(Conflict::Revision);
            }
            let says = "It is no `ETag` of this API";
            Fault::at(&["header", "If-Match"], says, "value_error")
        };
        number
            .map(|number| Some(Revision::new(number)))
            .ok_or_else(wrong)
    }

    /// The user of the store, or the one whose key it is, that asks.
    pub(super) fn principal(&self) -> Result<Principal, Fault> {
        Principal::of(&self.caller).ok_or_else(|| {
            let detail = "Only users of this gateway have keys and a password: log in as one";
            Fault::new(StatusCode::FORBIDDEN, "NOT_A_USER", detail)
        })
    }

    pub(super) fn is_admin(&self) -> bool {
        Scope::held_by(&self.caller).contains(&Scope::Admin)
    }

    /// Who asks the registry. Behind something that forwards nobody is on this machine.
    pub(super) fn asker(&self) -> Asker {
        let is_forwarded = self.headers.keys().any(is_of_a_proxy);
        Asker::new(self.is_admin(), self.addr.filter(|_| !is_forwarded))
    }

    /// A server as the sender may see it: what its process wrote is for who may read its log.
    pub(super) fn seen(&self, view: ServerView) -> ServerView {
        if Scope::held_by(&self.caller).contains(&Scope::Write) {
            view
        } else {
            view.without_last_words()
        }
    }

    /// Tells the audit what this is done to.
    pub(super) fn is_about(&self, name: impl Into<String>) {
        let _ = self.about.set(name.into());
    }

    /// For the gateway behind.
    pub(super) fn meta(&self) -> RequestMeta {
        RequestMeta::new(Arc::clone(&self.request_id), Transport::Http)
            .with_client_addr(self.addr)
            .with_limit_report(self.limits.clone())
    }
}

/// True for headers that something between the client and the gateway adds.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    const NAMES: [&str; 7] = [
        "forwarded",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-real-ip",
    ];
    const BEGINNINGS: [&str; 12] = [
        "cf-",
        "fastly-",
        "fly-",
        "x-amzn-",
        "x-appengine-",
        "x-azure-",
        "x-envoy-",
        "x-forwarded-",
        "x-goog-",
        "x-original-",
        "x-proxyuser-",
        "x-remote-",
    ];
    let name = name.as_str();
    NAMES.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, String)>,
}

impl Reply {
    pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Self, Fault> {
        let body = serde_json::to_vec(value).map_err(|_| Fault::internal())?;
        Ok(Self::text(status, "application/json", body))
    }

    pub(super) fn ok<T: Serialize>(value: &T) -> Result<Self, Fault> {
        Self::json(StatusCode::OK, value)
    }

    pub(super) fn raw(value: &RawJson) -> Self {
        Self::text(StatusCode::OK, "application/json", value.to_bytes())
    }

    pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            kind,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    pub(super) const fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            kind: "",
            body: Bytes::new(),
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With the revision of what it shows.
    pub(super) fn at(self, revision: Revision) -> Self {
        self.with(ETAG, format!("\"{}\"", revision.get()))
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.kind.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
