//! MCP over a pair of byte streams, one message a line: the stdio transport of every revision.

mod batch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{Message, Notification, Params, Request, Response};
use mcp_gw_core::{Caller, Credentials, RawJson, RequestMeta, Transport, code};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::engine::Engine;
use crate::exchange::{Answer, Exchange, Peer};
use crate::inflight::InFlight;
use crate::operation::{Meta, modern_revision};
use crate::outbox::Outbox;
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use mcp_gw_core::meta_key as key;

/// Bounds of a line connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LineConfig {
    /// Longest line that is read, in bytes. A longer one is skipped and answered with an error.
    pub max_line_bytes: usize,
    /// How long open requests may still take after the client closed its end.
    pub drain: Duration,
    /// How long open requests may still take after this end was told to stop.
    pub stop_grace: Duration,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self {
            max_line_bytes: 4 * 1024 * 1024,
            drain: Duration::from_millis(500),
            stop_grace: Duration::from_secs(10),
        }
    }
}

impl LineConfig {
    /// Sets the longest line that is read, in bytes.
    #[must_use]
    pub const fn with_max_line_bytes(mut self, max_line_bytes: usize) -> Self {
        self.max_line_bytes = max_line_bytes;
        self
    }

    /// Sets how long open requests may still take at the end.
    #[must_use]
    pub const fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Sets how long open requests may still take after this end was told to stop.
    #[must_use]
    pub const fn with_stop_grace(mut self, stop_grace: Duration) -> Self {
        self.stop_grace = stop_grace;
        self
    }
}

/// Serves one connection until the client closes its end, for the caller that the gateway's
/// authenticator makes of a connection without credentials.
///
/// # Errors
/// When the caller is refused, or the streams fail.
pub async fn serve_lines(
    engine: &Engine,
    config: LineConfig,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    serve_lines_until(engine, config, reader, writer, std::future::pending()).await
}

/// The same, until the client closes its end or `stop` resolves. From then on nothing more is read;
/// what is open may end within [`LineConfig::stop_grace`], and gets its answer.
///
/// # Errors
/// When the caller is refused, or the streams fail.
pub async fn serve_lines_until(
    engine: &Engine,
    config: LineConfig,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut stop = std::pin::pin!(stop);
    let (mut drain, mut is_stopped) = (config.drain, false);
    let meta = RequestMeta::new(engine.next_request_id(), Transport::Stdio);
    let credentials = Credentials::none(Transport::Stdio);
    let caller = engine
        .gateway()
        .authenticate(&credentials, &meta)
        .await
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::PermissionDenied, error))?;
    let (out, queue) = mpsc::channel(256);
    let writing = tokio::spawn(write_lines(writer, queue));
    let mut connection = Connection {
        engine: engine.clone(),
        caller,
        out,
        in_flight: InFlight::default(),
        client: None,
        stopping: engine.inner.stopping.child_token(),
        closing: engine.inner.closing.child_token(),
        tasks: JoinSet::new(),
        is_gone: false,
    };
    let mut lines = Lines::new(reader, config.max_line_bytes);
    let result = loop {
        // The end of the writer is the end of the connection too: the client closed its other end.
        let line = tokio::select! {
            line = lines.next() => line,
            () = connection.out.closed() => break Ok(()),
            () = &mut stop => {
                (drain, is_stopped) = (config.stop_grace, true);
                break Ok(());
            }
        };
        match line {
            Ok(Some(Line::Message(line))) => tokio::select! {
                () = connection.take(line) => {}
                // A client that does not read keeps nobody from stopping.
                () = &mut stop => {
                    (drain, is_stopped) = (config.stop_grace, true);
                    break Ok(());
                }
            },
            Ok(Some(Line::TooLong)) => {
                let says = format!(
                    "The message is longer than {} bytes.",
                    config.max_line_bytes
                );
                let error = RpcError::new(code::INVALID_REQUEST, &says);
                connection
                    .send(Answer::error(None, &error).message.into_raw())
                    .await;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        while connection.tasks.try_join_next().is_some() {}
        if connection.is_gone {
            break Ok(());
        }
    };
    let Connection {
        mut tasks,
        out,
        in_flight,
        stopping,
        closing,
        client,
        ..
    } = connection;
    closing.cancel();
    // Nothing is read any more, so nothing that was asked will be answered.
    if let Some(client) = &client {
        client.asking.end();
    }
    let mut ended = async || while tasks.join_next().await.is_some() {};
    if tokio::time::timeout(drain, ended()).await.is_err() {
        // Who told this end to stop lets the client know; a client that left needs no answer.
        if is_stopped {
            stopping.cancel();
        } else {
            in_flight.cancel_all();
        }
        let _ = tokio::time::timeout(LAST_WORDS, ended()).await;
        tasks.shutdown().await;
    }
    if let Some(client) = &client {
        client.end();
    }
    // The writer ends when nobody can send any more.
    drop((out, client));
    let abort = writing.abort_handle();
    if tokio::time::timeout(UNREAD, writing).await.is_err() {
        tracing::warn!("the client does not read; what it was to be told is lost");
        abort.abort();
    }
    result
}

/// How long a client that has closed its end, or that was to be left, may take to read what is
/// still to be read.
const UNREAD: Duration = Duration::from_secs(5);

/// How long answers to requests that were given up may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

struct Connection {
    engine: Engine,
    caller: Arc<Caller>,
    out: mpsc::Sender<RawJson>,
    in_flight: InFlight,
    /// The client, once it has shaken hands.
    client: Option<Arc<Client>>,
    stopping: CancellationToken,
    closing: CancellationToken,
    tasks: JoinSet<()>,
    is_gone: bool,
}

impl Connection {
    async fn take(&mut self, line: Bytes) {
        if crate::batch::is_array(&line) {
            return self.take_batch(&line).await;
        }
        match Message::parse(&line) {
            Ok(Message::Request(request)) => {
                if let Err(error) = self.request(&request, &line) {
                    let id = RawJson::within(&line, request.id);
                    self.send(Answer::error(Some(&id), &error).message.into_raw())
                        .await;
                }
            }
            Ok(Message::Notification(notification)) => self.notified(&notification),
            Ok(Message::Response(response)) => self.answered(&response, &line),
            Ok(_) => {}
            Err(error) => {
                let answer = RpcError::new(error.code, &error.message);
                self.send(Answer::error(error.id.as_ref(), &answer).message.into_raw())
                    .await;
            }
        }
    }

    fn notified(&self, notification: &Notification<'_>) {
        if notification.method == "notifications/cancelled" {
            self.in_flight.cancel(&notification.params);
        } else if let Some(client) = &self.client {
            client.take_notification(notification);
        }
    }

    fn answered(&self, response: &Response<'_>, line: &Bytes) {
        let client = self.client.as_ref();
        let taken = client.map(|client| client.take_response(response, line));
        if let Some(Err(error)) = taken {
            tracing::debug!(error = %error.object, "a client gave no answer");
        }
    }

    fn request(&mut self, request: &Request<'_>, line: &Bytes) -> Result<(), RpcError> {
        let revision = self.revision(request)?;
        let exchange = self.begin(request, line, revision)?;
        if request.method == "initialize" && !revision.is_modern() {
            self.shake_hands(&request.params, line);
        }
        let out = self.out.clone();
        self.tasks.spawn(async move {
            if let Some(answer) = run(exchange, &out).await {
                let _ = out.send(answer).await;
            }
        });
        Ok(())
    }

    fn begin(
        &self,
        request: &Request<'_>,
        line: &Bytes,
        revision: Revision,
    ) -> Result<Exchange, RpcError> {
        let client = self.client.clone().filter(|_| !revision.is_modern());
        let peer = Peer {
            caller: Arc::clone(&self.caller),
            meta: RequestMeta::new(self.engine.next_request_id(), Transport::Stdio)
                .with_endpoint(self.engine.endpoint.clone()),
            revision,
            client,
            stopping: self.stopping.clone(),
            closing: self.closing.clone(),
        };
        self.engine
            .begin(request, line, peer, Some(&self.in_flight))
    }

    /// Which revision this request speaks: each says so itself, or relies on the handshake.
    fn revision(&self, request: &Request<'_>) -> Result<Revision, RpcError> {
        let meta = Meta::of(&request.params)?;
        if meta.get(key::PROTOCOL_VERSION).is_some() || request.method == "server/discover" {
            return modern_revision(&meta);
        }
        Ok(self
            .client
            .as_ref()
            .map_or(Revision::NEWEST_LEGACY, |client| client.revision))
    }

    fn shake_hands(&mut self, params: &Params<'_>, line: &Bytes) {
        let part = |name: &str| params.get(name).map(|raw| RawJson::within(line, raw));
        let asked = params.get_str("protocolVersion").unwrap_or_default();
        let client = Client::new(
            Arc::clone(&self.caller),
            Revision::negotiate(&asked),
            part("clientInfo").as_ref(),
            part("capabilities").as_ref(),
            Outbox::lines(self.out.clone()),
        );
        let client = client
            .at(self.engine.endpoint.clone())
            .over(Transport::Stdio);
        // A second handshake ends what began with the first.
        if let Some(before) = self
            .client
            .replace(self.engine.inner.clients.welcome(client))
        {
            before.end();
        }
    }

    async fn send(&mut self, message: RawJson) {
        // The writer is gone only when the client is, and a client that does not read while it asks
        // on is as good as gone: waiting for it would hide that it closes its end.
        let sent = tokio::time::timeout(UNREAD, self.out.send(message)).await;
        self.is_gone |= !matches!(sent, Ok(Ok(())));
    }
}

/// Runs an exchange to its end: sends its messages in their order, and gives the answer.
async fn run(exchange: Exchange, out: &mpsc::Sender<RawJson>) -> Option<RawJson> {
    let Exchange { mut work, messages } = exchange;
    let Some(mut messages) = messages else {
        return work.await.map(|answer| answer.message.into_raw());
    };
    let answer = loop {
        tokio::select! {
            biased;
            Some(message) = messages.recv() => drop(out.send(message).await),
            answer = &mut work => break answer,
        }
    };
    while let Ok(message) = messages.try_recv() {
        drop(out.send(message).await);
    }
    answer.map(|answer| answer.message.into_raw())
}

/// Writes one message a line. Line breaks between the tokens of a relayed payload become blanks;
/// inside of strings JSON has none.
async fn write_lines(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<RawJson>) {
    while let Some(message) = queue.recv().await {
        let mut line = message.as_bytes().to_vec();
        for byte in &mut line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Message(Bytes),
    TooLong,
}

/// Reads lines of bounded length; blank ones are skipped.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            too_long: false,
            limit,
        }
    }

    /// The next line; safe to cancel, what was read is kept.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                let line = self.take_line();
                return Ok(line);
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            if self.too_long || self.line.len() + part.len() > self.limit {
                self.too_long = true;
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some()
                && let Some(line) = self.take_line()
            {
                return Ok(Some(line));
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        if std::mem::take(&mut self.too_long) {
            return Some(Line::TooLong);
        }
        let line = std::mem::take(&mut self.line);
        let blank = line.iter().all(u8::is_ascii_whitespace);
        (!blank).then(|| Line::Message(line.into()))
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Gateway;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::EngineConfig;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_does_not_keep_the_end_from_coming() {
        let engine = Engine::new(Gateway::builder().build().unwrap(), EngineConfig::default());
        let ping = |id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n");
        let asked = (0..2000).map(ping).collect::<Vec<_>>().concat();
        let (_unread, near) = tokio::io::duplex(64);
        let stop = std::future::pending();
        serve_lines_until(&engine, LineConfig::default(), asked.as_bytes(), near, stop)
            .await
            .unwrap();
        // The same with a faulty line, which is answered before the next is read, and a signal.
        let faulty = "{\n".repeat(2000);
        let (_unread, near) = tokio::io::duplex(64);
        let (_open, reader) = tokio::io::duplex(1);
        let reader = tokio::io::AsyncReadExt::chain(faulty.as_bytes(), reader);
        let stop = tokio::time::sleep(Duration::from_secs(1));
        serve_lines_until(&engine, LineConfig::default(), reader, near, stop)
            .await
            .unwrap();
    }

    /// What a reader of bounded lines should give, by its definition.
    fn expected(text: &[u8], limit: usize) -> Vec<Line> {
        text.split(|byte| *byte == b'\n')
            .filter(|line| line.len() > limit || !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| {
                if line.len() > limit {
                    Line::TooLong
                } else {
                    Line::Message(Bytes::copy_from_slice(line))
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn lines_are_found_however_they_arrive(
            text in "[a \n]{0,60}", limit in 1_usize..8, chunk in 1_usize..9
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(async {
                let mut lines = Lines::new(text.as_bytes(), limit);
                lines.reader = BufReader::with_capacity(chunk, text.as_bytes());
                let mut found = Vec::new();
                while let Some(line) = lines.next().await.unwrap() {
                    found.push(line);
                }
                found
            });
            prop_assert_eq!(found, expected(text.as_bytes(), limit));
        }
    }
}
