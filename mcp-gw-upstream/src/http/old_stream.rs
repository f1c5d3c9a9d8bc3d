//! HTTP with SSE (MCP 2024-11-05): a stream that names where messages go, and has all answers.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{Method, StatusCode};
use mcp_gw_core::{BackendError, BackendEvent};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::desk::Desk;
use crate::http::exchange::{Media, media_type};
use crate::http::listen::{STREAM, take_all};
use crate::http::sse::Decoder;
use crate::http::wire::{Post, Wire, chain};
use crate::net::client::{Address, Response};

/// The longest address that a server may name, in bytes.
const LONGEST: usize = 8 * 1024;

/// What is to be read of the stream.
pub(super) struct Reader {
    response: Response,
    decoder: Decoder,
    desk: Arc<Desk>,
}

/// Opens the stream, and waits for the address that it begins with. `None` when the server has no
/// such stream.
///
/// # Errors
/// When it has one that cannot be used.
pub(super) async fn open(
    wire: &Arc<Wire>,
    desk: &Arc<Desk>,
) -> Result<Option<(Address, Reader)>, BackendError> {
    let settings = &wire.common.settings;
    let until = Instant::now() + settings.timeout;
    let late = || settings.unavailable("it did not say where messages go in time");
    let request = wire.request(Method::GET).header(ACCEPT, STREAM).send();
    let mut response = timeout(settings.timeout, request)
        .await
        .map_err(|_| late())?
        .map_err(|error| settings.unavailable(chain(&error)))?;
    if response.status() != StatusCode::OK || media_type(&response) != Media::EventStream {
        return Ok(None);
    }
    let mut decoder = Decoder::new(settings.max_message_bytes);
    let named = loop {
        if let Some(named) = decoder.endpoint() {
            break named.clone();
        }
        // The address comes before everything else.
        if decoder.next_event().is_some() {
            return Ok(None);
        }
        let chunk = timeout_at(until, response.chunk()).await;
        match chunk.map_err(|_| late())? {
            Ok(Some(chunk)) => decoder
                .push(&chunk)
                .map_err(|_| settings.protocol("what its stream begins with is too long"))?,
            Ok(None) => return Ok(None),
            Err(error) => return Err(settings.unavailable(chain(&error))),
        }
    };
    let endpoint = resolve(wire.url(), &named).map_err(|reason| settings.protocol(reason))?;
    let desk = Arc::clone(desk);
    let reader = Reader {
        response,
        decoder,
        desk,
    };
    Ok(Some((endpoint, reader)))
}

/// The address that the server names, which must be of the same origin: credentials go there.
fn resolve(base: &Url, named: &[u8]) -> Result<Address, &'static str> {
    if named.len() > LONGEST {
        return Err("the address for messages that it names is too long");
    }
    let named = std::str::from_utf8(named).map_err(|_| "the address for messages is not text")?;
    let mut url = base
        .join(named.trim())
        .map_err(|_| "the address for messages that it names is none")?;
    if url.origin() != base.origin() || !matches!(url.scheme(), "http" | "https") {
        return Err("the address for messages that it names is of another origin");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address for messages that it names has credentials in it");
    }
    url.set_fragment(None);
    Address::of(&url).ok_or("the address for messages that it names cannot be requested")
}

impl Reader {
    /// Reads until the stream ends, which is the end of the session.
    pub(super) async fn run(mut self, post: Post) {
        let reason = loop {
            while let Some(event) = self.decoder.next_event() {
                take_all(&post, &self.desk, &event.data);
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) if self.decoder.push(&chunk).is_ok() => {}
                Ok(Some(_)) => break "a message on its stream is longer than allowed".to_owned(),
                Ok(None) => break "it has ended its stream".to_owned(),
                Err(error) => break chain(&error),
            }
        };
        self.desk.pending.close(&reason);
        if self.desk.owner.is_none() {
            post.wire.common.events.emit(BackendEvent::Down { reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_same_origin_and_nowhere_else() {
        let base = Url::parse("https://up.example:8443/a/sse?key=1").unwrap();
        let url =
            |named: &str| resolve(&base, named.as_bytes()).map(|address| address.uri().to_string());
        for (named, expected) in [
            (
                "/messages?session=1",
                "https://up.example:8443/messages?session=1",
            ),
            ("messages", "https://up.example:8443/a/messages"),
            ("?s=1", "https://up.example:8443/a/sse?s=1"),
            (
                " https://up.example:8443/x#y\n",
                "https://up.example:8443/x",
            ),
        ] {
            assert_eq!(url(named).as_deref(), Ok(expected));
        }
        for named in [
            "https://up.example/x",
            "http://up.example:8443/x",
            "//evil.example/x",
            "https://evil.example:8443/x",
            "https://up.example:8443@evil.example/x",
            "https://me:pw@up.example:8443/x",
            "file:///etc/passwd",
            "\\\\evil.example\\x",
            "https://[",
        ] {
            assert!(url(named).is_err(), "{named}");
        }
        assert!(resolve(&base, &[0xff]).is_err());
        assert!(resolve(&base, "x".repeat(LONGEST + 1).as_bytes()).is_err());
    }
}
