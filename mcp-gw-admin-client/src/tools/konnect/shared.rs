//! What all tools of one Konnect, or of one gateway, share.

use std::fmt;
use std::sync::Arc;

use mcp_gw_core::ToolError;

use crate::http::{Budget, Error};
use crate::konnect::{DebugSessions, Uuid};
use crate::tools::advice::{Words, explain_as};
use crate::tools::api7::Access;
use crate::tools::konnect::args::Uid;
use crate::tools::konnect::knowledge::Knowledge;
use crate::tools::konnect::memory::Memory;
use crate::tools::konnect::sight::Sight;
use crate::tools::konnect::source::Source;
use crate::tools::operation::Shared;

/// Those of Konnect.
pub(crate) static KONNECT: Words = Words {
    api: "Kong Konnect",
    address: "KONNECT_REGION (or base_url in the configuration of this server)",
    gateway: "the gateway",
    unauthorized: "The token is not accepted: it is wrong or has expired. The user has to make a new one in Konnect (a \
        personal access token, or one of a system account) and give it to this server (KONNECT_ACCESS_TOKEN), and see that \
        its organization is active and this region is one of its own.",
    forbidden: "The token's owner may not do this: the user has to ask an organization admin for the right.",
    not_found: "Take ids out of the results of earlier calls: GetControlPlane first, then what is in a control plane. What \
        is in another region is not seen here.",
    invalid: "Correct what the message names, and call again.",
    secret: "token of Konnect, which goes to Konnect only",
    patch: "none",
    less: "a shorter time_range, more filters, or get_by_name",
};

/// Those of a gateway of one's own.
pub(crate) static GATEWAY: Words = Words {
    api: "the Admin API",
    address: "KONG_ADMIN_URL",
    gateway: "the gateway",
    unauthorized: "The token is not accepted, or one is needed. The user has to give this server a token of an admin \
        (KONG_ADMIN_TOKEN).",
    forbidden: "The admin of this token may not do this: the user has to ask for a role that may read it, or check the \
        workspace (KONG_WORKSPACE).",
    not_found: "Take ids out of the results of earlier calls. What is in another workspace is not seen here.",
    invalid: "Correct what the message names, and call again.",
    secret: "token of the Admin API, which goes there only",
    patch: "none",
    less: "get_by_name",
};

/// What all tools of one Konnect, or of one gateway, share.
#[derive(Clone)]
pub(crate) struct Konnect {
    pub(crate) source: Source,
    /// Debug sessions; the stand-in when there are no others.
    pub(crate) sessions: Option<Arc<dyn DebugSessions>>,
    /// Documentation, if there is some.
    pub(crate) knowledge: Option<Arc<dyn Knowledge>>,
    pub(crate) memory: Arc<Memory>,
    /// What is known of the token; a gateway of one's own has nothing to be learnt.
    pub(crate) sight: Option<Arc<Sight>>,
    pub(crate) access: Access,
    pub(crate) answer_bytes: usize,
    pub(crate) max_items: usize,
    pub(crate) words: &'static Words,
    pub(crate) unset: Option<String>,
}

impl fmt::Debug for Konnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Konnect")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Shared for Konnect {
    fn scrub(&self, text: &str) -> String {
        self.source.transport().scrub(text)
    }

    fn unset(&self) -> Option<&str> {
        self.unset.as_deref()
    }

    fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    fn within(&self, budget: Budget) -> Self {
        Self {
            source: self.source.within(budget),
            ..self.clone()
        }
    }
}

/// What a token needs in order to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Analytics,
    Debug,
}

impl Right {
    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::Read => "the role Viewer or Admin on this control plane",
            Self::Analytics => "the team Analytics Viewer or Analytics Admin",
            Self::Debug => "the role Debug Session Creator or Admin on this control plane",
        }
    }
}

impl Konnect {
    /// What went wrong, as a model reads it: with the right that is missing, or where was looked.
    pub(crate) fn says(&self, error: &Error, right: Right) -> String {
        let mut text = explain_as(self.words, error);
        if let Some(sight) = self.sight.as_ref().filter(|_| error.is_forbidden()) {
            sight.refused();
        }
        if error.is_forbidden() && matches!(self.source, Source::Konnect(_)) {
            text.push_str(" It takes ");
            text.push_str(right.says());
            text.push('.');
        }
        if error.is_not_found() {
            text.push_str(" This server asks ");
            text.push_str(&self.source.place());
            text.push('.');
        }
        text
    }

    /// The failure of a whole call.
    pub(crate) fn failed(&self, error: &Error, right: Right) -> ToolError {
        let text = self.says(error, right);
        if error.kind == crate::http::ErrorKind::Request {
            return ToolError::invalid_arguments(text);
        }
        ToolError::failed(text)
    }

    /// The control plane that a call is about.
    ///
    /// # Errors
    /// When it is no id, or not that of the one gateway.
    pub(crate) fn plane(&self, id: &Uid) -> Result<Uuid, ToolError> {
        let id = id.bare("control_plane_id")?;
        self.is_known(&id)?;
        Ok(id)
    }

    /// # Errors
    /// When there is one gateway, and this is the id of another.
    pub(crate) fn is_known(&self, plane: &Uuid) -> Result<(), ToolError> {
        match &self.source {
            Source::Gateway(gateway) if gateway.id != *plane => {
                Err(ToolError::invalid_arguments(format!(
                    "there is no control plane {plane} here: this server reads one gateway, {:?}, whose control_plane_id \
                     is {}",
                    gateway.name, gateway.id
                )))
            }
            _ => Ok(()),
        }
    }
}
