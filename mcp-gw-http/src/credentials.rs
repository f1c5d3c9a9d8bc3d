//! Credentials off the wire, and the answer when they do not suffice.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use mcp_gw_core::{AuthnError, Credentials, SignatureFault, Transport};

/// Reads `Authorization: Bearer …` (RFC 6750 §2.1) and the header of API keys. Each may be there once;
/// a token in the query is never looked at.
pub(crate) fn read(
    headers: &HeaderMap,
    key_header: &HeaderName,
    client_addr: Option<IpAddr>,
) -> Credentials {
    let mut credentials = Credentials::none(Transport::Http);
    if let Some(addr) = client_addr {
        credentials = credentials.with_client_addr(addr);
    }
    credentials = match single(headers, &AUTHORIZATION) {
        Ok(None) => credentials,
        Ok(Some(value)) => match bearer(value) {
            Some(token) => credentials.with_bearer(token.to_owned()),
            None => credentials.with_malformed(),
        },
        Err(Unreadable) => credentials.with_malformed(),
    };
    match single(headers, key_header) {
        Ok(None) => credentials,
        Ok(Some(key)) => credentials.with_api_key(key.trim().to_owned()),
        Err(Unreadable) => credentials.with_malformed(),
    }
}

struct Unreadable;

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(Unreadable),
    }
}

/// The token behind the scheme `Bearer`, whose name has no case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The answer to a request that has no caller (RFC 6750 §3). It does not say which of wrong, expired and
/// unknown a credential was. A client that has not signed is told what to sign.
pub(crate) fn refuse(
    error: &AuthnError,
    key_header: &HeaderName,
    accept_signature: Option<&str>,
) -> Response<Body> {
    let (status, challenge, says): (_, Option<&str>, Cow<'_, str>) = match error {
        AuthnError::Missing => (
            StatusCode::UNAUTHORIZED,
            Some("Bearer"),
            format!(
                "Unauthorized: send a token or key as `Authorization: Bearer …`, or a key as `{}: <key>`.",
                shown(key_header)
            )
            .into(),
        ),
        AuthnError::Malformed => (
            StatusCode::BAD_REQUEST,
            Some("Bearer error=\"invalid_request\""),
            "Bad request: the credentials cannot be read. Send one `Authorization: Bearer …`."
                .into(),
        ),
        AuthnError::Address { .. } => (StatusCode::FORBIDDEN, None, "Forbidden.".into()),
        AuthnError::Signature { fault, .. } => {
            return unsigned(*fault, accept_signature);
        }
        AuthnError::Unavailable { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            None,
            "Service unavailable: credentials cannot be checked at the moment. Try again later."
                .into(),
        ),
        _ => (
            StatusCode::UNAUTHORIZED,
            Some("Bearer error=\"invalid_token\""),
            "Unauthorized: the key or token is not valid.".into(),
        ),
    };
    let mut response = Response::new(Body::from(format!("{says}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(challenge) = challenge {
        let challenge = HeaderValue::from_str(challenge);
        headers.extend(
            challenge
                .ok()
                .map(|challenge| (WWW_AUTHENTICATE, challenge)),
        );
    } else {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// The answer to a request that is not signed as it must be. The challenge is not `Bearer`: that would
/// have clients fetch a token that changes nothing.
fn unsigned(fault: SignatureFault, accept_signature: Option<&str>) -> Response<Body> {
    let advice = match fault {
        SignatureFault::Missing => "sign the request",
        SignatureFault::Expired => "sign it anew, with a clock that is right",
        SignatureFault::Replayed => "sign each request anew, also one that is sent again",
        _ => "sign all that must be signed, with a key that is known",
    };
    let mut response = Response::new(Body::from(format!("Unauthorized: {fault}: {advice}.\n")));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    let challenge = HeaderValue::from_str(&format!("Signature error=\"{fault}\""));
    headers.extend(
        challenge
            .ok()
            .map(|challenge| (WWW_AUTHENTICATE, challenge)),
    );
    let accept = accept_signature.and_then(|accept| HeaderValue::from_str(accept).ok());
    headers.extend(accept.map(|accept| (ACCEPT_SIGNATURE, accept)));
    response
}

/// What a signature must be like (RFC 9421 §5.1).
const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// The name of a header as people write it.
fn shown(name: &HeaderName) -> &str {
    match name.as_str() {
        "x-api-key" => "X-API-Key",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(values: &[(&'static str, &'static str)]) -> Credentials {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        read(&headers, &HeaderName::from_static("x-api-key"), None)
    }

    #[test]
    fn one_bearer_token_is_read_and_everything_else_is_not_taken_for_none() {
        let bearer = |value| {
            let read = credentials(&[("authorization", value)]);
            (
                read.bearer.map(mcp_gw_core::Secret::into_exposed),
                read.malformed,
            )
        };
        assert_eq!(bearer("Bearer abc"), (Some("abc".to_owned()), false));
        assert_eq!(bearer("bEARER  abc "), (Some("abc".to_owned()), false));
        for wrong in ["Basic abc", "Bearer", "Bearer ", "", "abc"] {
            assert_eq!(bearer(wrong), (None, true), "{wrong:?}");
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert!(credentials(&twice).malformed);
        assert!(!credentials(&[]).is_some());
        assert!(credentials(&[("x-api-key", "k")]).api_key.is_some());
    }
}
