//! Addresses that an operator configured whole: keys of an issuer, a description, a token endpoint.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use crate::egress::address::AddressRules;
use crate::egress::base::{Base, BaseError, BaseRules};
use crate::egress::check::Checked;
use crate::egress::parts::{PartsBody, RequestParts};
use crate::egress::refusal::Refusal;
use crate::egress::rules::{ApiRules, Redirects};
use crate::egress::tls::Trust;

/// One address, to fetch or to post forms to, under the same guard as everything else.
///
/// ```no_run
/// use mcp_gw_upstream::egress::{AddressRules, BaseRules, Client, FixedUrl};
///
/// # async fn fetch() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = FixedUrl::parse("https://id.example.com/keys.json", BaseRules::new())?
///     .with_addresses(AddressRules::new())
///     .with_max_response(512 * 1024);
/// let body = Client::new().get(keys.get()?).await?.read_whole().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FixedUrl {
    rules: ApiRules,
    endpoint: String,
}

impl FixedUrl {
    /// Reads an address: as of a base, but with a query if need be.
    ///
    /// # Errors
    /// When it is not one that can be fetched.
    pub fn parse(url: &str, rules: BaseRules) -> Result<Self, BaseError> {
        let start = url.find("://").map_or(0, |at| at + 3);
        let end = url
            .get(start..)
            .and_then(|rest| rest.find(['/', '?', '#']))
            .map_or(url.len(), |at| start + at);
        let (origin, rest) = url.split_at(end);
        let base = Base::parse(origin, rules)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let rules = ApiRules::new(base)
            .with_methods([Method::GET, Method::POST])
            .with_max_endpoint(8 * 1024)
            .with_content_types(["application/x-www-form-urlencoded".to_owned()]);
        let fixed = Self {
            rules,
            endpoint: format!("{slash}{rest}"),
        };
        fixed
            .get()
            .map_err(|refusal| BaseError::of_refusal(&refusal))?;
        Ok(fixed)
    }

    fn with(mut self, change: impl FnOnce(ApiRules) -> ApiRules) -> Self {
        self.rules = change(self.rules);
        self
    }

    /// Sets which addresses may be connected to. Only those of the public internet by default.
    #[must_use]
    pub fn with_addresses(self, addresses: AddressRules) -> Self {
        self.with(|rules| rules.with_addresses(addresses))
    }

    /// Sets whose certificates are believed.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        self.with(|rules| rules.with_trust(trust))
    }

    /// Sets how long a request may take. 30 s by default.
    #[must_use]
    pub fn with_timeout(self, limit: Duration) -> Self {
        self.with(|rules| rules.with_timeout(limit).with_idle_timeout(limit))
    }

    /// Sets how long the body of a response may be. 1 MiB by default.
    #[must_use]
    pub fn with_max_response(self, bytes: usize) -> Self {
        self.with(|rules| rules.with_max_response(bytes))
    }

    /// Sets whether redirects on the same origin are followed. They are not by default.
    #[must_use]
    pub fn with_redirects(self, redirects: Redirects) -> Self {
        self.with(|rules| rules.with_redirects(redirects))
    }

    /// The rules that it is under.
    pub const fn rules(&self) -> &ApiRules {
        &self.rules
    }

    /// The address without its query.
    pub fn shown(&self) -> String {
        let path = self.endpoint.split('?').next().unwrap_or_default();
        format!("{}{path}", self.rules.base())
    }

    /// A request for what is there.
    ///
    /// # Errors
    /// Never for what [`parse`](Self::parse) took.
    pub fn get(&self) -> Result<Checked, Refusal> {
        self.check("GET", "*/*", None)
    }

    /// A request with a form in its body, for an answer in JSON.
    ///
    /// # Errors
    /// When the form is longer than 1 MiB.
    pub fn post_form(&self, form: Bytes) -> Result<Checked, Refusal> {
        let body = PartsBody {
            content_type: "application/x-www-form-urlencoded".to_owned(),
            bytes: form,
        };
        self.check("POST", "application/json", Some(body))
    }

    fn check(
        &self,
        method: &str,
        accept: &str,
        body: Option<PartsBody>,
    ) -> Result<Checked, Refusal> {
        self.rules.check(RequestParts {
            method: method.to_owned(),
            endpoint: self.endpoint.clone(),
            query: Vec::new(),
            headers: vec![("accept".to_owned(), accept.to_owned())],
            body,
        })
    }
}

/// The query may hold a key.
impl fmt::Debug for FixedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FixedUrl").field(&self.shown()).finish()
    }
}
