//! Streamable HTTP to the letter: status, headers and bodies of what is right and what is not.

mod access;
mod anything;
mod batch;
mod carrier;
mod legacy;
mod limits;
mod modern;
mod places;
mod rules;
mod sealed;
mod signatures;
mod states;
mod streams;
mod tokens;

use crate::support::http::{Endpoint, JSON};
use crate::support::json::{at, member};

/// A request and what must come back.
struct Case<'a> {
    name: &'a str,
    method: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: String,
    status: u16,
    /// Of the JSON-RPC error; without it, the body is not JSON-RPC, or a result.
    code: Option<i64>,
}

impl<'a> Case<'a> {
    /// A POST of JSON.
    fn post(
        name: &'a str,
        body: impl Into<String>,
        status: u16,
        code: impl Into<Option<i64>>,
    ) -> Self {
        Self {
            name,
            method: "POST",
            headers: JSON.to_vec(),
            body: body.into(),
            status,
            code: code.into(),
        }
    }

    /// The same with a header more, or in place of the one with its name.
    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// The same without a header.
    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// Sends it, and returns the body of what came back as it should.
    #[track_caller]
    fn check(&self, endpoint: &Endpoint) -> String {
        let mut headers = self.headers.clone();
        headers.extend(
            endpoint
                .headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str())),
        );
        let mut reply = endpoint.send(self.method, &headers, self.body.as_bytes());
        let text = reply.text();
        let name = self.name;
        assert_eq!(reply.status, self.status, "{name}: {text}");
        if let Some(code) = self.code {
            assert_eq!(
                at(&text, &["error", "code"]),
                code.to_string(),
                "{name}: {text}"
            );
            assert!(
                at(&text, &["error", "message"]).len() > 12,
                "{name}: {text}"
            );
            assert_eq!(at(&text, &["jsonrpc"]), "\"2.0\"");
        } else {
            let is_error = text.starts_with('{') && member(&text, "error").is_some();
            assert!(!is_error, "{name}: {text}");
        }
        text
    }
}
