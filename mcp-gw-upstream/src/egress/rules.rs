//! What one API may be asked for, and under which bounds.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{COOKIE, HeaderName, RANGE};
use mcp_gw_core::Glob;

use crate::egress::address::AddressRules;
use crate::egress::base::Base;
use crate::egress::check::{self, Checked};
use crate::egress::parts::RequestParts;
use crate::egress::refusal::Refusal;
use crate::egress::tls::Trust;

/// Whether a redirect of an API is followed (E-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redirects {
    /// It is an answer like any other.
    #[default]
    Never,
    /// To the same origin, below the base, at most three times in a row, and each as if it had been asked
    /// for.
    SameOrigin,
}

/// The rules of one API: which requests to it go out, and what is taken from it.
///
/// The defaults are strict. Clones are cheap and are the same rules.
///
/// ```
/// use mcp_gw_upstream::egress::{ApiRules, Base, BaseRules, RequestParts};
///
/// let base = Base::parse("https://api.example.com/v1", BaseRules::new()).unwrap();
/// let rules = ApiRules::new(base);
/// let mut parts = RequestParts { method: "GET".into(), endpoint: "/users?page=2".into(), ..RequestParts::default() };
/// assert_eq!(rules.check(parts.clone()).unwrap().target(), "/v1/users?page=2");
///
/// parts.endpoint = "/../admin".into();
/// assert_eq!(rules.check(parts).unwrap_err().rule, "E-3");
/// ```
#[derive(Clone)]
pub struct ApiRules(pub(crate) Arc<Rules>);

#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) base: Base,
    pub(crate) methods: Vec<Method>,
    pub(crate) allowed_paths: Vec<Glob>,
    /// As they are written, and each in lower case.
    pub(crate) denied_paths: Vec<Glob>,
    pub(crate) request_headers: Vec<HeaderName>,
    pub(crate) response_headers: Vec<HeaderName>,
    pub(crate) credential_headers: Vec<HeaderName>,
    pub(crate) credential_query: Vec<String>,
    pub(crate) content_types: Vec<String>,
    pub(crate) max_body: usize,
    pub(crate) max_response: usize,
    pub(crate) max_endpoint: usize,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) redirects: Redirects,
    pub(crate) addresses: Arc<AddressRules>,
    pub(crate) allow_empty_segments: bool,
    pub(crate) allow_cookie: bool,
    pub(crate) trust: Trust,
}

/// The shortest and the longest time limit that can be set.
const LIMITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(600));

/// So long a request target may be, with base, query and all.
pub(crate) const MAX_TARGET: usize = 16 * 1024;

impl ApiRules {
    /// The rules of the API at `base`: GET, POST, PUT and DELETE anywhere below it, bodies of JSON or forms
    /// up to 1 MiB, 1 MiB of a response, 30 s, only public addresses, no redirects.
    pub fn new(base: Base) -> Self {
        Self(Arc::new(Rules {
            base,
            methods: vec![Method::GET, Method::POST, Method::PUT, Method::DELETE],
            allowed_paths: Vec::new(),
            denied_paths: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            credential_headers: Vec::new(),
            credential_query: Vec::new(),
            content_types: ["application/json", "application/x-www-form-urlencoded"]
                .map(str::to_owned)
                .into(),
            max_body: 1024 * 1024,
            max_response: 1024 * 1024,
            max_endpoint: 2048,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(10),
            redirects: Redirects::Never,
            addresses: Arc::new(AddressRules::new()),
            allow_empty_segments: false,
            allow_cookie: false,
            trust: Trust::System,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The methods that may be used.
    pub fn methods(&self) -> &[Method] {
        &self.0.methods
    }

    /// Sets the methods that may be used, compared as they are written. CONNECT and TRACE never are.
    #[must_use]
    pub fn with_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.with(|rules| rules.methods = methods.into_iter().collect())
    }

    /// Sets the paths that may be called, as they stand behind the base; none of them means all. A path must
    /// match in every reading: as it is written, decoded, without the parameters of its segments.
    #[must_use]
    pub fn with_paths(self, paths: impl IntoIterator<Item = Glob>) -> Self {
        self.with(|rules| rules.allowed_paths = paths.into_iter().collect())
    }

    /// Sets the paths that may not be called, whatever else is allowed. One reading of a path that matches
    /// is enough, also without empty segments, and without dots and blanks at the end of one. Case does not
    /// count, nor does the width of characters: there are servers to which these are alike.
    #[must_use]
    pub fn with_denied_paths(self, paths: impl IntoIterator<Item = Glob>) -> Self {
        let both = |path: Glob| [path.to_lowercase(), path];
        self.with(|rules| rules.denied_paths = paths.into_iter().flat_map(both).collect())
    }

    /// Sets which headers a caller may set besides the usual ones. Those that no caller may set (E-9) stay
    /// refused.
    #[must_use]
    pub fn with_request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|rules| rules.request_headers = names.into_iter().collect())
    }

    /// Sets which headers of a response are shown though they may carry a credential, such as `set-cookie`.
    #[must_use]
    pub fn with_response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|rules| rules.response_headers = names.into_iter().collect())
    }

    /// Sets the headers that credentials of this API are sent in, and that a caller thus may not set.
    #[must_use]
    pub fn with_credential_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|rules| rules.credential_headers = names.into_iter().collect())
    }

    /// Sets the query parameters that credentials of this API are sent in.
    #[must_use]
    pub fn with_credential_query(self, names: impl IntoIterator<Item = String>) -> Self {
        self.with(|rules| rules.credential_query = names.into_iter().collect())
    }

    /// The headers and the query parameters that credentials of this API are sent in.
    pub(crate) fn credential_names(&self) -> (Vec<String>, Vec<String>) {
        let headers = self.0.credential_headers.iter();
        let headers = headers.map(ToString::to_string).collect();
        (headers, self.0.credential_query.clone())
    }

    /// True when answers may be asked for in parts though they may show a credential: one that every caller
    /// has, or some.
    pub(crate) fn allows_parts(&self) -> bool {
        let rules = &self.0;
        let has_none = rules.credential_headers.is_empty() && rules.credential_query.is_empty();
        has_none || rules.request_headers.contains(&RANGE)
    }

    pub(crate) fn allows_empty_segments(&self) -> bool {
        self.0.allow_empty_segments
    }

    /// Sets the media types of bodies, without parameters; case does not count.
    #[must_use]
    pub fn with_content_types(self, types: impl IntoIterator<Item = String>) -> Self {
        let lower = |one: String| one.to_ascii_lowercase();
        self.with(|rules| rules.content_types = types.into_iter().map(lower).collect())
    }

    /// Sets how long the body of a request may be, in bytes.
    #[must_use]
    pub fn with_max_body(self, bytes: usize) -> Self {
        self.with(|rules| rules.max_body = bytes)
    }

    /// Sets how much of a response is taken, in bytes, after decompression.
    #[must_use]
    pub fn with_max_response(self, bytes: usize) -> Self {
        self.with(|rules| rules.max_response = bytes)
    }

    /// Sets how long an endpoint may be, in bytes.
    #[must_use]
    pub fn with_max_endpoint(self, bytes: usize) -> Self {
        self.with(|rules| rules.max_endpoint = bytes.min(MAX_TARGET))
    }

    /// Sets how long a request may take with everything, up to 10 minutes.
    #[must_use]
    pub fn with_timeout(self, limit: Duration) -> Self {
        self.with(|rules| rules.timeout = limit.clamp(LIMITS.0, LIMITS.1))
    }

    /// Sets how long connecting may take. 3 s by default.
    #[must_use]
    pub fn with_connect_timeout(self, limit: Duration) -> Self {
        self.with(|rules| rules.connect_timeout = limit.clamp(LIMITS.0, LIMITS.1))
    }

    /// Sets how long a response may pause between two pieces of its body. 10 s by default.
    #[must_use]
    pub fn with_idle_timeout(self, limit: Duration) -> Self {
        self.with(|rules| rules.idle_timeout = limit.clamp(LIMITS.0, LIMITS.1))
    }

    /// Sets whether redirects are followed.
    #[must_use]
    pub fn with_redirects(self, redirects: Redirects) -> Self {
        self.with(|rules| rules.redirects = redirects)
    }

    /// Sets which addresses may be connected to.
    #[must_use]
    pub fn with_addresses(self, addresses: AddressRules) -> Self {
        self.with(|rules| rules.addresses = Arc::new(addresses))
    }

    /// Sets whether private addresses may be connected to (E-6).
    #[must_use]
    pub fn with_allow_private(self, allow: bool) -> Self {
        self.with(|rules| Arc::make_mut(&mut rules.addresses).allow_private = allow)
    }

    /// Sets the addresses that may be connected to whatever they are.
    #[must_use]
    pub fn with_allow_addresses(self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let listed = addresses.into_iter().collect();
        self.with(|rules| Arc::make_mut(&mut rules.addresses).listed = listed)
    }

    /// Sets whether a path may have empty segments: `/a//b`.
    #[must_use]
    pub fn with_allow_empty_segments(self, allow: bool) -> Self {
        self.with(|rules| rules.allow_empty_segments = allow)
    }

    /// Sets whether a caller may set `cookie`, which is otherwise refused: for descriptions that have parameters
    /// in cookies. There is no cookie jar in any case.
    #[must_use]
    pub fn with_allow_cookie(self, allow: bool) -> Self {
        self.with(|rules| rules.allow_cookie = allow)
    }

    /// Allows besides what the operations of a description need: whoever chose them has allowed it. `range` is
    /// not among that: parts of answers can give a credential away, so it takes the configuration's own word.
    pub(crate) fn also(
        self,
        methods: impl IntoIterator<Item = Method>,
        headers: impl IntoIterator<Item = HeaderName>,
        content_types: impl IntoIterator<Item = String>,
    ) -> Self {
        self.with(|rules| {
            let never = [Method::CONNECT, Method::TRACE];
            let methods = methods.into_iter().filter(|method| !never.contains(method));
            rules.methods.extend(methods);
            for header in headers {
                if header == COOKIE {
                    rules.allow_cookie = true;
                } else if header != RANGE {
                    rules.request_headers.push(header);
                }
            }
            let lower = content_types
                .into_iter()
                .map(|one| one.to_ascii_lowercase());
            rules.content_types.extend(lower);
        })
    }

    /// Sets whose certificates are believed.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        self.with(|rules| rules.trust = trust)
    }

    /// The API.
    pub fn base(&self) -> &Base {
        &self.0.base
    }

    /// Makes a request of what somebody asks for, or says which rule refuses it. There is no other way to
    /// make a [`Checked`] of it.
    ///
    /// # Errors
    /// With the first rule that refuses.
    pub fn check(&self, parts: RequestParts) -> Result<Checked, Refusal> {
        check::check(&self.0, parts)
    }
}

impl fmt::Debug for ApiRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRules")
            .field("base", &self.0.base)
            .field("methods", &self.0.methods)
            .field("redirects", &self.0.redirects)
            .field("addresses", &self.0.addresses)
            .finish_non_exhaustive()
    }
}
