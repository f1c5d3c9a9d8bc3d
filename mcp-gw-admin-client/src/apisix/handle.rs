//! Handles: the resources of one kind at one place.

use std::fmt;
use std::marker::PhantomData;

use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::apisix::client::Client;
use crate::apisix::kind::Place;
use crate::apisix::list::ListParams;
use crate::apisix::model::Model;
use crate::http::{Answer, Error};
use crate::paging::{self, Page, odd, written};

/// How many items a page has when pages are read one after the other and nobody said.
const PAGE_SIZE: u32 = 100;

/// The smallest and the greatest page that APISIX answers with.
const SIZES: (u32, u32) = (10, 500);

/// The resources of one kind at one place. A clone is cheap.
pub struct Api<M> {
    client: Client,
    place: Place,
    model: PhantomData<fn() -> M>,
}

/// A resource as APISIX stores it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound = "M: Model")]
#[non_exhaustive]
pub struct Stored<M> {
    /// Where it is stored: `/apisix/routes/1`.
    #[serde(default)]
    pub key: Option<String>,
    /// The resource.
    pub value: M,
    /// The revision of the store in which it was made.
    #[serde(default, rename = "createdIndex")]
    pub created_index: Option<u64>,
    /// The revision of the store in which it was last changed.
    #[serde(default, rename = "modifiedIndex")]
    pub modified_index: Option<u64>,
}

impl<M> Clone for Api<M> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.place.clone())
    }
}

impl<M> fmt::Debug for Api<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<M> Api<M> {
    pub(crate) const fn new(client: Client, place: Place) -> Self {
        Self {
            client,
            place,
            model: PhantomData,
        }
    }
}

impl<M: Model> Api<M> {
    /// Reads one.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn get(&self, id: &str) -> Result<Stored<M>, Error> {
        let request = M::KIND.get(&self.place, id)?;
        one(&self.client.raw(request).await?)
    }

    /// Reads one page; everything when `params` does not name a page and its size.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, params: &ListParams) -> Result<Page<Stored<M>>, Error> {
        let request = M::KIND.list(&self.place, params)?;
        page(&self.client.raw(request).await?)
    }

    /// All pages, one after the other, from `params.page` on. A size out of what APISIX takes (10 to 500) is brought there.
    /// Ends when all that the API counts were seen, or, when it does not count, with a page that is not
    /// as full as the first. After an error there is nothing more.
    pub fn pages(
        &self,
        params: ListParams,
    ) -> impl Stream<Item = Result<Page<Stored<M>>, Error>> + Send + use<M> {
        let size = params.page_size.unwrap_or(PAGE_SIZE);
        let size = size.clamp(SIZES.0, SIZES.1);
        let first = params.page.unwrap_or(1).max(1);
        let params = params.with_page_size(size);
        let api = self.clone();
        paging::pages(first, size, move |number| {
            let (api, params) = (api.clone(), params.clone().with_page(number));
            async move { api.list(&params).await }
        })
    }

    /// All items of all pages, as [`Api::pages`] reads them.
    pub fn items(
        &self,
        params: ListParams,
    ) -> impl Stream<Item = Result<Stored<M>, Error>> + Send + use<M> {
        paging::items(self.pages(params))
    }

    /// Makes one; APISIX chooses the id. Not for all kinds: some want the id to be given ([`Api::put`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create<B: Serialize + ?Sized>(&self, body: &B) -> Result<Stored<M>, Error> {
        let request = M::KIND.post(&self.place, &written(body)?)?;
        one(&self.client.raw(request).await?)
    }

    /// Makes it under this id, or puts it in the place of what is there: status 201 or 200.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put<B: Serialize + ?Sized>(&self, id: &str, body: &B) -> Result<Answer, Error> {
        let request = M::KIND.put(&self.place, Some(id), &written(body)?)?;
        self.client.raw(request).await
    }

    /// Merges `body` into it (RFC 7396): `null` removes a member.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn patch<B: Serialize + ?Sized>(&self, id: &str, body: &B) -> Result<Answer, Error> {
        let request = M::KIND.patch(&self.place, id, &written(body)?)?;
        self.client.raw(request).await
    }

    /// Removes it, unless others refer to it.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] when there was none.
    pub async fn delete(&self, id: &str) -> Result<Answer, Error> {
        let request = M::KIND.delete(&self.place, id, false)?;
        self.client.raw(request).await
    }
}

fn one<M: Model>(answer: &Answer) -> Result<Stored<M>, Error> {
    let Some(body) = &answer.body else {
        return Err(odd("a resource", "it is empty"));
    };
    body.decode_owned()
        .map_err(|error| odd("what this kind looks like", &error.message))
}

fn page<M: Model>(answer: &Answer) -> Result<Page<Stored<M>>, Error> {
    let body = answer.body.as_ref();
    paging::page(body.ok_or_else(|| odd("a list", "it is empty"))?)
}
