//! Requests of one peer that have not been answered, so that they can be cancelled.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::jsonrpc::Params;
use mcp_gw_core::{CancelReason, RawJson};
use tokio_util::sync::CancellationToken;

/// The open requests of one session or connection, by the text of their id.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Box<[u8]>, Way>>>);

/// How an open request is ended before its time.
#[derive(Debug, Clone, Default)]
struct Way {
    token: CancellationToken,
    /// Set before the token is cancelled.
    reason: CancelReason,
}

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
    way: Way,
}

impl InFlight {
    /// Opens a request, unless `limit` are open.
    pub(crate) fn open(&self, id: &[u8], limit: usize) -> Result<Open, Refusal> {
        let id = key(id);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.contains_key(&*id) {
            return Err(Refusal::Twice);
        }
        if table.len() >= limit {
            return Err(Refusal::TooMany);
        }
        let way = Way::default();
        table.insert(Box::from(&*id), way.clone());
        Ok(Open {
            table: self.clone(),
            id: Box::from(&*id),
            way,
        })
    }

    /// Cancels the request that the params of `notifications/cancelled` name, if it is open.
    pub(crate) fn cancel(&self, params: &Params<'_>) {
        let Some(id) = params.get("requestId") else {
            return;
        };
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let way = table.get(&*key(id.get().as_bytes()));
        if let Some(way) = way.filter(|way| !way.token.is_cancelled()) {
            if let Some(reason) = CancelReason::read(params) {
                way.reason.set(reason);
            }
            way.token.cancel();
        }
    }

    /// Cancels everything.
    pub(crate) fn cancel_all(&self) {
        for way in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            way.token.cancel();
        }
    }

    /// Number of open requests.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Ids are the same when they say the same, however they are written: `"a"` and `"\u0061"`.
fn key(id: &[u8]) -> Cow<'_, [u8]> {
    if id == b"-0" {
        return Cow::Borrowed(b"0");
    }
    if memchr::memchr(b'\\', id).is_none() {
        return Cow::Borrowed(id);
    }
    // What is not Unicode has no other spelling that matters.
    serde_json::from_slice::<String>(id).map_or(Cow::Borrowed(id), |text| {
        Cow::Owned(RawJson::string(&text).as_bytes().to_vec())
    })
}

impl Open {
    /// Where the client's reason will be, should it cancel the request and give one.
    pub(crate) fn reason(&self) -> CancelReason {
        self.way.reason.clone()
    }

    /// Runs `work` until it ends or the request is cancelled: then `None`.
    pub(crate) async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.way.token.cancelled() => None,
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
    use mcp_gw_core::jsonrpc::Message;

    use super::*;

    /// Cancels what the params say, the text of an object.
    fn cancel(table: &InFlight, params: &str) {
        let method = "notifications/cancelled";
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        match Message::parse(text.as_bytes()) {
            Ok(Message::Notification(cancelled)) => table.cancel(&cancelled.params),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_reason_is_there_before_the_work_is_dropped() {
        struct Looks(CancelReason, Arc<Mutex<Option<RawJson>>>);
        impl Drop for Looks {
            fn drop(&mut self) {
                *self.1.lock().unwrap() = self.0.get();
            }
        }
        for (reason, seen) in [
            (
                r#","reason":"user \u0061bort""#,
                Some(r#""user \u0061bort""#),
            ),
            (r#","reason":7"#, None),
            ("", None),
        ] {
            let (table, found) = (InFlight::default(), Arc::default());
            let open = table.open(b"1", 2).unwrap();
            let looks = Looks(open.reason(), Arc::clone(&found));
            let work = async move {
                let _looks = looks;
                std::future::pending::<()>().await;
            };
            cancel(&table, &format!(r#"{{"requestId":1{reason}}}"#));
            // What comes later changes nothing.
            cancel(&table, r#"{"requestId":1,"reason":"late"}"#);
            let first = open.reason();
            assert_eq!(open.run(work).await, None);
            let found = found.lock().unwrap().clone();
            assert_eq!(found.as_ref().map(RawJson::as_str), seen);
            assert_eq!(first.get(), found);
        }
    }

    #[tokio::test]
    async fn a_cancelled_request_ends_without_output_and_is_forgotten() {
        let table = InFlight::default();
        let open = table.open(b"1", 2).unwrap();
        assert_eq!(table.open(b"1", 2).unwrap_err(), Refusal::Twice);
        let other = table.open(b"\"1\"", 2).unwrap();
        assert_eq!(table.open(b"2", 2).unwrap_err(), Refusal::TooMany);
        cancel(&table, r#"{"requestId":1}"#);
        cancel(&table, r#"{"requestId":"no such"}"#);
        cancel(&table, "{}");
        assert_eq!(open.run(std::future::pending::<()>()).await, None);
        assert_eq!(other.run(async { 7 }).await, Some(7));
        assert_eq!(table.len(), 0);
    }

    #[tokio::test]
    async fn an_id_is_the_same_however_it_is_written() {
        let table = InFlight::default();
        for (one, other) in [
            (&br#""a""#[..], &br#""\u0061""#[..]),
            (br#""a\/\n""#, br#""a/\u000a""#),
            (b"0", b"-0"),
        ] {
            for (first, second) in [(one, other), (other, one)] {
                let open = table.open(first, 9).unwrap();
                assert_eq!(table.open(second, 9).unwrap_err(), Refusal::Twice);
                let second = std::str::from_utf8(second).unwrap();
                cancel(&table, &format!(r#"{{"requestId":{second}}}"#));
                assert_eq!(open.run(std::future::pending::<()>()).await, None);
                assert_eq!(table.len(), 0);
            }
        }
        let text = table.open(br#""1""#, 9).unwrap();
        let number = table.open(b"1", 9).unwrap();
        assert_eq!(table.len(), 2);
        drop((text, number));
    }
}
