//! What stands between a call and its client. What servers ask leaves a record of its own, as
//! everything does that goes through the gateway; and in what is said either way, URIs and tasks are
//! called what the reader knows them by.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::audit::Outcome;
use crate::cancel::CancelReason;
use crate::catalogue::Target;
use crate::context::{CallNotification, ClientLink, ClientLinkError, Incoming};
use crate::error::{ErrorClass, GatewayError};
use crate::gateway::Gateway;
use crate::json::{ObjectWriter, RawJson};
use crate::limit::{Hold, WeakHold};
use crate::shown::{Shown, Unclear};

/// The way back to a client, as the server of the call gets it.
struct Between {
    gateway: Gateway,
    /// The call in which the client is told and asked.
    call: Incoming,
    server: Arc<str>,
    shown: Shown,
    /// What the call holds, and need not while its client is asked.
    hold: WeakHold,
}

impl Gateway {
    /// The same request, whose client is not asked without a record. Clients that cannot be asked,
    /// of servers whose things are called the same everywhere, need nothing between.
    pub(super) fn with_link_between(
        &self,
        incoming: &Incoming,
        target: &Target,
        hold: &Hold,
    ) -> Incoming {
        // Each client of 2026-07-28 declares something, and most of them `{}`.
        let capabilities = incoming.link.capabilities();
        let is_mute = capabilities.is_none_or(|declared| declared.as_bytes() == b"{}");
        if is_mute && target.shown.is_plain() {
            return incoming.clone();
        }
        incoming.clone().with_link(Arc::new(Between {
            gateway: self.clone(),
            call: incoming.clone(),
            server: Arc::clone(&target.server),
            shown: target.shown.clone(),
            hold: hold.weak(),
        }))
    }
}

impl Between {
    fn link(&self) -> &dyn ClientLink {
        &*self.call.link
    }

    /// `None` when it cannot be said in the words of the client.
    fn notification(&self, notification: CallNotification) -> Option<CallNotification> {
        if self.shown.is_plain() {
            return Some(notification);
        }
        let shown = |method: &str, params: &RawJson| self.shown.notification(method, params).ok();
        Some(match notification {
            CallNotification::Progress(params) => {
                CallNotification::Progress(shown("notifications/progress", &params)?)
            }
            CallNotification::Log(params) => {
                CallNotification::Log(shown("notifications/message", &params)?)
            }
            CallNotification::Other { method, params } => {
                let params = shown(&method, &params)?;
                CallNotification::Other { method, params }
            }
        })
    }

    /// `params` of a question in the words of the client.
    fn question(&self, params: &RawJson) -> Result<RawJson, ClientLinkError> {
        self.shown.question(params).map_err(|_| {
            let error = GatewayError::Untellable {
                server: Arc::clone(&self.server),
                reason: Unclear::REASON.to_owned(),
            };
            let object = ObjectWriter::default()
                .integer("code", error.class().code())
                .string("message", &error.public_message());
            ClientLinkError::Rpc(object.finish())
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ClientLink for Between {
    fn notify(&self, notification: CallNotification) {
        if let Some(notification) = self.notification(notification) {
            self.link().notify(notification);
        }
    }

    fn wants_progress(&self) -> bool {
        self.link().wants_progress()
    }

    fn capabilities(&self) -> Option<RawJson> {
        self.link().capabilities()
    }

    fn accepts_input_requests(&self) -> bool {
        self.link().accepts_input_requests()
    }

    fn mark_plain(&self) {
        self.link().mark_plain();
    }

    fn is_plain(&self) -> bool {
        self.link().is_plain()
    }

    fn accepts(&self, result: &RawJson) -> bool {
        self.link().accepts(result)
    }

    fn objection(&self, result: &RawJson) -> Option<String> {
        self.link().objection(result)
    }

    fn objection_to_task(&self, answer: &RawJson) -> Option<String> {
        self.link().objection_to_task(answer)
    }

    fn waited(&self) -> Duration {
        self.link().waited()
    }

    fn cancel_reason(&self) -> Option<RawJson> {
        self.link().cancel_reason()
    }

    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        self.ask(method, params, &CancelReason::default()).await
    }

    async fn ask(
        &self,
        method: &str,
        params: RawJson,
        taken_back: &CancelReason,
    ) -> Result<RawJson, ClientLinkError> {
        let Incoming { caller, meta, .. } = &self.call;
        let mut scope = self.gateway.audit(Some(caller), meta, known(method));
        scope.event.server = Some(Arc::clone(&self.server));
        scope.event.request_bytes = params.len();
        let answer = match self.question(&params) {
            Ok(params) => {
                let question = self.link().ask(method, params, taken_back);
                self.hold.lent_for(question).await
            }
            Err(unclear) => Err(unclear),
        };
        let answer = answer.map(|answer| self.shown.answer(&answer));
        let outcome = match &answer {
            Ok(answer) => {
                scope.event.response_bytes = answer.len();
                Outcome::Ok
            }
            Err(error) => {
                scope.event.error = Some(error.to_string());
                Outcome::Error(match error {
                    ClientLinkError::Unsupported { .. } => ErrorClass::Unsupported,
                    ClientLinkError::Rpc(_) | ClientLinkError::Gone => ErrorClass::ClientError,
                })
            }
        };
        scope.close(outcome);
        answer
    }
}

/// The method as audit events name it: a server may write anything.
pub(super) fn known(method: &str) -> &'static str {
    ["sampling/createMessage", "elicitation/create", "roots/list"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("a request to the client")
}
