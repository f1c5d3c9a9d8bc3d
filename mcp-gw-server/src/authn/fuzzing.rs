//! Fuzz targets: what a client sends to say who it is.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderValue, Uri};
use mcp_gw_core::{Clock, SystemClock};

use super::jose::Token;
use super::key::KeySet;
use super::signature::{PendingSignature, Signatures, SignedHead};
use crate::config::{SignatureConfig, SignatureKeyConfig};

/// A token, and a set of keys: nothing panics, and what is read of a token is what its text says.
///
/// # Panics
/// When that is not so.
pub(crate) fn token(data: &[u8]) {
    let _ = KeySet::parse(data).is_ok();
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(token) = Token::parse(text) {
        assert_eq!(text.matches('.').count(), 2);
        assert!(text.as_bytes().starts_with(token.signed));
        assert!(!token.signature.is_empty());
    }
}

/// A clock that stands, so that what was signed then is not too old.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        SystemClock::new().now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }
}

/// The headers of a signed request, a line each: nothing panics, and nothing is good that was not
/// signed.
///
/// # Panics
/// When that is not so.
pub(crate) fn signature(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = [
        "signature-input",
        "signature",
        "x-signature",
        "content-digest",
    ];
    let mut lines = data.split(|byte| *byte == b'\n');
    for name in names {
        let value = lines.next().map(HeaderValue::from_bytes);
        if let Some(Ok(value)) = value
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    let key = SignatureKeyConfig {
        id: "a".to_owned(),
        secret: Some("0123456789abcdef0123456789abcdef".to_owned().into()),
        ..SignatureKeyConfig::default()
    };
    let config = SignatureConfig {
        keys: vec![key],
        ..SignatureConfig::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(Still);
    let Ok(signatures) = Signatures::of(&config, &Arc::default(), &clock) else {
        return;
    };
    let uri = Uri::from_static("/mcp?a=1");
    let head = SignedHead::new("POST", Some("gw.example"), &uri, &headers);
    if let Ok(pending) = signatures.begin(&head) {
        let is_refused = |mut pending: PendingSignature| pending.check_body(data).is_err();
        assert!(
            pending.is_some_and(is_refused),
            "one is needed, and none is good"
        );
    }
}
