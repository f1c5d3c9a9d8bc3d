//! The way from a call back to its client: a bounded queue of messages for the call's own stream.

use async_trait::async_trait;
use mcp_gw_core::jsonrpc;
use mcp_gw_core::{CallNotification, ClientLink, ClientLinkError, ObjectWriter, RawJson};
use tokio::sync::mpsc;

use mcp_gw_core::meta_key::PROGRESS_TOKEN;

/// So many messages may wait for a client that does not read.
const QUEUE: usize = 256;

/// Sends what belongs to one call into a queue, as complete JSON-RPC messages.
#[derive(Debug)]
pub(crate) struct CallLink {
    progress_token: RawJson,
    queue: mpsc::Sender<RawJson>,
}

impl CallLink {
    /// A link for a call whose client wants progress under this token, and the other end.
    pub(crate) fn new(progress_token: RawJson) -> (Self, mpsc::Receiver<RawJson>) {
        let (queue, messages) = mpsc::channel(QUEUE);
        (
            Self {
                progress_token,
                queue,
            },
            messages,
        )
    }
}

#[async_trait]
impl ClientLink for CallLink {
    fn notify(&self, notification: CallNotification) {
        // Log messages are for clients that were told of the capability, and none is yet.
        let CallNotification::Progress(params) = notification else {
            return;
        };
        let Ok(members) = params.members() else {
            return;
        };
        let params = ObjectWriter::with_capacity(params.len() + 64)
            .raw(PROGRESS_TOKEN, &self.progress_token)
            .members(&members, &[PROGRESS_TOKEN])
            .finish();
        let message = jsonrpc::notification("notifications/progress", &params);
        if self.queue.try_send(message).is_err() {
            tracing::debug!("a client does not read its progress; a message is dropped");
        }
    }

    fn wants_progress(&self) -> bool {
        true
    }

    async fn request(&self, method: &str, _params: RawJson) -> Result<RawJson, ClientLinkError> {
        Err(ClientLinkError::Unsupported {
            method: method.to_owned(),
        })
    }
}
