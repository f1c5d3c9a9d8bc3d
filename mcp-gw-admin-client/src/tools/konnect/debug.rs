//! Debug sessions: creating one, and what becomes of it.

use std::fmt::Write as _;
use std::sync::Arc;

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::Error;
use crate::konnect::sampling::{SamplingInput, SamplingPlan, plan};
use crate::konnect::{DebugSession, DebugSessions, NewSession, Uuid};
use crate::tools::api7::Access;
use crate::tools::konnect::analytics::refused;
use crate::tools::konnect::args::Uid;
use crate::tools::konnect::shared::{Konnect, Right};
use crate::tools::konnect::source::Source;
use crate::tools::operation::{Effect, Operation};
use crate::tools::spoken::Spoken;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
    Patch,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateArgs {
    /// The control plane.
    control_plane_id: Uid,
    /// Only requests for this path.
    #[schemars(length(min = 1, max = 2048))]
    http_path: Option<String>,
    /// Only requests with this method.
    http_method: Option<Method>,
    /// Only responses with this status, such as "500".
    #[schemars(regex(pattern = "^[0-9]{3}$"))]
    http_status_code: Option<String>,
    /// Only requests that take so long, such as >=1000ms.
    #[schemars(regex(pattern = "^>=[0-9]{1,8}ms$"))]
    http_latency: Option<String>,
    /// Only requests to this service.
    service_id: Option<Uid>,
    /// How long it lasts, in seconds; 60 without it.
    #[schemars(range(min = 10, max = 1800))]
    session_duration: Option<i64>,
    /// How many traces it collects at most; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    max_samples: Option<i64>,
    /// True after the user has seen these very parameters and agreed.
    confirm: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Planned {
    /// False when nothing was created yet.
    created: bool,
    /// It would be, if the user agreed.
    can_be_created: bool,
    /// For `ActiveTracingSession`.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug_session_id: Option<String>,
    control_plane_id: String,
    /// pending, `in_progress`, completed, `timed_out`, cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// Which requests are traced.
    sampling_rule: String,
    /// How long it lasts, in seconds.
    session_duration: u32,
    /// How many traces it collects at most.
    max_samples: u32,
    /// What to do next.
    next: String,
}

impl Spoken for Planned {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.next);
    }
}

impl Planned {
    fn text(&self) -> String {
        let what = if self.created {
            "Debug session created"
        } else {
            "Not created yet: a debug session"
        };
        let mut out = format!(
            "{what} in control plane {}: {} s, at most {} traces, of requests with {}",
            self.control_plane_id, self.session_duration, self.max_samples, self.sampling_rule
        );
        if let Some(id) = &self.debug_session_id {
            let _ = write!(out, "\ndebug_session_id={id}");
        }
        if let Some(status) = &self.status {
            let _ = write!(out, " status={status}");
        }
        out.push('\n');
        out.push_str(&self.next);
        out
    }
}

pub(crate) struct CreateDebugSession;

impl Operation<Konnect> for CreateDebugSession {
    const NAME: &'static str = "CreateDebugSession";
    const TITLE: &'static str = "Create a debug session";
    const DESCRIPTION: &'static str = "Creates a debug session, which traces requests through the gateways of a control \
        plane for a while. The user has to agree first: unless this server can ask the user, the first call creates nothing, \
        even with confirm; show what it answers to the user, and call again with confirm: true. Without filters all requests are \
        traced. Then poll ActiveTracingSession with fetch_status.";
    const EFFECT: Effect = Effect::Adds;
    type Args = CreateArgs;
    type Output = Planned;

    async fn run(shared: &Konnect, args: CreateArgs) -> Result<Planned, ToolError> {
        let plane = shared.plane(&args.control_plane_id)?;
        let is_confirmed = args.confirm == Some(true);
        let made = plan(&input(&plane, args)).map_err(|faults| refused(&faults))?;
        let mut answer = Planned {
            created: false,
            can_be_created: shared.access == Access::ReadWrite,
            debug_session_id: None,
            control_plane_id: plane.to_string(),
            status: None,
            sampling_rule: made.rule.clone(),
            session_duration: made.duration_seconds,
            max_samples: made.max_samples,
            next: unasked(&made),
        };
        if shared.access != Access::ReadWrite {
            "This server creates nothing until the user starts it with access: read-write."
                .clone_into(&mut answer.next);
            return Ok(answer);
        }
        if !is_confirmed {
            return Ok(answer);
        }
        let session = NewSession::new(made.rule, made.duration_seconds, made.max_samples);
        let sessions = shared.debug_sessions()?;
        let session = sessions.create(&plane, &session).await;
        let session = session.map_err(|error| shared.not_created(&error))?;
        let wait = made.duration_seconds.clamp(2, 10);
        answer.created = true;
        answer.can_be_created = false;
        answer.status = session.status;
        answer.debug_session_id = session.id;
        answer.next = format!(
            "Call ActiveTracingSession with fetch_status every {wait} s until it is completed, which takes up to {} s; then \
             with summarize_session.",
            made.duration_seconds
        );
        Ok(answer)
    }

    fn text(created: &Planned) -> Option<String> {
        Some(created.text())
    }
}

/// Whether these are arguments of `CreateDebugSession`.
pub(crate) fn is_taken(arguments: &serde_json::Map<String, serde_json::Value>) -> bool {
    const NAMES: [&str; 8] = [
        "control_plane_id",
        "http_path",
        "http_method",
        "http_status_code",
        "http_latency",
        "service_id",
        "session_duration",
        "max_samples",
    ];
    let is_known = arguments.keys().all(|name| NAMES.contains(&&**name));
    let args = serde_json::from_value::<CreateArgs>(serde_json::Value::Object(arguments.clone()));
    let Some(args) = args.ok().filter(|_| is_known) else {
        return false;
    };
    let plane = args.control_plane_id.bare("control_plane_id");
    plane.is_ok_and(|plane| plan(&input(&plane, args)).is_ok())
}

fn input(plane: &Uuid, args: CreateArgs) -> SamplingInput {
    SamplingInput {
        http_path: args.http_path,
        http_method: args.http_method.map(|method| method.as_str().to_owned()),
        http_status_code: args.http_status_code,
        http_latency: args.http_latency,
        service_id: args.service_id.map(|id| id.0),
        control_plane_id: Some(plane.to_string()),
        session_duration: args.session_duration,
        max_samples: args.max_samples,
    }
}

fn unasked(made: &SamplingPlan) -> String {
    let all = if made.conditions == 0 {
        " It would trace every request, as no filter is given."
    } else {
        ""
    };
    format!(
        "Nothing was created.{all} Show these parameters to the user and ask; when the user agrees, call again with the same \
         arguments and confirm: true."
    )
}

impl Konnect {
    /// Debug sessions, as they are made here.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn debug_sessions(&self) -> Result<Arc<dyn DebugSessions>, ToolError> {
        match (&self.sessions, &self.source) {
            (Some(sessions), _) => Ok(Arc::clone(sessions)),
            (None, Source::Konnect(client)) => Ok(Arc::new(client.stand_in())),
            (None, Source::Gateway(_)) => Err(ToolError::failed(
                "A gateway of one's own has no debug sessions.",
            )),
        }
    }

    /// What is said when a debug session cannot be created.
    fn not_created(&self, error: &Error) -> ToolError {
        if error.is_conflict() {
            return ToolError::failed(format!(
                "{}. Another debug session of this control plane is active: read it with fetch_status, wait for its end, or \
                 ask the user whether it may be stopped.",
                crate::tools::advice::says(error)
            ));
        }
        self.no_session(error)
    }

    /// What is said when a debug session cannot be read or stopped.
    pub(crate) fn no_session(&self, error: &Error) -> ToolError {
        if error.is_conflict() {
            return ToolError::failed(format!(
                "{}. This session has ended already, or is not in a state for this: read it with fetch_status.",
                crate::tools::advice::says(error)
            ));
        }
        self.not_published(error, Right::Debug)
    }

    /// The failure of what Konnect does in a way that nobody outside knows: a 404 says nothing of ids.
    pub(crate) fn not_published(&self, error: &Error, right: Right) -> ToolError {
        if !error.is_not_found() || self.sessions.is_some() {
            return self.failed(error, right);
        }
        ToolError::failed(format!(
            "{}. This tool is a stand-in: how Konnect does this is not published, and the real Konnect is expected to know \
             nothing of this request (docs/konnect.md, Debug sessions). Tell the user so, and look for no other ids unless \
             this tool has worked here before. This server asks {}.",
            crate::tools::advice::says(error),
            self.source.place()
        ))
    }
}

/// Whether a session has come to its end.
pub(crate) fn has_ended(session: &DebugSession) -> bool {
    matches!(
        session.status.as_deref(),
        Some("completed" | "timed_out" | "cancelled")
    )
}
