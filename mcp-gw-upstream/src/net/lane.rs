//! One connection, moved by whoever has something to send on it.
//!
//! There is no task that belongs to a connection: between a request and the end of its answer it is polled with the
//! future that waits for the answer, and in between by nobody. That saves two changes of task for each request, and
//! a request cannot be left lying on a connection that ends in the same instant.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use tokio::task::unconstrained;

use crate::net::connect::Stream;

/// What sends and receives on it.
type Work = Pin<Box<Connection<Stream, Full<Bytes>>>>;

/// A connection without a request, or with one under way.
pub(crate) struct Lane {
    send: SendRequest<Full<Bytes>>,
    /// Gone when the connection has ended.
    work: Option<Work>,
}

impl Lane {
    /// Speaks HTTP/1.1 on a new connection.
    pub(crate) async fn new(stream: Stream) -> hyper::Result<Self> {
        let (send, work) = handshake(stream).await?;
        let mut lane = Self {
            send,
            work: Some(Box::pin(work)),
        };
        poll_fn(|cx| {
            lane.drive(cx);
            lane.send.poll_ready(cx)
        })
        .await?;
        Ok(lane)
    }

    /// Sends and receives as much as goes without waiting, and has the rest wake this task.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(work) = &mut self.work
            && work.as_mut().poll(cx).is_ready()
        {
            // What went wrong is told to the request, or to the body of its answer; that nothing more is told, too,
            // when what moves it is gone.
            self.work = None;
        }
    }

    /// True when the connection is open, as far as the operating system has said, and has nothing under way.
    pub(crate) fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.work.is_some() && self.send.is_ready()
    }

    /// Sends a request, and waits for the head of its answer. What was certainly not sent is in the error.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.send.try_send_request(request);
        // The channel that it comes through may not say "later" for the sake of others: it would say so to nobody.
        let mut answer = pin!(unconstrained(answer));
        poll_fn(|cx| {
            self.drive(cx);
            // Only the connection makes it ready, and that has just done what it could.
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The same for a piece of the body of the answer.
    pub(crate) fn poll_more<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut piece: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(ready) = piece(&mut nobody) {
            return Poll::Ready(ready);
        }
        self.drive(cx);
        piece(&mut nobody)
    }
}
