//! Several messages on one line: JSON-RPC batches, for clients of 2025-03-26.

use bytes::Bytes;
use futures_util::future::join_all;
use mcp_gw_core::RawJson;
use mcp_gw_core::jsonrpc::{Message, Request};

use super::{Connection, run};
use crate::batch;
use crate::exchange::{Answer, Exchange};
use crate::rpc_error::RpcError;

impl Connection {
    /// Takes a line that is an array. Its answers are one line too; what comes before them is not.
    pub(super) async fn take_batch(&mut self, line: &Bytes) {
        let revision = self.client.as_ref().map(|client| client.revision);
        let elements = batch::split(line)
            .and_then(|elements| batch::check_revision(revision).map(|()| elements));
        let elements = match elements {
            Ok(elements) => elements,
            Err(error) => {
                return self
                    .send(Answer::error(None, &error).message.into_raw())
                    .await;
            }
        };
        let (mut answers, mut work) = (Vec::new(), Vec::new());
        for element in elements {
            let element = element.to_bytes();
            match Message::parse(&element) {
                Ok(Message::Request(request)) => match self.begin_element(&request, &element) {
                    Ok(exchange) => work.push(exchange),
                    Err(error) => {
                        let id = RawJson::within(&element, request.id);
                        answers.push(Answer::error(Some(&id), &error).message.into_raw());
                    }
                },
                Ok(Message::Notification(notification)) => self.notified(&notification),
                // Nothing was asked of the client.
                Ok(_) => {}
                Err(error) => {
                    let says = RpcError::new(error.code, &error.message);
                    answers.push(Answer::error(error.id.as_ref(), &says).message.into_raw());
                }
            }
        }
        let out = self.out.clone();
        self.tasks.spawn(async move {
            let all = join_all(work.into_iter().map(|exchange| run(exchange, &out))).await;
            answers.extend(all.into_iter().flatten());
            if answers.is_empty() {
                return;
            }
            if let Ok(array) = RawJson::parse(batch::join(&answers)) {
                let _ = out.send(array).await;
            }
        });
    }

    fn begin_element(&self, request: &Request<'_>, element: &Bytes) -> Result<Exchange, RpcError> {
        let revision = self.revision(request)?;
        if request.method == "initialize" || revision.is_modern() {
            return Err(batch::not_here(&request.method));
        }
        self.begin(request, element, revision)
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Gateway;

    use crate::engine::{Engine, EngineConfig};
    use crate::line::{LineConfig, serve_lines};

    /// What is answered to these lines, without the answer to `initialize`.
    async fn answers(lines: &str) -> Vec<String> {
        let engine = Engine::new(Gateway::builder().build().unwrap(), EngineConfig::default());
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let config = LineConfig::default();
        serve_lines(&engine, config, lines.as_bytes(), near)
            .await
            .unwrap();
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut far, &mut text)
            .await
            .unwrap();
        // In no particular order: each is answered when it is done.
        let lines = text.lines().filter(|line| !line.contains("serverInfo"));
        lines.map(str::to_owned).collect()
    }

    fn initialize(revision: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}}}}}}"#
        )
    }

    #[tokio::test]
    async fn a_batch_is_a_line_and_so_are_its_answers() {
        let ping = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let first = initialize("2025-03-26");
        let lines = format!(
            "{first}\n[{},{note},1,{first},{}]\n[{note}]\n[]\n",
            ping(1),
            ping(2)
        );
        let answers = answers(&lines).await;
        assert_eq!(answers.len(), 2, "{answers:?}");
        let (batch, empty): (Vec<_>, Vec<_>) =
            answers.iter().partition(|line| line.starts_with('['));
        assert!(empty[0].contains("-32600") && empty[0].contains("empty"));
        let array: Vec<serde_json::Value> = serde_json::from_str(batch[0]).unwrap();
        let ids: Vec<_> = array.iter().map(|answer| answer["id"].as_u64()).collect();
        assert_eq!(ids, [None, Some(0), Some(1), Some(2)]);
        assert_eq!(array[1]["error"]["code"], -32600);
        assert!(array[2]["result"].is_object());
    }

    #[tokio::test]
    async fn other_revisions_have_no_batches() {
        let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
        for revision in ["2025-06-18", "2025-11-25"] {
            let answers = answers(&format!("{}\n{batch}\n", initialize(revision))).await;
            assert_eq!(answers.len(), 1);
            let is_refused = answers[0].contains("-32600") && !answers[0].contains("\"id\"");
            assert!(is_refused, "{answers:?}");
        }
    }
}
