//! The name or URI that a request is about, as rules are compared with it.

use std::borrow::Cow;

use mcp_gw_core::{AccessRequest, Feature};

use crate::explain::Reason;
use crate::uri::{self, LONGEST};

/// The two names of what a request is about, looked over.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) client: Cow<'a, str>,
    pub(crate) upstream: Cow<'a, str>,
    /// The same as a server may read them, when that is something else.
    pub(crate) decoded: Option<(String, String)>,
}

impl<'a> Names<'a> {
    /// Refuses what no rule is asked about: control characters in names (P-5), URIs that can be read
    /// in two ways (P-7).
    pub(crate) fn of(request: &AccessRequest<'a>) -> Result<Self, Reason> {
        let is_template = match request.feature {
            Feature::Resource => false,
            Feature::ResourceTemplate => true,
            _ => return Self::plain(request),
        };
        let client = checked(request.name, is_template)?;
        if request.name == request.upstream_name {
            let decoded = client.1.map(|text| (text.clone(), text));
            return Ok(Self {
                upstream: client.0.clone(),
                client: client.0,
                decoded,
            });
        }
        let upstream = checked(request.upstream_name, is_template)?;
        let decoded = match (client.1, upstream.1) {
            (None, None) => None,
            (client_text, upstream_text) => Some((
                client_text.unwrap_or_else(|| client.0.to_string()),
                upstream_text.unwrap_or_else(|| upstream.0.to_string()),
            )),
        };
        Ok(Self {
            client: client.0,
            upstream: upstream.0,
            decoded,
        })
    }

    fn plain(request: &AccessRequest<'a>) -> Result<Self, Reason> {
        let (client, upstream) = (request.name, request.upstream_name);
        if is_name(client) && (client == upstream || is_name(upstream)) {
            Ok(Self {
                client: Cow::Borrowed(client),
                upstream: Cow::Borrowed(upstream),
                decoded: None,
            })
        } else {
            Err(Reason::InvalidName)
        }
    }
}

fn checked(uri: &str, is_template: bool) -> Result<(Cow<'_, str>, Option<String>), Reason> {
    match uri::check(uri, is_template) {
        Ok(checked) => Ok(checked.into_parts()),
        Err(_) => Err(Reason::InvalidUri),
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST
        && (name.bytes().all(|byte| matches!(byte, 0x20..0x7f))
            || !name.chars().any(char::is_control))
}
