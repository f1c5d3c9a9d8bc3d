//! What the fuzz targets of this repository call; for nobody else.
//!
//! A target fails by panicking: by an assertion that does not hold, or by itself.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::header::{HeaderName, HeaderValue};
use mcp_gw_core::{ParamHeader, RawJson, UnclearParam};
use tokio::io::{AsyncRead, ReadBuf};

use crate::http::sse::{Decoder, Event};
pub use crate::rest::fuzzing::{arguments, openapi};
use crate::stdio::lines::{Line, Lines};

/// Bytes that arrive in pieces, the sizes of which the first of them say.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    sizes: [usize; 4],
    next: usize,
}

impl<'a> Pieces<'a> {
    /// Takes the first four bytes for sizes, and the rest for what arrives.
    pub fn of(data: &'a [u8]) -> Self {
        let (sizes, rest) = data.split_at(data.len().min(4));
        let size = |place: usize| sizes.get(place).map_or(1, |byte| usize::from(*byte) + 1);
        Self {
            rest,
            sizes: [size(0), size(1), size(2), size(3)],
            next: 0,
        }
    }

    /// What is still to arrive.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next piece, no longer than `most`; `None` at the end.
    fn take(&mut self, most: usize) -> Option<&'a [u8]> {
        let size = self.sizes.get(self.next % 4).copied().unwrap_or(1);
        self.next += 1;
        let length = size.min(most).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(piece) = self.take(buffer.remaining()) {
            buffer.put_slice(piece);
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs work that waits for nothing.
///
/// # Panics
/// When it does wait.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        // A budget of polls may make ready work wait for its next turn.
        if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// What a decoder made of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    events: Vec<Event>,
    last_id: Option<Vec<u8>>,
    retry: Option<std::time::Duration>,
}

/// `None` when an event was too long.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Option<Decoded> {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece).ok()?;
        while let Some(event) = decoder.next_event() {
            events.push(event);
        }
    }
    Some(Decoded {
        events,
        last_id: decoder.last_event_id().map(<[u8]>::to_vec),
        retry: decoder.retry(),
    })
}

/// Server-sent events: it does not matter where the stream is cut, and what is held is bounded.
///
/// # Panics
/// When that is not so.
pub fn sse(data: &[u8]) {
    /// The decoder allows for the name of a field.
    const FIELD: usize = 16;
    let pieces = Pieces::of(data);
    let stream = pieces.rest();
    for limit in [8, 64, usize::MAX] {
        let whole = decode(std::iter::once(stream), limit);
        let mut pieces = pieces.clone();
        let cut = decode(std::iter::from_fn(|| pieces.take(usize::MAX)), limit);
        if let Some(cut) = cut {
            // Pieces are held, so more of them may be too long; what is not is the same.
            assert_eq!(Some(cut), whole, "limit {limit}");
        } else {
            assert_ne!(limit, usize::MAX, "nothing is too long");
        }
        for event in whole.iter().flat_map(|whole| &whole.events) {
            assert!(
                event.data.len() <= limit.saturating_add(FIELD),
                "limit {limit}"
            );
            assert!(!event.data.is_empty());
        }
    }
}

/// Lines of a child process: they are those of the text, and what is too long is so.
///
/// # Panics
/// When that is not so.
pub fn lines(data: &[u8]) {
    let pieces = Pieces::of(data);
    let text = pieces.rest();
    let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // The end of the last line is not the beginning of another one.
    if expected.last().is_some_and(|last| last.is_empty()) {
        expected.pop();
    }
    for limit in [1, 20, usize::MAX] {
        let mut lines = Lines::new(pieces.clone(), limit);
        let mut found = Vec::new();
        while let Ok(Some(line)) = at_once(lines.next_line()) {
            found.push(line);
        }
        assert_eq!(found.len(), expected.len(), "limit {limit}");
        for (line, expected) in found.iter().zip(&expected) {
            match line {
                Line::Whole(line) => {
                    let expected = expected.strip_suffix(b"\r").unwrap_or(expected);
                    assert_eq!(&**line, expected, "limit {limit}");
                    assert!(line.len() <= limit);
                }
                Line::TooLong { head, tail } => {
                    assert!(expected.len() > limit, "limit {limit}");
                    assert!(expected.starts_with(head.strip_suffix(b"\r").unwrap_or(head)));
                    assert!(head.len() + tail.len() < 1024);
                }
            }
        }
    }
}

/// The headers that a call of a tool has, for the arguments that its schema marks.
///
/// # Errors
/// When an argument is not clear.
pub fn param_headers(
    params: &[ParamHeader],
    arguments: &RawJson,
) -> Result<Vec<(HeaderName, HeaderValue)>, UnclearParam> {
    crate::mirror::headers(params, arguments)
}

/// A value as a header carries it.
pub fn encode_header(value: &str) -> Option<HeaderValue> {
    crate::mirror::encode(value)
}
