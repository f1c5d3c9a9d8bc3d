//! What can go wrong between a request and its answer, by meaning.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use mcp_gw_core::BoxError;

use crate::http::target::RequestError;
use crate::konnect::text::is_unseen;

/// What an [`Error`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No request could be made of what was given; nothing was sent.
    Request,
    /// The credentials are missing, wrong or expired (401).
    Unauthorized,
    /// The credentials do not permit this (403).
    Forbidden,
    /// There is no such thing (404, 410).
    NotFound,
    /// It exists already, or changed meanwhile (409, 412).
    Conflict,
    /// Too many requests (429).
    RateLimited,
    /// The API refuses what was sent (400, 413, 415, 422 and other 4xx).
    Invalid,
    /// The API is broken (500, 501 and other 5xx).
    Server,
    /// The API cannot be reached, or says that it is not there now (425, 502, 503, 504), or a proxy does not let through
    /// (407).
    Unavailable,
    /// No answer came in time, or the API says that the request did not (408).
    Timeout,
    /// The connection broke before the answer was complete.
    Lost,
    /// The answer is longer than allowed.
    TooLarge,
    /// The answer is not JSON, or nothing that an API answers with.
    NotJson,
    /// The answer points elsewhere; credentials do not follow it.
    Redirected,
}

impl ErrorKind {
    /// The meaning of a status that is neither success nor redirection.
    pub(crate) const fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 => Self::RateLimited,
            408 => Self::Timeout,
            // A proxy on the way, or an API that wants to be asked later.
            407 | 425 | 502..=504 | 520..=530 => Self::Unavailable,
            // Nothing that an API answers with.
            100..=199 | 511 => Self::NotJson,
            500..=599 => Self::Server,
            300..=399 => Self::Redirected,
            _ => Self::Invalid,
        }
    }

    /// A word for logs and structured answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::Server => "server_error",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::Redirected => "redirected",
        }
    }
}

/// What is known of the effect of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Done {
    /// It was not sent, or it was refused: nothing was done.
    No,
    /// It was sent and no answer tells what became of it.
    Unknown,
}

/// Why there is no usable answer.
///
/// Neither `Debug` nor `Display` shows credentials: what an API says is shortened, put on one line and
/// cleared of the credentials that were sent to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// The meaning.
    pub kind: ErrorKind,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The code that the API gives the error, when it does.
    pub code: Option<String>,
    /// What the API says about it, or what went wrong.
    pub message: String,
    /// When the API wants to be asked again.
    pub retry_after: Option<Duration>,
    /// What is known of the effect.
    pub done: Done,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>, done: Done) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            message: message.into(),
            retry_after: None,
            done,
            source: None,
        }
    }

    pub(crate) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status.as_u16());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// There is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// The credentials are missing, wrong or expired.
    pub fn is_unauthorized(&self) -> bool {
        self.kind == ErrorKind::Unauthorized
    }

    /// The credentials do not permit this.
    pub fn is_forbidden(&self) -> bool {
        self.kind == ErrorKind::Forbidden
    }

    /// It exists already, or changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.kind == ErrorKind::Conflict
    }

    /// Too many requests.
    pub fn is_rate_limited(&self) -> bool {
        self.kind == ErrorKind::RateLimited
    }

    /// The API refuses what was sent.
    pub fn is_invalid(&self) -> bool {
        matches!(self.kind, ErrorKind::Invalid | ErrorKind::Request)
    }

    /// The same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Lost
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            let reason = StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason());
            write!(f, "the API answered {status}")?;
            if let Some(reason) = reason {
                write!(f, " {reason}")?;
            }
            if let Some(code) = &self.code {
                write!(f, " ({code})")?;
            }
            if !self.message.is_empty() {
                write!(f, ": {}", self.message)?;
            }
            return Ok(());
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::new(ErrorKind::Request, error.to_string(), Done::No).with_source(error)
    }
}

/// The beginning of a text, on one line.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if is_unseen(c) { ' ' } else { c })
        .take(longest)
        .collect();
    if text.chars().nth(longest).is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}
