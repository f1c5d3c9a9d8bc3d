//! The name or URI that a request is about, as rules are compared with it.

use std::borrow::Cow;

use mcp_gw_core::{AccessRequest, Feature};

use crate::explain::Reason;
use crate::uri::{self, LONGEST, UriFault};

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

/// Why a policy cannot decide about anything of this name, for which it is refused whatever the rules
/// are: a clause about the name, for people. `None` when rules are asked.
pub fn objection_to_name(feature: Feature, name: &str) -> Option<String> {
    match feature {
        Feature::Resource => uri::check(name, false).err(),
        Feature::ResourceTemplate => uri::check(name, true).err(),
        _ if is_name(name) => None,
        _ => Some(UriFault::Control)
            .filter(|_| name.len() <= LONGEST)
            .or(Some(UriFault::TooLong)),
    }
    .map(|fault| fault.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_is_asked_about_is_said() {
        use Feature::{Prompt, Resource, ResourceTemplate, Tool};
        for (feature, fine) in [
            (Resource, "file:///x%20y"),
            (ResourceTemplate, "test://a/{x}"),
            (Tool, "echo"),
            (Prompt, "a b"),
        ] {
            assert_eq!(objection_to_name(feature, fine), None, "{fine}");
        }
        for (feature, odd, why) in [
            (Resource, "file:///x y", "character"),
            (Resource, "test://\u{e9}", "host"),
            (Resource, "file:///a/../b", "dot segment"),
            (ResourceTemplate, "test://\u{e9}/{x}", "host"),
            (Resource, "test://a/{x}", "character"),
            (Tool, "a\nb", "control"),
        ] {
            let reason = objection_to_name(feature, odd).unwrap();
            assert!(reason.contains(why), "{odd}: {reason}");
        }
        assert!(
            objection_to_name(Tool, &"x".repeat(LONGEST + 1))
                .unwrap()
                .contains("long")
        );
    }
}
