//! Pages of lists, whichever API they come from.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use mcp_gw_core::RawJson;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{Done, Error, ErrorKind};

/// More pages are not read: an API that never comes to an end is broken.
const MOST_PAGES: u32 = 10_000;

/// A list of fewer items in its first page has no more, though nobody counts them.
const SMALLEST_PAGE: u64 = 10;

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

impl<M> Page<M> {
    /// A page that is all there is.
    #[cfg(feature = "tools")]
    pub(crate) fn of(items: Vec<M>) -> Self {
        Self {
            total: u64::try_from(items.len()).ok(),
            items,
            mark: 0,
        }
    }
}

/// All pages of `size` items, one after the other, from page `first` on, as `read` gets them. Ends when all that the API
/// counts were seen; when it does not count, with a page that is not as full as the first. After an error there is nothing
/// more.
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
    let begin = Walk {
        number: first,
        seen: before,
        full: u64::from(size),
        last: None,
        marks: HashSet::new(),
    };
    stream::try_unfold((Some(begin), read), move |(at, read)| async move {
        let Some(mut walk) = at else {
            return Ok(None);
        };
        let is_first = walk.number == first;
        if walk.number.saturating_sub(first) >= MOST_PAGES {
            return Err(endless());
        }
        let coming = read(walk.number);
        let page = coming.await?;
        let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        if !walk.marks.insert(page.mark) && count > 0 {
            // Nobody counts, and the page was no full one: that there are no pages here is no error.
            if page.total.is_none() && count < u64::from(size) && walk.last == Some(page.mark) {
                return Ok(None);
            }
            return Err(repeated(walk.number, walk.last == Some(page.mark)));
        }
        walk.seen = walk.seen.saturating_add(count);
        let is_last = match page.total {
            Some(total) => count == 0 || walk.seen >= total,
            // The API may give less than it was asked for: the next page shows whether that was all.
            None if is_first => count < walk.full.min(SMALLEST_PAGE),
            None => count < walk.full,
        };
        if is_first {
            walk.full = walk.full.min(count);
        }
        walk.number = walk.number.saturating_add(1);
        walk.last = Some(page.mark);
        Ok(Some((page, ((!is_last).then_some(walk), read))))
    })
}

/// How far pages were read.
struct Walk {
    number: u32,
    seen: u64,
    /// How many items a page has that is not the last.
    full: u64,
    last: Option<u64>,
    marks: HashSet<u64>,
}

/// All pages, one after the other, each of which says where the next begins. After an error there is nothing more.
pub(crate) fn cursored<M, R, F>(
    first: Option<String>,
    read: R,
) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M, R, F>
where
    M: Send + 'static,
    R: Fn(Option<String>) -> F + Send + 'static,
    F: Future<Output = Result<(Page<M>, Option<String>), Error>> + Send + 'static,
{
    let begin = (first, HashSet::new(), 0);
    stream::try_unfold((Some(begin), read), move |(at, read)| async move {
        let Some((at, mut seen, number)) = at else {
            return Ok(None);
        };
        if number >= MOST_PAGES {
            return Err(endless());
        }
        let coming = read(at);
        let (page, next) = coming.await?;
        if let Some(next) = &next
            && !seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(next))
        {
            let message = format!(
                "page {} of the list leads back to one before it",
                number + 1
            );
            return Err(Error::new(ErrorKind::Invalid, message, Done::No));
        }
        Ok(Some((
            page,
            (next.map(|next| (Some(next), seen, number + 1)), read),
        )))
    })
}

/// The value of a parameter in a URI or path.
pub(crate) fn parameter(uri: &str, name: &str) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let query = query.split('#').next()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
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

/// `{"list": […], "total": n}`.
pub(crate) fn page<M: DeserializeOwned>(body: &RawJson) -> Result<Page<M>, Error> {
    let total = body
        .member("total")
        .map_err(|error| odd("a list", &error.message))?;
    listed(body, "list", total)
}

/// `{"data": […], "meta": {"page": {"total": n}}}`.
pub(crate) fn data<M: DeserializeOwned>(body: &RawJson) -> Result<Page<M>, Error> {
    let within = |of: &RawJson, name: &str| of.member(name).ok().flatten();
    let meta = within(body, "meta").and_then(|meta| within(&meta, "page"));
    let total = meta.and_then(|page| within(&page, "total"));
    listed(body, "data", total)
}

/// Where the next page begins, in a list that names its address (`meta.page.next`).
pub(crate) fn after(body: &RawJson) -> Option<String> {
    let within = |of: &RawJson, name: &str| of.member(name).ok().flatten();
    let next = within(&within(&within(body, "meta")?, "page")?, "next")?;
    parameter(&next.decode_owned::<String>().ok()?, "page[after]")
}

/// The list under a name. An empty one may be `null`, as Go writes it, or `{}`: Lua knows no difference.
pub(crate) fn listed<M: DeserializeOwned>(
    body: &RawJson,
    name: &str,
    total: Option<RawJson>,
) -> Result<Page<M>, Error> {
    let fault = |error: mcp_gw_core::JsonError| odd("a list", &error.message);
    let list = body.member(name).map_err(fault)?;
    let list = list.ok_or_else(|| odd("a list", &format!("`{name}` is missing")))?;
    let is_empty = list.is_object() && list.members().is_ok_and(|members| members.is_empty());
    let items = if is_empty || list.is_null() {
        Vec::new()
    } else {
        list.decode_owned().map_err(fault)?
    };
    let total = total.filter(|total| !total.is_null());
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

fn repeated(number: u32, is_last: bool) -> Error {
    let which = if is_last {
        "the one before it again"
    } else {
        "one that came before"
    };
    let message = format!("page {number} of the list is {which}: `page` is not looked at");
    Error::new(ErrorKind::Invalid, message, Done::No)
}

fn endless() -> Error {
    let message = format!("the list does not end after {MOST_PAGES} pages");
    Error::new(ErrorKind::Invalid, message, Done::No)
}
