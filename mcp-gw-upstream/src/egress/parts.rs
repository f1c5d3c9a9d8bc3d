//! What somebody asks of an API, before anybody has looked at it.

use bytes::Bytes;

/// A request to an API as a model, or an operation of a description, asks for it: unchecked.
///
/// Only [`ApiRules::check`](crate::egress::ApiRules::check) makes something of it that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever makes one says all of it; a part that is forgotten is a request that was not meant"
)]
pub struct RequestParts {
    /// The method, as it was written.
    pub method: String,
    /// Path and perhaps query below the base of the API, encoded, beginning with `/`.
    pub endpoint: String,
    /// Further query parameters, in order, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers, as they were written.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<PartsBody>,
}

/// The body of a request, as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "as for the request")]
pub struct PartsBody {
    /// The value of `content-type`.
    pub content_type: String,
    /// The bytes, encoded as the type says.
    pub bytes: Bytes,
}
