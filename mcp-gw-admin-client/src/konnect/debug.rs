//! Debug sessions: what debugging needs, and a stand-in for how Konnect does it.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use mcp_gw_core::RawJson;
use serde::Serialize;

use crate::http::{Error, Transport};
use crate::konnect::model::DebugSession;
use crate::konnect::planes;
use crate::konnect::uuid::Uuid;
use crate::paging::{self, Page, odd, written};

/// What is waited for.
pub type Coming<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A debug session that is to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NewSession {
    /// Which requests are traced: an expression of Kong's router language; all when it is empty.
    pub sampling_rule: String,
    /// How long it lasts: 10 to 1800 s.
    pub duration_seconds: u32,
    /// How many traces it collects at most: 1 to 1000.
    pub max_samples: u32,
}

impl NewSession {
    /// A session of these requests.
    pub fn new(sampling_rule: impl Into<String>, duration_seconds: u32, max_samples: u32) -> Self {
        Self {
            sampling_rule: sampling_rule.into(),
            duration_seconds,
            max_samples,
        }
    }
}

/// Debug sessions of control planes: what Konnect can do, however it is asked.
///
/// How Konnect is asked is not published: [`StandIn`] is one way, and whoever knows the real one implements this.
pub trait DebugSessions: Send + Sync + 'static {
    /// Creates one. Not to be sent twice.
    fn create<'a>(&'a self, plane: &'a Uuid, session: &'a NewSession) -> Coming<'a, DebugSession>;

    /// Reads one.
    fn get<'a>(&'a self, plane: &'a Uuid, id: &'a Uuid) -> Coming<'a, DebugSession>;

    /// Ends one at once. One that has ended is a conflict ([`Error::is_conflict`]).
    fn stop<'a>(&'a self, plane: &'a Uuid, id: &'a Uuid) -> Coming<'a, DebugSession>;

    /// A page of its traces, which [`Trace::of`](crate::konnect::traces::Trace::of) reads, and what the next one is asked for
    /// by. Before the end these are only those that are there.
    fn traces<'a>(
        &'a self,
        plane: &'a Uuid,
        id: &'a Uuid,
        size: u32,
        after: Option<&'a str>,
    ) -> Coming<'a, (Page<RawJson>, Option<String>)>;
}

/// Debug sessions by a contract that is made up (`/v2/control-planes/{id}/debug-sessions`), after the example of the APIs
/// around it. Konnect's own is not published: against the real Konnect it is expected to answer 404.
#[derive(Debug, Clone)]
pub struct StandIn {
    transport: Transport,
}

const SESSIONS: &str = "/debug-sessions";

impl StandIn {
    /// The sessions of what is reached by `transport`: [`Client::transport`](crate::konnect::Client::transport).
    pub const fn new(transport: Transport) -> Self {
        Self { transport }
    }

    async fn session(
        &self,
        method: Method,
        plane: &Uuid,
        id: Option<(&Uuid, &'static str)>,
        body: Option<&RawJson>,
    ) -> Result<DebugSession, Error> {
        let mut target = planes::at(plane.as_str(), SESSIONS)?;
        if let Some((id, below)) = id {
            target = target.segment("debug_session_id", id.as_str())?.then(below);
        }
        let answer = self.transport.send(target.request(method, body)?).await?;
        let body = answer
            .body
            .ok_or_else(|| odd("a debug session", "it is empty"))?;
        body.decode_owned()
            .map_err(|error| odd("a debug session", &error.message))
    }
}

impl DebugSessions for StandIn {
    fn create<'a>(&'a self, plane: &'a Uuid, session: &'a NewSession) -> Coming<'a, DebugSession> {
        Box::pin(async move {
            let body = written(session)?;
            self.session(Method::POST, plane, None, Some(&body)).await
        })
    }

    fn get<'a>(&'a self, plane: &'a Uuid, id: &'a Uuid) -> Coming<'a, DebugSession> {
        Box::pin(self.session(Method::GET, plane, Some((id, "")), None))
    }

    fn stop<'a>(&'a self, plane: &'a Uuid, id: &'a Uuid) -> Coming<'a, DebugSession> {
        Box::pin(self.session(Method::POST, plane, Some((id, "/stop")), None))
    }

    fn traces<'a>(
        &'a self,
        plane: &'a Uuid,
        id: &'a Uuid,
        size: u32,
        after: Option<&'a str>,
    ) -> Coming<'a, (Page<RawJson>, Option<String>)> {
        Box::pin(async move {
            let target = planes::at(plane.as_str(), SESSIONS)?
                .segment("debug_session_id", id.as_str())?
                .then("/traces");
            let request = planes::page_of(target, size.clamp(1, 100), after)?;
            let answer = self.transport.send(request).await?;
            let body = answer.body.ok_or_else(|| odd("a list", "it is empty"))?;
            Ok((paging::data(&body)?, paging::after(&body)))
        })
    }
}
