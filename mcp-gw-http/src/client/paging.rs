//! Lists that are longer than one page.

use std::collections::VecDeque;

use futures_util::Stream;
use futures_util::stream;
use mcp_gw_admin_client::http::{Done, ErrorKind};

use super::asked::PageQuery;
use super::error::ClientError;
use super::told::Page;

/// How far one is.
struct State<T> {
    here: VecDeque<T>,
    next: Option<PageQuery>,
}

/// All items, page by page as they are taken.
pub(super) fn items<T, F, R>(fetch: F) -> impl Stream<Item = Result<T, ClientError>>
where
    F: Fn(PageQuery) -> R,
    R: Future<Output = Result<Page<T>, ClientError>>,
{
    let first = State {
        here: VecDeque::new(),
        next: Some(PageQuery::first(1000)),
    };
    let fetch = std::sync::Arc::new(fetch);
    stream::try_unfold(first, move |mut state| {
        let fetch = std::sync::Arc::clone(&fetch);
        async move {
            loop {
                if let Some(item) = state.here.pop_front() {
                    return Ok(Some((item, state)));
                }
                let Some(query) = state.next.take() else {
                    return Ok(None);
                };
                let before = query.cursor.clone();
                let page = fetch(query).await?;
                if page.next_cursor.is_some() && page.next_cursor == before {
                    let message = "the list does not end: its next page is the same";
                    return Err(ClientError::new(ErrorKind::NotJson, message, Done::No));
                }
                state.here = page.items.into();
                state.next = page.next_cursor.map(|cursor| PageQuery {
                    cursor: Some(cursor),
                    ..PageQuery::first(1000)
                });
            }
        }
    })
}
