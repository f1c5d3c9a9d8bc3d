//! From what was asked for to a request that may go out. One function, and no way around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Uri};
use mcp_gw_core::Glob;
use url::Url;

use crate::egress::endpoint::{self, Endpoint};
use crate::egress::headers;
use crate::egress::parts::{PartsBody, RequestParts};
use crate::egress::query;
use crate::egress::refusal::{Refusal, RefusalCode, shown};
use crate::egress::rules::{MAX_TARGET, Rules};

/// So many parameters a caller may give besides those in the endpoint.
const MOST_PARAMETERS: usize = 256;

/// A request that may go out to the API whose rules let it pass.
///
/// Made by [`ApiRules::check`](crate::egress::ApiRules::check) alone. It holds no credential.
///
/// ```compile_fail
/// use mcp_gw_upstream::egress::Checked;
///
/// let made_up = Checked { method: http::Method::GET };
/// ```
#[derive(Clone)]
pub struct Checked {
    pub(crate) rules: Arc<Rules>,
    pub(crate) method: Method,
    /// Where to, without what a credential adds.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Duration,
    /// So much of the answer is read.
    pub(crate) max_response: usize,
}

impl Checked {
    /// The method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query as they go out, without what a credential adds.
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |all| all.as_str())
    }

    /// The whole address, without what a credential adds.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers that go out for the caller.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// How long it may take with everything.
    pub const fn time(&self) -> Duration {
        self.timeout
    }

    /// With less time. More is not given.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.timeout = limit.min(self.timeout);
        self
    }

    /// With no more than so many bytes of the answer. More than the rules allow is not read.
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.max_response = bytes.min(self.max_response);
        self
    }
}

/// A query may hold what is nobody's business.
impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked")
            .field("method", &self.method)
            .field("base", &self.rules.base)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

pub(crate) fn check(rules: &Arc<Rules>, parts: RequestParts) -> Result<Checked, Refusal> {
    let method = method(rules, &parts.method)?;
    let uri = uri_of(rules, &parts.endpoint, &parts.query)?;
    let mut headers = headers::check(rules, &parts.headers)?;
    let body = body(rules, &method, &mut headers, parts.body)?;
    Ok(Checked {
        max_response: rules.max_response,
        rules: Arc::clone(rules),
        method,
        uri,
        headers,
        body,
        timeout: rules.timeout,
    })
}

/// E-8.
pub(crate) fn method(rules: &Rules, given: &str) -> Result<Method, Refusal> {
    let allowed = |method: &&Method| {
        method.as_str() == given && !matches!(**method, Method::CONNECT | Method::TRACE)
    };
    rules.methods.iter().find(allowed).cloned().ok_or_else(|| {
        let known: Vec<&str> = rules.methods.iter().map(Method::as_str).collect();
        let message = format!(
            "the method {} is not allowed for this API; it takes {}, in upper case",
            shown(given),
            known.join(", ")
        );
        Refusal::new(RefusalCode::MethodNotAllowed, "E-8", message)
    })
}

/// The address of an endpoint, if it may be asked for.
pub(crate) fn uri_of(
    rules: &Rules,
    endpoint: &str,
    parameters: &[(String, String)],
) -> Result<Uri, Refusal> {
    let (path, query) = target(rules, endpoint, parameters)?;
    uri(rules, path, query.as_deref())
}

/// Path and query of a request, if they may be asked for.
fn target<'e>(
    rules: &Rules,
    endpoint: &'e str,
    parameters: &[(String, String)],
) -> Result<(&'e str, Option<String>), Refusal> {
    let endpoint = endpoint::parse(endpoint, rules.max_endpoint, rules.allow_empty_segments)?;
    paths(rules, &endpoint)?;
    if parameters.len() > MOST_PARAMETERS {
        let message = format!("there are more than {MOST_PARAMETERS} query parameters");
        return Err(Refusal::endpoint("E-11", message));
    }
    let mut all = endpoint.query.unwrap_or_default().to_owned();
    for (name, value) in parameters {
        query::append(&mut all, name, value);
        if all.len() > MAX_TARGET {
            break;
        }
    }
    credential_query(rules, &all)?;
    let is_there = endpoint.query.is_some() || !parameters.is_empty();
    Ok((endpoint.path, is_there.then_some(all)))
}

/// C-7: which paths may be called. What may be read in two ways is judged in both.
fn paths(rules: &Rules, endpoint: &Endpoint<'_>) -> Result<(), Refusal> {
    let forbidden = || {
        let message = "this path of the API may not be called";
        Err(Refusal::new(RefusalCode::Forbidden, "C-7", message))
    };
    for reading in &endpoint.readings {
        let alike = [reading.clone(), plain(reading)];
        let lower = alike.each_ref().map(|path| alike_to_some(path));
        let is_denied = |glob: &Glob| alike.iter().chain(&lower).any(|path| glob.matches(path));
        if rules.denied_paths.iter().any(is_denied) {
            return forbidden();
        }
        let allowed = &rules.allowed_paths;
        if !allowed.is_empty() && !allowed.iter().any(|glob| glob.matches(reading)) {
            return forbidden();
        }
    }
    Ok(())
}

/// A path without what some servers leave out: empty segments, also at the end, and dots and blanks at the
/// end of a segment.
fn plain(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/') {
        let segment = segment.trim_end_matches(['.', ' ']);
        if !segment.is_empty() {
            out.push('/');
            out.push_str(segment);
        }
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

/// A path in lower case, and its wide characters (U+FF01 to U+FF5E) as those of ASCII: to some servers that
/// is the same path.
fn alike_to_some(path: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    let narrow: String = path.chars().map(narrow).collect();
    narrow.to_lowercase()
}

/// E-11.
fn credential_query(rules: &Rules, query: &str) -> Result<(), Refusal> {
    let taken = |name: &&String| query::has(query, name);
    match rules.credential_query.iter().find(taken) {
        None => Ok(()),
        Some(name) => {
            let name = shown(name);
            let message = format!(
                "the query parameter {name} belongs to the credential of this API; leave it out, the gateway adds it"
            );
            Err(Refusal::endpoint("E-11", message))
        }
    }
}

/// E-4: the base with this path and query behind it, and nothing else.
pub(crate) fn uri(rules: &Rules, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let base = &rules.base;
    let mark = if query.is_some() { "?" } else { "" };
    let text = format!("{base}{path}{mark}{}", query.unwrap_or_default());
    if text.len() > MAX_TARGET {
        let message = format!("path and query are longer than {MAX_TARGET} bytes");
        return Err(Refusal::endpoint("E-2", message));
    }
    let uri = Uri::try_from(&*text).ok().filter(|uri| is_same(uri, &text));
    uri.filter(|uri| is_below(rules, uri, path))
        .ok_or_else(|| Refusal::endpoint("E-4", "the endpoint does not stay below the API"))
}

/// What was parsed is what was written, for the parser that sends it.
fn is_same(uri: &Uri, text: &str) -> bool {
    // Comparing them as addresses would fold case.
    let written = uri.to_string();
    written == text
}

/// For two parsers that know nothing of each other.
fn is_below(rules: &Rules, uri: &Uri, path: &str) -> bool {
    let base = &rules.base;
    let first = uri.scheme_str() == Some(base.scheme())
        && uri.authority().map(http::uri::Authority::as_str) == Some(base.authority())
        && base.below(uri.path()) == Some(path);
    let Ok(url) = Url::parse(&uri.to_string()) else {
        return false;
    };
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return false,
    };
    first
        && url.scheme() == base.scheme()
        && authority == base.authority()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && url.path() == uri.path()
}

/// C-16: a body that the method has, the API takes, and that is not too long.
fn body(
    rules: &Rules,
    method: &Method,
    headers: &mut HeaderMap,
    given: Option<PartsBody>,
) -> Result<Option<Bytes>, Refusal> {
    let Some(PartsBody {
        content_type,
        bytes,
    }) = given
    else {
        return Ok(None);
    };
    if matches!(*method, Method::GET | Method::HEAD) {
        let message = format!("a {method} request has no body; use query parameters");
        return Err(Refusal::new(RefusalCode::BodyNotAllowed, "C-3", message));
    }
    if bytes.len() > rules.max_body {
        let message = format!("the body is longer than {} bytes", rules.max_body);
        return Err(Refusal::new(RefusalCode::BodyTooLarge, "C-16", message));
    }
    let wrong = |message: String| {
        Err(Refusal::new(
            RefusalCode::ContentTypeNotAllowed,
            "C-16",
            message,
        ))
    };
    let known = headers::media_type(&content_type).filter(|it| rules.content_types.contains(it));
    let (Some(media_type), Some(value)) = (known, headers::checked_value(&content_type)) else {
        let known = rules.content_types.join(", ");
        let shown = shown(&content_type);
        return wrong(format!(
            "bodies of type {shown} are not allowed; this API takes {known}"
        ));
    };
    if let Some(header) = headers.insert(CONTENT_TYPE, value) {
        let said = header.to_str().ok().and_then(headers::media_type);
        if said != Some(media_type) {
            return wrong("the header content-type says something else than the body".into());
        }
    }
    Ok(Some(bytes))
}
