//! A body that is there already, in pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Pieces that follow each other. All are ready at once, so that a connection can send them in one go.
pub(crate) struct Pieces {
    left: IntoIter<Bytes>,
    /// Of what is left, in bytes.
    length: u64,
}

impl Pieces {
    pub(crate) fn of(pieces: Vec<Bytes>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self {
            left: pieces.into_iter(),
            length,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.find(|piece| !piece.is_empty());
        if let Some(piece) = &next {
            self.length -= piece.len() as u64;
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_their_order_and_say_how_much_is_left() {
        let pieces = ["", "a", "", "bc", ""].map(|piece| Bytes::from_static(piece.as_bytes()));
        let mut body = Pieces::of(pieces.to_vec());
        let mut seen = Vec::new();
        while !body.is_end_stream() {
            let left = body.size_hint().exact();
            let frame = body.frame().await.unwrap().unwrap();
            seen.push((left, frame.into_data().unwrap()));
        }
        let expected = [(Some(3), "a"), (Some(2), "bc")];
        assert_eq!(
            seen,
            expected.map(|(left, piece)| (left, Bytes::from(piece)))
        );
        assert!(body.frame().await.is_none());
        assert!(Pieces::of(Vec::new()).is_end_stream());
    }
}
