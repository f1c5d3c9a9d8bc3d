//! Server-sent events (WHATWG HTML, "Interpreting an event stream"), decoded as they arrive.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

/// An event is longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A message event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its own id, when it has one.
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) data: Bytes,
}

/// Takes the bytes of a stream, however they are cut, and gives the data of its message events.
///
/// At most one line and the data of one event are held, and both together are bounded.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit: usize,
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// True while the event has no name or the name `message`.
    is_message: bool,
    skip_lf: bool,
    started: bool,
    id: Option<Vec<u8>>,
    last_id: Option<Vec<u8>>,
    retry: Option<Duration>,
    ready: VecDeque<Event>,
}

impl Decoder {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: None,
            is_message: true,
            skip_lf: false,
            started: false,
            id: None,
            last_id: None,
            retry: None,
            ready: VecDeque::new(),
        }
    }

    /// The next event that is complete.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// The id of the last event that was complete: where a stream can be taken up again.
    pub(crate) fn last_event_id(&self) -> Option<&[u8]> {
        self.last_id.as_deref()
    }

    /// How long the server wants to be left alone before the next connection.
    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, mut chunk: &[u8]) -> Result<(), TooLong> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.skip_lf)
                && let Some(rest) = chunk.strip_prefix(b"\n")
            {
                chunk = rest;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', chunk) else {
                self.hold(chunk)?;
                return Ok(());
            };
            let (head, rest) = chunk.split_at(end);
            self.skip_lf = rest.first() == Some(&b'\r');
            chunk = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.take_line(head)?;
            } else {
                self.hold(head)?;
                let line = std::mem::take(&mut self.line);
                self.take_line(&line)?;
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    /// Keeps the beginning of a line whose end is still to come.
    fn hold(&mut self, part: &[u8]) -> Result<(), TooLong> {
        // A comment is of no use to anybody, however long it gets.
        if self.line.first() == Some(&b':') {
            return Ok(());
        }
        self.check(self.line.len() + part.len())?;
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// `FIELD` allows for the name of the field before the data.
    fn check(&self, more: usize) -> Result<(), TooLong> {
        const FIELD: usize = 16;
        let held = self.data.as_ref().map_or(0, Vec::len);
        if held.saturating_add(more) > self.limit.saturating_add(FIELD) {
            return Err(TooLong);
        }
        Ok(())
    }

    fn take_line(&mut self, mut line: &[u8]) -> Result<(), TooLong> {
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event();
            return Ok(());
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, rest) = line.split_at(colon);
                let value = rest.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                self.check(value.len())?;
                match &mut self.data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => self.data = Some(value.to_vec()),
                }
            }
            b"event" => self.is_message = value.is_empty() || value == b"message",
            b"id" if !value.contains(&0) && value.len() <= 1024 => self.id = Some(value.to_vec()),
            b"retry" => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                if let Ok(millis) = text.parse() {
                    self.retry = Some(Duration::from_millis(millis));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self) {
        let id = self.id.take();
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = self.data.take().unwrap_or_default();
        if std::mem::replace(&mut self.is_message, true) && !data.is_empty() {
            let data = data.into();
            self.ready.push_back(Event { id, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(parts: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(1024);
        let mut out = Vec::new();
        for part in parts {
            decoder.push(part).unwrap();
            while let Some(event) = decoder.next_event() {
                out.push(String::from_utf8(event.data.to_vec()).unwrap());
            }
        }
        out
    }

    #[test]
    fn events_are_told_apart_with_any_line_end() {
        let stream = "\u{feff}: hello\ndata: one\n\ndata:two\r\ndata: lines\r\n\r\n\
                      event: other\rdata: no\r\rid: 7\rdata: three\r\rdata\n\ndata: cut off";
        assert_eq!(decode(&[stream.as_bytes()]), ["one", "two\nlines", "three"]);
    }

    #[test]
    fn id_and_retry_are_kept() {
        let mut decoder = Decoder::new(64);
        decoder
            .push(b"id: a\nretry: 1500\ndata:\n\nid: b\n")
            .unwrap();
        assert_eq!(decoder.last_event_id(), Some(&b"a"[..]));
        assert_eq!(decoder.retry(), Some(Duration::from_millis(1500)));
        assert!(decoder.next_event().is_none());
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut endless_line = Decoder::new(100);
        let mut many_lines = Decoder::new(100);
        let mut comment = Decoder::new(100);
        comment.push(b":").unwrap();
        let (mut line_fails, mut lines_fail) = (false, false);
        for _ in 0..100 {
            line_fails |= endless_line.push(b"data data ").is_err();
            lines_fail |= many_lines.push(b"data: xxxxxxxxxx\n").is_err();
            comment.push(b"comment ").unwrap();
        }
        assert!(line_fails && lines_fail);
        assert!(comment.line.len() <= 1);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            lines in prop::collection::vec(
                ("(data: ?[a-zé漢😀]{0,6}|: ?c|id: 1|event: message||)", "(\n|\r|\r\n)"), 0..24),
            cuts in prop::collection::vec(0usize..400, 0..12),
        ) {
            let text: String = lines.into_iter().map(|(line, end)| line + &end).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts {
                parts.push(&bytes[from..cut]);
                from = cut;
            }
            parts.push(&bytes[from..]);
            prop_assert_eq!(decode(&parts), decode(&[bytes]));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let mut decoder = Decoder::new(64);
            let _ = decoder.push(&bytes);
        }
    }
}
