//! The answer to a POST: plain JSON when it is ready at once, a stream of events when something
//! comes before it or it takes its time.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use mcp_gw_core::RawJson;
use tokio::sync::mpsc;
use tokio::time::Interval;

use crate::exchange::{Answer, Exchange};
use crate::http::reply::HttpReply;
use crate::http::sse::{comment, event};

type Work = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// Waits for what comes first, and makes the reply that fits it.
pub(super) async fn reply(exchange: Exchange, keep_alive: Duration) -> HttpReply {
    let Exchange {
        mut work,
        mut messages,
    } = exchange;
    let keep_alive = keep_alive.max(Duration::from_millis(1));
    let mut ended = None;
    let first = tokio::select! {
        biased;
        Some(message) = next(&mut messages) => Some(message),
        answer = &mut work => {
            // What was said and answered in one go is a stream nevertheless.
            let said = messages.as_mut().and_then(|messages| messages.try_recv().ok());
            match (said, answer) {
                (Some(said), answer) => {
                    ended = Some(answer);
                    Some(said)
                }
                (None, Some(answer)) => return HttpReply::answer(answer),
                // Cancelled: the client expects no answer, and the stream ends without one.
                (None, None) => return HttpReply::events(Box::pin(stream::empty())),
            }
        }
        () = tokio::time::sleep(keep_alive) => None,
    };
    let begin = tokio::time::Instant::now() + keep_alive;
    let mut ticks = tokio::time::interval_at(begin, keep_alive);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let opening = first.map_or_else(comment, |message| event(None, &message));
    let (work, last) = match ended {
        None => (Some(work), None),
        Some(answer) => (
            None,
            answer.map(|answer| event(None, &answer.message.into_raw())),
        ),
    };
    let state = Open {
        work,
        messages,
        last,
        ticks,
    };
    let events = stream::unfold((Some(opening), state), |(opening, mut state)| async move {
        let chunk = match opening {
            Some(opening) => opening,
            None => state.next().await?,
        };
        Some((chunk, (None, state)))
    });
    HttpReply::events(Box::pin(events))
}

/// A stream that has not ended.
struct Open {
    work: Option<Work>,
    messages: Option<mpsc::Receiver<RawJson>>,
    /// The answer, once it is there; messages that were sent before it go first.
    last: Option<Bytes>,
    ticks: Interval,
}

impl Open {
    async fn next(&mut self) -> Option<Bytes> {
        let Some(work) = &mut self.work else {
            let queued = self
                .messages
                .as_mut()
                .and_then(|messages| messages.try_recv().ok());
            return queued
                .map(|message| event(None, &message))
                .or_else(|| self.last.take());
        };
        let answer = tokio::select! {
            biased;
            Some(message) = next(&mut self.messages) => return Some(event(None, &message)),
            answer = work => answer,
            _ = self.ticks.tick() => return Some(comment()),
        };
        self.work = None;
        let answer = answer?;
        self.last = Some(event(None, &answer.message.into_raw()));
        let queued = self
            .messages
            .as_mut()
            .and_then(|messages| messages.try_recv().ok());
        queued
            .map(|message| event(None, &message))
            .or_else(|| self.last.take())
    }
}

/// The next message; waits for ever when there can be none.
async fn next(messages: &mut Option<mpsc::Receiver<RawJson>>) -> Option<RawJson> {
    match messages {
        Some(queue) => {
            let message = queue.recv().await;
            if message.is_none() {
                *messages = None;
            }
            message
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::http::reply::HttpBody;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn answer(text: &str) -> Answer {
        Answer {
            message: raw(text).into(),
            status: 200,
            retry_after: None,
            challenge: None,
        }
    }

    async fn all(reply: HttpReply) -> String {
        match reply.body {
            HttpBody::Events(events) => {
                let chunks: Vec<Bytes> = events.collect().await;
                String::from_utf8(chunks.concat()).unwrap()
            }
            HttpBody::Full(bytes) => format!("json {}", String::from_utf8_lossy(&bytes)),
            HttpBody::Pieces(pieces) => panic!("{pieces:?}"),
            HttpBody::Empty => String::new(),
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_ready_is_plain_json() {
        let (_keep, queue) = mpsc::channel(1);
        let work: Work = Box::pin(async { Some(answer("{\"a\":1}")) });
        let exchange = Exchange {
            work,
            messages: Some(queue),
        };
        assert_eq!(
            all(reply(exchange, Duration::from_secs(9)).await).await,
            "json {\"a\":1}"
        );
    }

    #[tokio::test]
    async fn what_was_said_before_the_answer_comes_before_it() {
        let (say, queue) = mpsc::channel(9);
        let work: Work = Box::pin(async move {
            for n in 1..=3 {
                say.send(raw(&n.to_string())).await.unwrap();
            }
            tokio::task::yield_now().await;
            say.send(raw("4")).await.unwrap();
            Some(answer("[\n5]"))
        });
        let exchange = Exchange {
            work,
            messages: Some(queue),
        };
        let text = all(reply(exchange, Duration::from_secs(9)).await).await;
        let event = |data: &str| format!("event: message\ndata: {data}\n\n");
        let expected: String = ["1", "2", "3", "4", "[\ndata: 5]"]
            .into_iter()
            .map(event)
            .collect();
        // Which poll sees the first message is not fixed; a plain answer is right only without any.
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn what_is_said_and_answered_at_once_is_not_lost() {
        let (say, queue) = mpsc::channel(9);
        let work: Work = Box::pin(async move {
            say.try_send(raw("1")).unwrap();
            Some(answer("2"))
        });
        let exchange = Exchange {
            work,
            messages: Some(queue),
        };
        let text = all(reply(exchange, Duration::from_secs(9)).await).await;
        assert_eq!(
            text,
            "event: message\ndata: 1\n\nevent: message\ndata: 2\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_becomes_a_stream_with_signs_of_life() {
        let (send, recv) = oneshot::channel();
        let work: Work = Box::pin(async move { recv.await.ok() });
        let reply = reply(
            Exchange {
                work,
                messages: None,
            },
            Duration::from_secs(15),
        )
        .await;
        let HttpBody::Events(mut events) = reply.body else {
            panic!()
        };
        assert_eq!(events.next().await.unwrap(), comment());
        assert_eq!(events.next().await.unwrap(), comment());
        send.send(answer("{}")).unwrap();
        assert_eq!(events.next().await.unwrap(), event(None, &raw("{}")));
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_cancelled_request_ends_without_an_answer() {
        let work: Work = Box::pin(async { None });
        let reply = reply(
            Exchange {
                work,
                messages: None,
            },
            Duration::from_secs(9),
        )
        .await;
        assert_eq!(all(reply).await, "");
    }
}
