//! Notifications of servers: what they mean to the gateway and to the call they belong to.

use std::fmt;
use std::sync::{Arc, OnceLock};

use mcp_gw_core::jsonrpc::{Notification, Params};
use mcp_gw_core::{
    BackendEvent, BackendListener, CallNotification, CancelReason, ObjectWriter, RawJson, meta_key,
};

/// A notification, taken apart as far as the gateway needs it.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Progress of the request that was given this token.
    Progress { token: i64, params: RawJson },
    /// For the listener of the backend.
    Event(BackendEvent),
    /// A log message.
    Log(RawJson),
    /// What the server has agreed to tell on its stream of news: the params.
    Acknowledged(RawJson),
    /// The server does not want to know any more what it has asked under this id.
    Cancelled {
        id: RawJson,
        reason: Option<RawJson>,
    },
    /// Anything else.
    Other { method: String, params: RawJson },
}

impl Notice {
    /// Reads a notification; `None` for one that cannot be of use.
    pub(crate) fn read(notification: &Notification<'_>) -> Option<Self> {
        let params = &notification.params;
        Some(match &*notification.method {
            "notifications/progress" => Self::Progress {
                token: params.get("progressToken")?.get().parse().ok()?,
                params: text(params, &["progressToken"]),
            },
            "notifications/message" => Self::Log(text(params, &[])),
            "notifications/tools/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/prompts/list_changed" => Self::Event(BackendEvent::OfferChanged),
            "notifications/resources/updated" => Self::Event(BackendEvent::ResourceUpdated {
                uri: params.get_str("uri")?.into(),
                params: without_hop(params),
            }),
            "notifications/tasks" => Self::Event(BackendEvent::TaskChanged {
                task_id: params.get_str("taskId")?.into(),
                params: without_hop(params),
            }),
            "notifications/subscriptions/acknowledged" => Self::Acknowledged(text(params, &[])),
            "notifications/cancelled" => Self::Cancelled {
                id: RawJson::parse(params.get("requestId")?.get().to_owned()).ok()?,
                reason: CancelReason::read(params),
            },
            "notifications/initialized" => return None,
            method => Self::Other {
                method: method.chars().take(128).collect(),
                params: text(params, &[]),
            },
        })
    }

    /// The form in which it goes to the client of a call; `None` when it is not for a client.
    pub(crate) fn for_call(self, own: Option<i64>) -> Option<CallNotification> {
        match self {
            Self::Progress { token, params } => {
                (Some(token) == own).then_some(CallNotification::Progress(params))
            }
            Self::Log(params) => Some(CallNotification::Log(params)),
            Self::Other { method, params } => Some(CallNotification::Other { method, params }),
            Self::Event(_) | Self::Acknowledged(_) | Self::Cancelled { .. } => None,
        }
    }
}

/// Params as text again, members and their order as they came.
pub(crate) fn text(params: &Params<'_>, skip: &[&str]) -> RawJson {
    params
        .members()
        .map_or_else(RawJson::empty_object, |members| {
            ObjectWriter::default().members(members, skip).finish()
        })
}

/// Params without what `_meta` says of this hop: the stream that they came on.
fn without_hop(params: &Params<'_>) -> RawJson {
    let whole = text(params, &[]);
    let Ok(Some(meta)) = whole.member("_meta") else {
        return whole;
    };
    let Ok(members) = meta.members() else {
        return whole;
    };
    let rest = ObjectWriter::default()
        .members(&members, &meta_key::HOP)
        .finish();
    if rest == meta {
        return whole;
    }
    let Ok(all) = whole.members() else {
        return RawJson::empty_object();
    };
    let writer = ObjectWriter::default().members(&all, &["_meta"]);
    if rest == RawJson::empty_object() {
        writer.finish()
    } else {
        writer.raw("_meta", &rest).finish()
    }
}

/// The listener of a backend, once it is there.
#[derive(Default)]
pub(crate) struct Events(OnceLock<Arc<dyn BackendListener>>);

impl Events {
    pub(crate) fn watch(&self, listener: Arc<dyn BackendListener>) {
        if self.0.set(listener).is_err() {
            tracing::warn!(
                target: "mcp_gw::upstream",
                "a second listener of one backend is ignored"
            );
        }
    }

    pub(crate) fn emit(&self, event: BackendEvent) {
        if let Some(listener) = self.0.get() {
            listener.on_event(event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
