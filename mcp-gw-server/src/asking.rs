//! Requests to a client that shook hands, and its answers to them. Both are matched by ids that no
//! other session has.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{self, Response, as_str};
use mcp_gw_core::{CancelReason, ClientLinkError, ObjectWriter, RawJson, code};
use tokio::sync::{mpsc, oneshot};

use crate::rpc_error::RpcError;

/// So many requests to one client may wait for their answer.
const OPEN: usize = 64;

/// What a client answered: a result, or an error object.
type Said = Result<RawJson, RawJson>;

/// The requests to one client that it has not answered.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Before the number of each request: nobody who did not get the request knows its id.
    prefix: String,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    asked: u64,
    open: HashMap<String, oneshot::Sender<Said>>,
    has_ended: bool,
}

impl Default for Asking {
    fn default() -> Self {
        // Should there be no randomness, sessions are still told apart by who may answer in them.
        let mut random = [0_u8; 8];
        let _ = getrandom::fill(&mut random);
        Self {
            prefix: format!("gw-{:016x}", u64::from_ne_bytes(random)),
            table: Mutex::default(),
        }
    }
}

impl Asking {
    /// Sends a request through `stream` and waits up to `patience` for its answer. Dropping the
    /// future tells the client that no answer is wanted any more, and why if `taken_back` says so.
    pub(crate) async fn ask(
        &self,
        stream: mpsc::Sender<RawJson>,
        method: &str,
        params: &RawJson,
        patience: Duration,
        taken_back: &CancelReason,
    ) -> Result<RawJson, ClientLinkError> {
        let (open, answer) = self.open(stream, method, taken_back.clone())?;
        let request = jsonrpc::request(&RawJson::string(&open.id), method, params);
        let asked = async {
            // A stream that nobody reads holds the question back, and the limit on the wait counts.
            if open.stream.send(request).await.is_err() {
                return Err(ClientLinkError::Gone);
            }
            match answer.await {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(error)) => Err(ClientLinkError::Rpc(error)),
                Err(_) => Err(ClientLinkError::Gone),
            }
        };
        tokio::time::timeout(patience, asked)
            .await
            .unwrap_or_else(|_| {
                open.taken_back.say(&format!(
                    "No answer came within {} s.",
                    patience.as_secs_f64()
                ));
                Err(ClientLinkError::Gone)
            })
    }

    fn open(
        &self,
        stream: mpsc::Sender<RawJson>,
        method: &str,
        taken_back: CancelReason,
    ) -> Result<(Open<'_>, oneshot::Receiver<Said>), ClientLinkError> {
        let mut table = self.lock();
        if table.has_ended {
            return Err(ClientLinkError::Gone);
        }
        if table.open.len() >= OPEN {
            tracing::warn!(method, "a client has {OPEN} questions to answer already");
            return Err(ClientLinkError::Unsupported {
                method: method.to_owned(),
            });
        }
        table.asked += 1;
        let id = format!("{}-{}", self.prefix, table.asked);
        let (say, answer) = oneshot::channel();
        table.open.insert(id.clone(), say);
        let open = Open {
            asking: self,
            id,
            stream,
            taken_back,
        };
        Ok((open, answer))
    }

    /// Takes an answer of the client. One that nobody waits for is ignored: it came late, or twice.
    ///
    /// # Errors
    /// When it is no answer: neither an object as the result, nor an object as the error. Who asked
    /// gets an error then.
    pub(crate) fn take(&self, response: &Response<'_>, body: &Bytes) -> Result<(), RpcError> {
        let id = response.id.and_then(as_str);
        let say = id.and_then(|id| self.lock().open.remove(&*id));
        let Some(say) = say else {
            tracing::debug!("a client answered what nobody asked, or asks any more");
            return Ok(());
        };
        let said = response.outcome_in(body);
        let is_answer = match &said {
            Ok(answer) | Err(answer) => answer.members().is_ok(),
        };
        if is_answer {
            // Nobody waits any more: the same as an answer that came late.
            let _ = say.send(said);
            return Ok(());
        }
        let says = "The client's answer is not an object, or names a member twice.";
        let _ = say.send(Err(jsonrpc::error_object(
            code::INVALID_REQUEST,
            says,
            None,
        )));
        Err(RpcError::with_status(
            400,
            code::INVALID_REQUEST,
            "Invalid request: an answer must be an object that names no member twice",
        ))
    }

    /// The client is gone: what is open gets no answer, and nothing more is asked.
    pub(crate) fn end(&self) {
        let mut table = self.lock();
        table.has_ended = true;
        table.open.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that the client has not answered. When this is dropped, no answer is wanted any more.
#[derive(Debug)]
struct Open<'a> {
    asking: &'a Asking,
    id: String,
    stream: mpsc::Sender<RawJson>,
    taken_back: CancelReason,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.asking.lock().open.remove(&self.id).is_none() {
            return;
        }
        self.taken_back.say("The answer is not needed any more.");
        let params = ObjectWriter::default()
            .string("requestId", &self.id)
            .raw("reason", &self.taken_back.get().unwrap_or_default())
            .finish();
        let message = jsonrpc::notification("notifications/cancelled", &params);
        // A client that does not read loses this too; its answer will be ignored.
        let _ = self.stream.try_send(message);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Poll;

    use mcp_gw_core::jsonrpc::Message;

    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn take(asking: &Asking, id: &str, outcome: &str) -> Result<(), RpcError> {
        let body = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#));
        match Message::parse(&body) {
            Ok(Message::Response(response)) => asking.take(&response, &body),
            other => panic!("{other:?}"),
        }
    }

    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
    }

    /// The id of the next request in the stream, as JSON text.
    async fn asked(stream: &mut mpsc::Receiver<RawJson>) -> String {
        let message = stream.recv().await.unwrap();
        assert!(message.member("method").unwrap().is_some());
        message.member("id").unwrap().unwrap().as_str().to_owned()
    }

    #[tokio::test]
    async fn each_answer_finds_its_question_whatever_their_order() {
        let nobody = CancelReason::default();
        let asking = Asking::default();
        let (queue, mut stream) = mpsc::channel(8);
        let params = raw(r#"{"n":1.0}"#);
        let first = asking.ask(queue.clone(), "roots/list", &params, LONG, &nobody);
        let second = asking.ask(queue, "sampling/createMessage", &params, LONG, &nobody);
        let answering = async {
            let (a, b) = (asked(&mut stream).await, asked(&mut stream).await);
            assert_ne!(a, b);
            take(&asking, &b, r#""result":{"of":"b"}"#).unwrap();
            take(&asking, &b, r#""result":{"of":"twice"}"#).unwrap();
            take(&asking, "7", r#""result":{"of":"nobody"}"#).unwrap();
            take(&asking, &a, r#""error":{"code":-1,"message":"no","x":1e2}"#).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, answering);
        let error = ClientLinkError::Rpc(raw(r#"{"code":-1,"message":"no","x":1e2}"#));
        assert_eq!(first.unwrap_err(), error);
        assert_eq!(second.unwrap().as_str(), r#"{"of":"b"}"#);
        assert!(stream.try_recv().is_err(), "nothing was cancelled");
    }

    #[tokio::test]
    async fn the_answer_of_another_session_matches_nothing() {
        let nobody = CancelReason::default();
        let (ours, theirs) = (Asking::default(), Asking::default());
        let (queue, mut stream) = mpsc::channel(8);
        let params = RawJson::empty_object();
        let asking = ours.ask(queue, "roots/list", &params, LONG, &nobody);
        let answering = async {
            let id = asked(&mut stream).await;
            take(&theirs, &id, r#""result":{"of":"theirs"}"#).unwrap();
            take(&ours, &id, r#""result":{"of":"ours"}"#).unwrap();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer.unwrap().as_str(), r#"{"of":"ours"}"#);
    }

    #[tokio::test]
    async fn a_question_that_is_given_up_is_cancelled_and_forgotten() {
        let asking = Asking::default();
        let (queue, mut stream) = mpsc::channel(8);
        let params = RawJson::empty_object();
        for (said, reason) in [
            (None, r#""The answer is not needed any more.""#),
            (Some(r#""th\u0061nks""#), r#""th\u0061nks""#),
        ] {
            let taken_back = CancelReason::default();
            let ask = asking.ask(queue.clone(), "roots/list", &params, LONG, &taken_back);
            let mut question = Box::pin(ask);
            assert!(is_pending(&mut question).await);
            let id = asked(&mut stream).await;
            if let Some(said) = said {
                taken_back.set(raw(said));
            }
            drop(question);
            let cancelled = stream.recv().await.unwrap();
            assert!(cancelled.as_str().contains("notifications/cancelled"));
            let params = cancelled.member("params").unwrap().unwrap();
            let expected = format!(r#"{{"requestId":{id},"reason":{reason}}}"#);
            assert_eq!(params.as_str(), expected);
            assert!(asking.lock().open.is_empty());
            take(&asking, &id, r#""result":{}"#).unwrap();
        }
    }

    #[tokio::test]
    async fn a_question_that_is_cancelled_is_forgotten() {
        let asking = Asking::default();
        let (queue, mut stream) = mpsc::channel(8);
        let params = RawJson::empty_object();
        let taken_back = CancelReason::default();
        let ask = asking.ask(queue, "roots/list", &params, LONG, &taken_back);
        let mut question = Box::pin(ask);
        assert!(is_pending(&mut question).await);
        let id = asked(&mut stream).await;
        drop(question);
        stream.recv().await.unwrap();
        assert!(asking.lock().open.is_empty());
        take(&asking, &id, r#""result":{}"#).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_answers_is_not_waited_for_for_ever() {
        let nobody = CancelReason::default();
        let asking = Asking::default();
        let (queue, mut stream) = mpsc::channel(8);
        let params = RawJson::empty_object();
        let answer = asking
            .ask(queue, "roots/list", &params, LONG, &nobody)
            .await;
        assert_eq!(answer.unwrap_err(), ClientLinkError::Gone);
        asked(&mut stream).await;
        let cancelled = stream.recv().await.unwrap();
        assert!(cancelled.as_str().contains("notifications/cancelled"));
        assert!(cancelled.as_str().contains("within 300 s"), "{cancelled}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_refused_and_who_asked_gets_an_error() {
        let nobody = CancelReason::default();
        for outcome in [
            r#""result":[]"#,
            r#""result":{"a":1,"a":2}"#,
            r#""error":7"#,
        ] {
            let asking = Asking::default();
            let (queue, mut stream) = mpsc::channel(8);
            let params = RawJson::empty_object();
            let question = asking.ask(queue, "roots/list", &params, LONG, &nobody);
            let answering = async {
                let id = asked(&mut stream).await;
                assert_eq!(take(&asking, &id, outcome).unwrap_err().status, 400);
            };
            let (answer, ()) = tokio::join!(question, answering);
            assert!(matches!(answer, Err(ClientLinkError::Rpc(_))), "{outcome}");
        }
    }

    #[tokio::test]
    async fn questions_are_bounded_and_end_with_the_client() {
        let nobody = CancelReason::default();
        let asking = Asking::default();
        let (queue, _stream) = mpsc::channel(OPEN);
        let params = RawJson::empty_object();
        let mut open = Vec::new();
        for _ in 0..OPEN {
            let ask = asking.ask(queue.clone(), "roots/list", &params, LONG, &nobody);
            let mut ask = Box::pin(ask);
            assert!(is_pending(&mut ask).await);
            open.push(ask);
        }
        let more = asking
            .ask(queue.clone(), "roots/list", &params, LONG, &nobody)
            .await;
        assert!(matches!(more, Err(ClientLinkError::Unsupported { .. })));
        asking.end();
        for ask in open {
            assert_eq!(ask.await.unwrap_err(), ClientLinkError::Gone);
        }
        let more = asking
            .ask(queue, "roots/list", &params, LONG, &nobody)
            .await;
        assert_eq!(more.unwrap_err(), ClientLinkError::Gone);
    }
}
