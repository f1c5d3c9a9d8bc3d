//! Pages of lists, whichever API they come from.

use std::future::Future;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use mcp_gw_core::RawJson;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{Done, Error, ErrorKind};

/// More pages are not read: an API that never comes to an end is broken.
const MOST_PAGES: u32 = 10_000;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<M> {
    /// Its items.
    pub items: Vec<M>,
    /// How many items all pages have together, when the API says so.
    pub total: Option<u64>,
    /// Differs between lists that differ.
    pub(crate) mark: u64,
}

/// All pages of `size` items, one after the other, from page `first` on, as `read` gets them. Ends when all that the API
/// counts were seen, or with a page that is not full. After an error there is nothing more.
pub(crate) fn pages<M, R, F>(
    first: u32,
    size: u32,
    read: R,
) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M, R, F>
where
    M: Send + 'static,
    R: Fn(u32) -> F + Send + 'static,
    F: Future<Output = Result<Page<M>, Error>> + Send + 'static,
{
    let before = u64::from(first.saturating_sub(1)) * u64::from(size);
    stream::try_unfold(
        (Some((first, before, None)), read),
        move |(at, read)| async move {
            let Some((number, seen, last)) = at else {
                return Ok(None);
            };
            if number.saturating_sub(first) >= MOST_PAGES {
                return Err(endless());
            }
            let coming = read(number);
            let page = coming.await?;
            if last == Some(page.mark) && !page.items.is_empty() {
                return Err(repeated(number));
            }
            let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            let seen = seen.saturating_add(count);
            let is_last = match page.total {
                Some(total) => count == 0 || seen >= total,
                None => count < u64::from(size),
            };
            let next = (!is_last).then(|| (number.saturating_add(1), seen, Some(page.mark)));
            Ok(Some((page, (next, read))))
        },
    )
}

/// The items of all pages.
pub(crate) fn items<M: Send + 'static, S>(
    pages: S,
) -> impl Stream<Item = Result<M, Error>> + Send + use<M, S>
where
    S: Stream<Item = Result<Page<M>, Error>> + Send,
{
    pages
        .map_ok(|page| stream::iter(page.items).map(Ok))
        .try_flatten()
}

/// `{"list": […], "total": n}`. An empty list may be `null`, as Go writes it, or `{}`: Lua knows no difference.
pub(crate) fn page<M: DeserializeOwned>(body: &RawJson) -> Result<Page<M>, Error> {
    let fault = |error: mcp_gw_core::JsonError| odd("a list", &error.message);
    let list = body.member("list").map_err(fault)?;
    let list = list.ok_or_else(|| odd("a list", "`list` is missing"))?;
    let is_empty = list.is_object() && list.members().is_ok_and(|members| members.is_empty());
    let items = if is_empty || list.is_null() {
        Vec::new()
    } else {
        list.decode_owned().map_err(fault)?
    };
    let total = body.member("total").map_err(fault)?;
    let total: Option<RawJson> = total.filter(|total| !total.is_null());
    Ok(Page {
        mark: BuildHasherDefault::<DefaultHasher>::default().hash_one(list.as_bytes()),
        items,
        total: total.and_then(|total| total.decode_owned().ok()),
    })
}

/// A body as JSON.
pub(crate) fn written<B: Serialize + ?Sized>(body: &B) -> Result<RawJson, Error> {
    RawJson::from_serialize(body).map_err(|error| {
        let message = format!("the body cannot be written: {}", error.message);
        Error::new(ErrorKind::Request, message, Done::No).with_source(error)
    })
}

/// The error for an answer that looks like nothing that is known.
pub(crate) fn odd(what: &str, detail: &str) -> Error {
    let message = format!("the answer is not {what}: {detail}");
    Error::new(ErrorKind::NotJson, message, Done::No)
}

fn repeated(number: u32) -> Error {
    let message =
        format!("page {number} of the list is the one before it again: `page` is not looked at");
    Error::new(ErrorKind::Invalid, message, Done::No)
}

fn endless() -> Error {
    let message = format!("the list does not end after {MOST_PAGES} pages");
    Error::new(ErrorKind::Invalid, message, Done::No)
}
