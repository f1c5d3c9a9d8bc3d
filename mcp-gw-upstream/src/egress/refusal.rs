//! Why a request does not go out, or nothing comes back.

use std::fmt;

/// The reasons that callers can tell apart. Their texts are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// This API may not be called.
    ApiNotAllowed,
    /// The path or the query cannot be asked for.
    EndpointInvalid,
    /// The API does not allow this method.
    MethodNotAllowed,
    /// A header that callers may not set, or that cannot be sent.
    HeaderNotAllowed,
    /// A body where the method has none.
    BodyNotAllowed,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The API does not take bodies of this type.
    ContentTypeNotAllowed,
    /// There is no credential to do this with.
    AuthRequired,
    /// The path is not one of those that may be called.
    Forbidden,
    /// Too many calls.
    RateLimited,
    /// The name of the API leads to an address that must not be connected to.
    EgressBlocked,
    /// The API sends the request to where it must not go.
    RedirectBlocked,
    /// The response is longer than allowed.
    ResponseTooLarge,
    /// The API did not answer in time.
    UpstreamTimeout,
    /// The API cannot be reached, or the connection broke.
    UpstreamUnreachable,
    /// What came back is no response that can be read.
    UpstreamInvalid,
}

impl RefusalCode {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ApiNotAllowed,
        Self::EndpointInvalid,
        Self::MethodNotAllowed,
        Self::HeaderNotAllowed,
        Self::BodyNotAllowed,
        Self::BodyTooLarge,
        Self::ContentTypeNotAllowed,
        Self::AuthRequired,
        Self::Forbidden,
        Self::RateLimited,
        Self::EgressBlocked,
        Self::RedirectBlocked,
        Self::ResponseTooLarge,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::UpstreamInvalid,
    ];

    /// The text that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiNotAllowed => "api_not_allowed",
            Self::EndpointInvalid => "endpoint_invalid",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::HeaderNotAllowed => "header_not_allowed",
            Self::BodyNotAllowed => "body_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::ContentTypeNotAllowed => "content_type_not_allowed",
            Self::AuthRequired => "auth_required",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::EgressBlocked => "egress_blocked",
            Self::RedirectBlocked => "redirect_blocked",
            Self::ResponseTooLarge => "response_too_large",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamInvalid => "upstream_invalid",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that the guard does not let out.
///
/// The message is for whoever asked: it says what to do, and holds no address and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Refusal {
    /// What to tell apart.
    pub code: RefusalCode,
    /// The rule that refuses, such as `E-3`.
    pub rule: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            rule,
            message: message.into(),
        }
    }

    pub(crate) fn endpoint(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(RefusalCode::EndpointInvalid, rule, message)
    }
}

/// Something of the caller's in a message: short, and in one line.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own() {
        let texts: std::collections::BTreeSet<_> = RefusalCode::ALL.map(RefusalCode::as_str).into();
        assert_eq!(texts.len(), RefusalCode::ALL.len());
    }

    #[test]
    fn what_is_shown_is_short_and_has_no_line_breaks() {
        let text = shown(&"a\r\nb".repeat(100));
        assert!(text.len() < 200 && !text.contains('\n'), "{text}");
    }
}
