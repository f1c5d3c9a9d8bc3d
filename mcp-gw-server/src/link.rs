//! The way from a call back to its client: a bounded queue of messages for the call's own stream.

use async_trait::async_trait;
use mcp_gw_core::jsonrpc;
use mcp_gw_core::{CallNotification, ClientLink, ClientLinkError, ObjectWriter, RawJson};
use tokio::sync::mpsc;

use crate::revision::Revision;
use crate::rewrite;

use mcp_gw_core::meta_key::PROGRESS_TOKEN;

/// So many messages may wait for a client that does not read.
const QUEUE: usize = 256;

/// The client of one call: what it can be told, and where its progress goes.
#[derive(Debug)]
pub(crate) struct CallLink {
    revision: Revision,
    capabilities: Option<RawJson>,
    progress: Option<(RawJson, mpsc::Sender<RawJson>)>,
}

impl CallLink {
    /// A link for a call, and the other end when the client wants progress under `token`.
    pub(crate) fn new(
        revision: Revision,
        token: Option<RawJson>,
        capabilities: Option<RawJson>,
    ) -> (Self, Option<mpsc::Receiver<RawJson>>) {
        let Some(token) = token else {
            return (
                Self {
                    revision,
                    capabilities,
                    progress: None,
                },
                None,
            );
        };
        let (queue, messages) = mpsc::channel(QUEUE);
        (
            Self {
                revision,
                capabilities,
                progress: Some((token, queue)),
            },
            Some(messages),
        )
    }
}

#[async_trait]
impl ClientLink for CallLink {
    fn notify(&self, notification: CallNotification) {
        // Log messages are for clients that were told of the capability, and none is yet.
        let (Some((token, queue)), CallNotification::Progress(params)) =
            (&self.progress, notification)
        else {
            return;
        };
        let Ok(members) = params.members() else {
            return;
        };
        let params = ObjectWriter::with_capacity(params.len() + 64)
            .raw(PROGRESS_TOKEN, token)
            .members(&members, &[PROGRESS_TOKEN])
            .finish();
        let message = jsonrpc::notification("notifications/progress", &params);
        if queue.try_send(message).is_err() {
            tracing::debug!("a client does not read its progress; a message is dropped");
        }
    }

    /// Clients of older revisions are not asked yet.
    fn capabilities(&self) -> Option<RawJson> {
        let is_modern = self.revision.is_modern();
        self.capabilities.clone().filter(|_| is_modern)
    }

    fn accepts_input_requests(&self) -> bool {
        self.revision.is_modern()
    }

    fn accepts(&self, result: &RawJson) -> bool {
        rewrite::is_tellable(result, self.revision)
    }

    fn wants_progress(&self) -> bool {
        self.progress.is_some()
    }

    async fn request(&self, method: &str, _params: RawJson) -> Result<RawJson, ClientLinkError> {
        Err(ClientLinkError::Unsupported {
            method: method.to_owned(),
        })
    }
}
