//! Requests are built here, without I/O: a path of whole segments, a query of whole parameters.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use mcp_gw_core::RawJson;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The longest segment or value, in bytes.
const LONGEST: usize = 4 * 1024;

/// Why no request can be made of what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A value that is needed is missing.
    #[error("`{what}` is missing")]
    Missing {
        /// Its name.
        what: &'static str,
    },
    /// A value cannot be part of a path.
    #[error("`{what}` cannot be used: {reason}")]
    Segment {
        /// Its name.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A query parameter is set by the client itself, or too long.
    #[error("the query parameter `{name}` cannot be used: {reason}")]
    Query {
        /// Its name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The API does not know this.
    #[error("{what} cannot be {action}")]
    Unsupported {
        /// The kind of resource.
        what: &'static str,
        /// What was wanted of it, as a participle.
        action: &'static str,
    },
    /// What was put together is no URI.
    #[error("no request can be made of this")]
    Malformed,
}

/// The path and query of a request.
///
/// A value given by somebody is one segment, or the value of one parameter, whatever it holds: it is
/// percent-encoded, and values that a server could still take for several segments or for a way up
/// are refused.
///
/// ```
/// use mcp_gw_admin_client::http::Target;
///
/// let request = Target::at("/api/roles").segment("id", "a role?")?.query("search", "x&y=z")?.get()?;
/// assert_eq!(request.uri(), "/api/roles/a%20role%3F?search=x%26y%3Dz");
/// assert!(Target::at("/api/roles").segment("id", "..").is_err());
/// # Ok::<(), mcp_gw_admin_client::http::RequestError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Target {
    path: String,
    query: String,
    names: Vec<String>,
}

impl Target {
    /// Begins with a path that is known when the program is written.
    pub fn at(path: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            query: String::new(),
            names: Vec::new(),
        }
    }

    /// Adds segments that are known when the program is written: `/healthcheck`.
    pub fn then(mut self, path: &'static str) -> Self {
        self.path.push_str(path);
        self
    }

    /// Adds `value` as one segment. `what` is its name in errors.
    ///
    /// # Errors
    /// When it is empty, a dot segment, longer than 4 KiB, or holds a slash, a backslash or a control
    /// character, written as such or encoded.
    pub fn segment(mut self, what: &'static str, value: &str) -> Result<Self, RequestError> {
        check_segment(value).map_err(|reason| RequestError::Segment { what, reason })?;
        self.path.push('/');
        encode(&mut self.path, value);
        Ok(self)
    }

    /// Adds `value` as one segment where the server is known to take an encoded slash for a part of it. What is
    /// between slashes is held to the same as in [`Target::segment`], so that nothing is a way up.
    ///
    /// # Errors
    /// When it is longer than 4 KiB, or a part is not fit to be a segment.
    pub fn name(mut self, what: &'static str, value: &str) -> Result<Self, RequestError> {
        let refused = |reason| RequestError::Segment { what, reason };
        if value.len() > LONGEST {
            return Err(refused("it is longer than 4096 bytes"));
        }
        value
            .split('/')
            .try_for_each(check_segment)
            .map_err(refused)?;
        self.path.push('/');
        encode(&mut self.path, value);
        Ok(self)
    }

    /// Adds a query parameter.
    ///
    /// # Errors
    /// When the name is empty or set already, or either is longer than 4 KiB.
    pub fn query(mut self, name: &str, value: &str) -> Result<Self, RequestError> {
        let refused = |reason| RequestError::Query {
            name: name.chars().take(64).collect(),
            reason,
        };
        if name.is_empty() {
            return Err(refused("its name is empty"));
        }
        if name.len() > LONGEST || value.len() > LONGEST {
            return Err(refused("it is longer than 4096 bytes"));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(refused("it is set already"));
        }
        if !self.query.is_empty() {
            self.query.push('&');
        }
        encode(&mut self.query, name);
        self.query.push('=');
        encode(&mut self.query, value);
        self.names.push(name.to_owned());
        Ok(self)
    }

    /// The same, when there is a value.
    ///
    /// # Errors
    /// As [`Target::query`].
    pub fn query_if(self, name: &str, value: Option<&str>) -> Result<Self, RequestError> {
        match value {
            Some(value) => self.query(name, value),
            None => Ok(self),
        }
    }

    /// Makes a GET of it.
    ///
    /// # Errors
    /// When the whole is no URI.
    pub fn get(self) -> Result<Request<Bytes>, RequestError> {
        self.request(Method::GET, None)
    }

    /// Makes a POST of it that asks for something and changes nothing: it is sent again as a GET is.
    ///
    /// # Errors
    /// As [`Target::request`].
    pub fn ask(self, body: &RawJson) -> Result<Request<Bytes>, RequestError> {
        let mut request = self.request(Method::POST, Some(body))?;
        request.extensions_mut().insert(Asks);
        Ok(request)
    }

    /// Makes a request of it; a body is JSON.
    ///
    /// # Errors
    /// When the whole is no URI: longer than 64 KiB, for example.
    pub fn request(
        self,
        method: Method,
        body: Option<&RawJson>,
    ) -> Result<Request<Bytes>, RequestError> {
        let uri = if self.query.is_empty() {
            self.path
        } else {
            format!("{}?{}", self.path, self.query)
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, JSON);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, JSON);
        }
        request
            .body(body.map(RawJson::to_bytes).unwrap_or_default())
            .map_err(|_| RequestError::Malformed)
    }
}

/// Marks a request that changes nothing, whatever its method is.
#[derive(Debug, Clone, Copy)]
struct Asks;

/// The method that says what a request may change.
pub(crate) fn effective(request: &Request<Bytes>) -> Method {
    if request.extensions().get::<Asks>().is_some() {
        return Method::GET;
    }
    request.method().clone()
}

/// Refuses what is not one segment to every reader, even one that decodes it twice.
fn check_segment(value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("it is empty");
    }
    if value.len() > LONGEST {
        return Err("it is longer than 4096 bytes");
    }
    let mut seen = value.to_owned();
    loop {
        if seen.chars().any(char::is_control) {
            return Err("it holds a control character");
        }
        if seen.contains(['/', '\\']) {
            return Err("it holds a slash or backslash; give the plain id or name");
        }
        let before_parameters = seen.split(';').next().unwrap_or_default();
        if matches!(before_parameters, "." | "..") {
            return Err("it is a dot segment; give the plain id or name");
        }
        let decoded = decode(&seen);
        if decoded == seen {
            return Ok(());
        }
        seen = decoded;
    }
}

/// One round of percent-decoding. What is not an escape stays.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Everything but the unreserved characters of RFC 3986 §2.3.
pub(crate) fn encode(out: &mut String, text: &str) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 0xf] {
                out.push(DIGITS.get(usize::from(half)).copied().unwrap_or('0'));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::http::BaseUrl;

    #[test]
    fn a_name_may_hold_slashes_where_the_server_takes_them() {
        let at = |value| {
            Target::at("/servers")
                .name("id", value)
                .and_then(Target::get)
        };
        let uri = at("a/b %?").unwrap().uri().to_string();
        assert_eq!(uri, "/servers/a%2Fb%20%25%3F");
        for value in [
            "", ".", "..", "a\nb", "../x", "a/../x", "a%2fb", "a//b", "/a", "a\\b",
        ] {
            assert!(at(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn what_may_be_read_as_several_segments_or_a_way_up_is_refused() {
        for value in [
            "",
            ".",
            "..",
            "../services",
            "a/b",
            "/",
            "a\\b",
            "a\nb",
            "a\0",
            "%2e%2e",
            "%252e%2E",
            "..%2fx",
            "%5c",
            "..;x",
            "%0a",
            "%00",
            "a%25252fb",
        ] {
            let error = Target::at("/x").segment("id", value).unwrap_err();
            assert!(error.to_string().contains("`id`"), "{value}: {error}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert!(Target::at("/x").segment("id", &long).is_err());
    }

    #[test]
    fn what_is_merely_odd_is_encoded() {
        for (value, path) in [
            ("a.b", "/x/a.b"),
            ("...", "/x/..."),
            (
                "x?gateway_group_id=other",
                "/x/x%3Fgateway_group_id%3Dother",
            ),
            ("a#b", "/x/a%23b"),
            ("100%", "/x/100%25"),
            ("ü", "/x/%C3%BC"),
            ("me@host:80", "/x/me%40host%3A80"),
        ] {
            let request = Target::at("/x")
                .segment("id", value)
                .unwrap()
                .get()
                .unwrap();
            assert_eq!(request.uri(), path);
        }
    }

    #[test]
    fn a_parameter_is_set_once() {
        let target = Target::at("/x").query("gateway_group_id", "a").unwrap();
        assert!(target.clone().query("gateway_group_id", "b").is_err());
        assert!(target.query("", "b").is_err());
    }

    #[test]
    fn only_a_body_has_a_content_type() {
        let body = RawJson::parse(r#"{"n":1.50}"#).unwrap();
        let with = Target::at("/x").request(Method::POST, Some(&body)).unwrap();
        assert_eq!(with.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(&**with.body(), br#"{"n":1.50}"#);
        let without = Target::at("/x").request(Method::DELETE, None).unwrap();
        assert!(!without.headers().contains_key(CONTENT_TYPE));
        assert!(without.body().is_empty());
    }

    proptest! {
        #[test]
        fn no_input_changes_origin_path_prefix_or_another_parameter(
            id in hostile(), name in hostile(), value in hostile(), group in hostile(),
        ) {
            let base: BaseUrl = "https://dash.example:7443/base".parse().unwrap();
            let built = Target::at("/apisix/admin/services")
                .segment("id", &id)
                .map(|target| target.then("/upstreams"))
                .and_then(|target| target.query("gateway_group_id", &group))
                .and_then(|target| target.query(&name, &value))
                .and_then(Target::get);
            let Ok(request) = built else { return Ok(()) };
            let url: Url = base.join(request.uri()).expect("what was built can be joined");
            prop_assert_eq!(url.origin().ascii_serialization(), "https://dash.example:7443");
            prop_assert_eq!(url.username(), "");
            prop_assert!(url.fragment().is_none());
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 6, "{}", url);
            prop_assert_eq!(&segments[..4], &["base", "apisix", "admin", "services"]);
            prop_assert_eq!(decode(segments[4]), id);
            prop_assert_eq!(segments[5], "upstreams");
            let pairs: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(pairs.len(), 2);
            prop_assert_eq!(&pairs[0], &("gateway_group_id".into(), group.into()));
            prop_assert_eq!(&pairs[1], &(name.into(), value.into()));
        }
    }

    /// Texts with more of what matters than chance would give.
    pub(crate) fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("..".to_owned()),
            Just("/".to_owned()),
            Just("%2f".to_owned()),
            Just("%2e".to_owned()),
            Just("?".to_owned()),
            Just("#".to_owned()),
            Just("&gateway_group_id=x".to_owned()),
            Just("@evil.example".to_owned()),
            Just("\\".to_owned()),
            Just("\r\n".to_owned()),
            Just("+".to_owned()),
            Just("%".to_owned()),
            "[a-zA-Z0-9._~-]{1,8}",
            ".{0,4}",
        ];
        proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }
}
