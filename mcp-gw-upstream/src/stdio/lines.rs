//! Lines of a stream, none held longer than allowed.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Bytes),
    /// It was longer than allowed; these are its beginning and its end.
    TooLong {
        head: Vec<u8>,
        tail: Vec<u8>,
    },
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// So many bytes of the buffer are known to hold no line end.
    scanned: usize,
    limit: usize,
}

const CHUNK: usize = 16 * 1024;
const HEAD: usize = 512;
const TAIL: usize = 64;

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            scanned: 0,
            limit,
        }
    }

    /// The next line; `None` at the end of the stream. The last line needs no end.
    pub(crate) async fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let mut line = self.buffer.split_to(self.scanned + at + 1);
                line.truncate(self.scanned + at);
                self.scanned = 0;
                return Ok(Some(self.finish(line)));
            }
            self.scanned = self.buffer.len();
            if self.scanned > self.limit {
                return self.skip().await.map(Some);
            }
            self.buffer.reserve(CHUNK);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                self.scanned = 0;
                let rest = self.buffer.split();
                return Ok((!rest.is_empty()).then(|| self.finish(rest)));
            }
        }
    }

    fn finish(&self, mut line: BytesMut) -> Line {
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.limit {
            let mut tail = Vec::new();
            keep_end(&mut tail, &line);
            let head = line.get(..HEAD).unwrap_or(&line).to_vec();
            return Line::TooLong { head, tail };
        }
        Line::Whole(line.freeze())
    }

    /// Reads to the end of a line that is too long, keeping next to nothing of it.
    async fn skip(&mut self) -> io::Result<Line> {
        let mut part = self.buffer.split();
        self.scanned = 0;
        let head = part.get(..HEAD).unwrap_or(&part).to_vec();
        let mut tail = Vec::new();
        loop {
            if let Some(at) = memchr::memchr(b'\n', &part) {
                let line = part.split_to(at);
                keep_end(&mut tail, &line);
                self.buffer = part.split_off(1);
                return Ok(Line::TooLong { head, tail });
            }
            keep_end(&mut tail, &part);
            part.clear();
            part.reserve(CHUNK);
            if self.reader.read_buf(&mut part).await? == 0 {
                return Ok(Line::TooLong { head, tail });
            }
        }
    }
}

fn keep_end(tail: &mut Vec<u8>, part: &[u8]) {
    let from = part.len().saturating_sub(TAIL);
    tail.extend_from_slice(part.get(from..).unwrap_or_default());
    let extra = tail.len().saturating_sub(TAIL);
    tail.drain(..extra);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(text: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, limit);
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            out.push(line);
        }
        out
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let long = format!("{{\"id\":7{}END", "x".repeat(100_000));
        let text = format!("one\r\n{long}\ntwo\n\nlast");
        let lines = read(text.as_bytes(), 100).await;
        assert_eq!(lines[0], whole("one"));
        let Line::TooLong { head, tail } = &lines[1] else {
            panic!("{:?}", lines[1])
        };
        assert!(head.starts_with(b"{\"id\":7") && head.len() == HEAD);
        assert!(tail.ends_with(b"END") && tail.len() == TAIL);
        assert_eq!(lines[2..], [whole("two"), whole(""), whole("last")]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(parts in prop::collection::vec("[a-z]{0,40}", 0..20)) {
            let text = parts.join("\n");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines = runtime.block_on(read(text.as_bytes(), 20));
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines.len(), expected.len());
            for (line, expected) in lines.iter().zip(expected) {
                match line {
                    Line::Whole(line) => prop_assert_eq!(&line[..], expected.as_bytes()),
                    Line::TooLong { .. } => prop_assert!(expected.len() > 20),
                }
            }
        }
    }
}
