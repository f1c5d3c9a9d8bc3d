//! Handles: the entities of one kind at one place.

use std::fmt;
use std::marker::PhantomData;

use futures_util::Stream;
use mcp_gw_core::RawJson;
use serde::de::DeserializeOwned;

use crate::http::{Error, Transport};
use crate::kong::kind::{Kind, Place};
use crate::kong::list::ListParams;
use crate::paging::{self, Page, odd};

/// How many entities a page has when pages are read one after the other and nobody said.
const PAGE_SIZE: u32 = 1000;

/// The entities of one kind at one place. A clone is cheap.
pub struct Entities<M> {
    transport: Transport,
    place: Place,
    kind: Kind,
    model: PhantomData<fn() -> M>,
}

impl<M> Clone for Entities<M> {
    fn clone(&self) -> Self {
        Self::new(self.transport.clone(), self.place.clone(), self.kind)
    }
}

impl<M> fmt::Debug for Entities<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entities")
            .field("kind", &self.kind)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<M> Entities<M> {
    pub(crate) const fn new(transport: Transport, place: Place, kind: Kind) -> Self {
        Self {
            transport,
            place,
            kind,
            model: PhantomData,
        }
    }

    /// Those that belong to one entity: the routes of a service, the plugins of a route …
    #[must_use]
    pub fn of(&self, kind: Kind, id: &str) -> Self {
        let place = self.place.clone().within(kind, id);
        Self::new(self.transport.clone(), place, self.kind)
    }
}

impl<M: DeserializeOwned + Send + 'static> Entities<M> {
    /// Reads one.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn get(&self, id: &str) -> Result<M, Error> {
        let answer = self.transport.send(self.kind.get(&self.place, id)?).await?;
        let body = answer.body.ok_or_else(|| odd("an entity", "it is empty"))?;
        // A consumer group comes in an envelope, with its consumers beside it.
        let inner = body.member(self.kind.as_str()).ok().flatten();
        let inner = inner.filter(|inner| self.kind == Kind::ConsumerGroup && inner.is_object());
        inner
            .unwrap_or(body)
            .decode_owned()
            .map_err(|error| odd("what this kind looks like", &error.message))
    }

    /// Reads one page, and where the next begins.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, params: &ListParams) -> Result<(Page<M>, Option<String>), Error> {
        let request = self.kind.list(&self.place, params)?;
        let answer = self.transport.send(request).await?;
        let body = answer.body.ok_or_else(|| odd("a list", "it is empty"))?;
        let next = offset(&body);
        Ok((paging::data(&body)?, next))
    }

    /// All pages, one after the other, from `params.offset` on. After an error there is nothing more.
    pub fn pages(
        &self,
        params: ListParams,
    ) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M> {
        let size = params.size.unwrap_or(PAGE_SIZE);
        let first = params.offset.clone();
        let params = params.with_size(size);
        let api = self.clone();
        paging::cursored(first, move |offset| {
            let (api, mut params) = (api.clone(), params.clone());
            params.offset = offset;
            async move { api.list(&params).await }
        })
    }

    /// All entities of all pages.
    pub fn items(
        &self,
        params: ListParams,
    ) -> impl Stream<Item = Result<M, Error>> + Send + use<M> {
        paging::items(self.pages(params))
    }
}

/// Where the next page begins: `offset`, or what `next` asks for; nothing on the last page.
fn offset(body: &RawJson) -> Option<String> {
    let said = |name: &str| {
        let text: Option<String> = body.member(name).ok()??.decode_owned().ok()?;
        text.filter(|text| !text.is_empty())
    };
    said("offset").or_else(|| paging::parameter(&said("next")?, "offset"))
}
