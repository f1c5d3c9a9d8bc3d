//! Requests of one peer that have not been answered, so that they can be cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The open requests of one session or connection, by the text of their id.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Box<[u8]>, CancellationToken>>>);

/// Why a request cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A request of this id is open already.
    Twice,
    /// There are too many.
    TooMany,
}

/// An open request; it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    table: InFlight,
    id: Box<[u8]>,
    token: CancellationToken,
}

impl InFlight {
    /// Opens a request, unless `limit` are open.
    pub(crate) fn open(&self, id: &[u8], limit: usize) -> Result<Open, Refusal> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.contains_key(id) {
            return Err(Refusal::Twice);
        }
        if table.len() >= limit {
            return Err(Refusal::TooMany);
        }
        let token = CancellationToken::new();
        table.insert(id.into(), token.clone());
        Ok(Open {
            table: self.clone(),
            id: id.into(),
            token,
        })
    }

    /// Cancels the request of this id, if it is open.
    pub(crate) fn cancel(&self, id: &[u8]) {
        if let Some(token) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
        {
            token.cancel();
        }
    }

    /// Cancels everything.
    pub(crate) fn cancel_all(&self) {
        for token in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            token.cancel();
        }
    }

    /// Number of open requests.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Open {
    /// Runs `work` until it ends or the request is cancelled: then `None`.
    pub(crate) async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => None,
            output = work => Some(output),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.table
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancelled_request_ends_without_output_and_is_forgotten() {
        let table = InFlight::default();
        let open = table.open(b"1", 2).unwrap();
        assert_eq!(table.open(b"1", 2).unwrap_err(), Refusal::Twice);
        let other = table.open(b"\"1\"", 2).unwrap();
        assert_eq!(table.open(b"2", 2).unwrap_err(), Refusal::TooMany);
        table.cancel(b"1");
        table.cancel(b"no such");
        assert_eq!(open.run(std::future::pending::<()>()).await, None);
        assert_eq!(other.run(async { 7 }).await, Some(7));
        assert_eq!(table.len(), 0);
    }
}
