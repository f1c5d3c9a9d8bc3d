//! What the fuzz targets of this repository call; for nobody else.
//!
//! A target fails by panicking: by an assertion that does not hold, or by itself.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::Method;
use http::header::{HeaderName, HeaderValue};
use mcp_gw_core::{ParamHeader, RawJson, UnclearParam};
use tokio::io::{AsyncRead, ReadBuf};

use crate::egress::{ApiRules, Base, BaseRules, RequestParts};
use crate::http::sse::{Decoder, Event};
pub use crate::rest::fuzzing::{arguments, openapi};
use crate::stdio::lines::{Line, Lines};

/// Bytes that arrive in pieces, the sizes of which the first of them say.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    sizes: [usize; 4],
    next: usize,
}

impl<'a> Pieces<'a> {
    /// Takes the first four bytes for sizes, and the rest for what arrives.
    pub fn of(data: &'a [u8]) -> Self {
        let (sizes, rest) = data.split_at(data.len().min(4));
        let size = |place: usize| sizes.get(place).map_or(1, |byte| usize::from(*byte) + 1);
        Self {
            rest,
            sizes: [size(0), size(1), size(2), size(3)],
            next: 0,
        }
    }

    /// What is still to arrive.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next piece, no longer than `most`; `None` at the end.
    fn take(&mut self, most: usize) -> Option<&'a [u8]> {
        let size = self.sizes.get(self.next % 4).copied().unwrap_or(1);
        self.next += 1;
        let length = size.min(most).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(piece) = self.take(buffer.remaining()) {
            buffer.put_slice(piece);
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs work that waits for nothing.
///
/// # Panics
/// When it does wait.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        // A budget of polls may make ready work wait for its next turn.
        if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// What a decoder made of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    events: Vec<Event>,
    last_id: Option<Vec<u8>>,
    retry: Option<std::time::Duration>,
}

/// `None` when an event was too long.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Option<Decoded> {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece).ok()?;
        while let Some(event) = decoder.next_event() {
            events.push(event);
        }
    }
    Some(Decoded {
        events,
        last_id: decoder.last_event_id().map(<[u8]>::to_vec),
        retry: decoder.retry(),
    })
}

/// Server-sent events: it does not matter where the stream is cut, and what is held is bounded.
///
/// # Panics
/// When that is not so.
pub fn sse(data: &[u8]) {
    /// The decoder allows for the name of a field.
    const FIELD: usize = 16;
    let pieces = Pieces::of(data);
    let stream = pieces.rest();
    for limit in [8, 64, usize::MAX] {
        let whole = decode(std::iter::once(stream), limit);
        let mut pieces = pieces.clone();
        let cut = decode(std::iter::from_fn(|| pieces.take(usize::MAX)), limit);
        if let Some(cut) = cut {
            // Pieces are held, so more of them may be too long; what is not is the same.
            assert_eq!(Some(cut), whole, "limit {limit}");
        } else {
            assert_ne!(limit, usize::MAX, "nothing is too long");
        }
        for event in whole.iter().flat_map(|whole| &whole.events) {
            assert!(
                event.data.len() <= limit.saturating_add(FIELD),
                "limit {limit}"
            );
            assert!(!event.data.is_empty());
        }
    }
}

/// Lines of a child process: they are those of the text, and what is too long is so.
///
/// # Panics
/// When that is not so.
pub fn lines(data: &[u8]) {
    let pieces = Pieces::of(data);
    let text = pieces.rest();
    let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // The end of the last line is not the beginning of another one.
    if expected.last().is_some_and(|last| last.is_empty()) {
        expected.pop();
    }
    for limit in [1, 20, usize::MAX] {
        let mut lines = Lines::new(pieces.clone(), limit);
        let mut found = Vec::new();
        while let Ok(Some(line)) = at_once(lines.next_line()) {
            found.push(line);
        }
        assert_eq!(found.len(), expected.len(), "limit {limit}");
        for (line, expected) in found.iter().zip(&expected) {
            match line {
                Line::Whole(line) => {
                    let expected = expected.strip_suffix(b"\r").unwrap_or(expected);
                    assert_eq!(&**line, expected, "limit {limit}");
                    assert!(line.len() <= limit);
                }
                Line::TooLong { head, tail } => {
                    assert!(expected.len() > limit, "limit {limit}");
                    assert!(expected.starts_with(head.strip_suffix(b"\r").unwrap_or(head)));
                    assert!(head.len() + tail.len() < 1024);
                }
            }
        }
    }
}

/// The headers that a call of a tool has, for the arguments that its schema marks.
///
/// # Errors
/// When an argument is not clear.
pub fn param_headers(
    params: &[ParamHeader],
    arguments: &RawJson,
) -> Result<Vec<(HeaderName, HeaderValue)>, UnclearParam> {
    crate::mirror::headers(params, arguments)
}

/// A value as a header carries it.
pub fn encode_header(value: &str) -> Option<HeaderValue> {
    crate::mirror::encode(value)
}

/// A request that was asked for in these words: the first line is `METHOD endpoint`, each further one a
/// header, a line that begins with `?` a query parameter.
///
/// # Panics
/// When what the guard lets out does not stay where it belongs.
pub fn egress(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (method, endpoint) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .unwrap_or(("GET", &text));
    let mut parts = RequestParts {
        method: method.to_owned(),
        endpoint: endpoint.to_owned(),
        ..RequestParts::default()
    };
    for line in lines {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        match line.strip_prefix('?') {
            Some(line) => parts.query.extend(line.split_once('=').map(pair)),
            None => parts.headers.extend(line.split_once(": ").map(pair)),
        }
    }
    for address in ["https://api.example.com/v1", "http://[::1]:8080"] {
        let any = BaseRules::new().with_http(true).with_ip(true);
        if let Ok(base) = Base::parse(address, any) {
            let rules = ApiRules::new(base)
                .with_methods([Method::GET, Method::CONNECT, Method::TRACE])
                .with_credential_headers([HeaderName::from_static("x-api-key")])
                .with_credential_query(["appid".to_owned()])
                .with_request_headers([HeaderName::from_static("x-custom")]);
            stays_below(&rules, &parts);
        }
    }
    // The text itself as the address of an API.
    let any = BaseRules::new().with_http(true).with_ip(true);
    if let Ok(base) = Base::parse(&text, any) {
        let again = Base::parse(&base.to_string(), any);
        assert_eq!(
            again.as_ref(),
            Ok(&base),
            "{base} is not in its canonical form"
        );
        let url = url::Url::parse(&text).map(|url| url.host_str().map(str::to_owned));
        assert_eq!(url, Ok(Some(base.host().to_owned())), "{text:?}");
    }
}

/// Asks for a request; if it is let out it goes to the origin of the API, stays below its base path, is
/// what was asked for, and has no header and no parameter that is not the caller's to set.
///
/// # Panics
/// When that is not so.
pub fn stays_below(rules: &ApiRules, parts: &RequestParts) {
    let checked = match rules.check(parts.clone()) {
        Ok(checked) => checked,
        Err(refusal) => {
            assert!(!refusal.message.contains(char::is_control), "{refusal:?}");
            return;
        }
    };
    let (uri, base) = (checked.uri(), rules.base());
    let text = uri.to_string();
    assert_eq!(uri.scheme_str(), Some(base.scheme()), "{text}");
    assert_eq!(
        uri.authority().map(http::uri::Authority::as_str),
        Some(base.authority()),
        "{text}"
    );
    assert!(
        uri.path().starts_with(&format!("{}/", base.path())),
        "{text}"
    );
    // A browser's parser goes to the same place.
    let url = url::Url::parse(&text).map(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        (
            url.host_str() == Some(base.host()),
            is_plain,
            url.fragment().is_none(),
            url.path().to_owned(),
        )
    });
    assert_eq!(url, Ok((true, true, true, uri.path().to_owned())), "{text}");
    // And so does a server that decodes before it looks, however often.
    let mut path = uri.path().to_owned();
    for _ in 0..4 {
        let is_dots = |segment: &str| {
            let name = segment.split(';').next().unwrap_or_default();
            !name.is_empty() && name.chars().all(|c| c == '.')
        };
        assert!(!path.split('/').any(is_dots), "{path:?}");
        assert!(!path.contains(['\\', '\0', '\r', '\n']), "{path:?}");
        assert_eq!(
            path.matches('/').count(),
            uri.path().matches('/').count(),
            "{path:?}"
        );
        path = decoded(&path);
    }
    assert!(!matches!(
        *checked.method(),
        Method::CONNECT | Method::TRACE
    ));
    assert_eq!(checked.method().as_str(), parts.method);
    for (name, value) in checked.headers() {
        let asked = |(other, said): &&(String, String)| {
            other.eq_ignore_ascii_case(name.as_str()) && said.as_bytes() == value.as_bytes()
        };
        assert!(
            parts.headers.iter().any(|pair| asked(&pair)),
            "{name} was not asked for"
        );
        let allowed = [
            "accept",
            "accept-language",
            "content-type",
            "prefer",
            "range",
        ];
        let is_allowed = allowed.contains(&name.as_str())
            || name.as_str().starts_with("if-")
            || ["x-request-id", "x-custom"].contains(&name.as_str());
        assert!(is_allowed, "{name}");
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}

/// What is percent-encoded, decoded once.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let mut ahead = bytes.clone();
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next()))
        {
            out.extend(u8::try_from(high * 16 + low).ok());
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
