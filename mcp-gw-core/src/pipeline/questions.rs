//! What servers ask of clients while a call runs leaves a record of its own, as everything does that
//! goes through the gateway.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::audit::Outcome;
use crate::context::{CallNotification, ClientLink, ClientLinkError, Incoming};
use crate::error::ErrorClass;
use crate::gateway::Gateway;
use crate::json::RawJson;

/// The way back to a client, with an audit event for each request that goes there.
struct Questions {
    gateway: Gateway,
    /// The call in which the client is asked.
    asked_in: Incoming,
    server: Arc<str>,
}

impl Gateway {
    /// The same request, whose client is not asked without a record. Clients that cannot be asked
    /// need none.
    pub(super) fn with_questions(&self, incoming: &Incoming, server: &Arc<str>) -> Incoming {
        // Each client of 2026-07-28 declares something, and most of them `{}`.
        let capabilities = incoming.link.capabilities();
        if capabilities.is_none_or(|declared| declared.as_bytes() == b"{}") {
            return incoming.clone();
        }
        incoming.clone().with_link(Arc::new(Questions {
            gateway: self.clone(),
            asked_in: incoming.clone(),
            server: Arc::clone(server),
        }))
    }
}

impl Questions {
    fn link(&self) -> &dyn ClientLink {
        &*self.asked_in.link
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ClientLink for Questions {
    fn notify(&self, notification: CallNotification) {
        self.link().notify(notification);
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

    fn waited(&self) -> Duration {
        self.link().waited()
    }

    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        let Incoming { caller, meta, .. } = &self.asked_in;
        let mut scope = self.gateway.audit(Some(caller), meta, known(method));
        scope.event.server = Some(Arc::clone(&self.server));
        scope.event.request_bytes = params.len();
        let answer = self.link().request(method, params).await;
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
fn known(method: &str) -> &'static str {
    ["sampling/createMessage", "elicitation/create", "roots/list"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("a request to the client")
}
