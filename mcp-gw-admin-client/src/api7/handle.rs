//! Handles: the resources of one kind at one place.

use std::fmt;
use std::marker::PhantomData;

use futures_util::Stream;
use serde::Serialize;

use crate::api7::client::Client;
use crate::api7::kind::Place;
use crate::api7::list::ListParams;
use crate::api7::model::Model;
use crate::http::{Answer, Error};
use crate::paging::{self, Page, odd, written};

/// How many items a page has when pages are read one after the other and nobody said.
const PAGE_SIZE: u32 = 100;

/// The resources of one kind at one place. A clone is cheap.
pub struct Api<M> {
    client: Client,
    place: Place,
    model: PhantomData<fn() -> M>,
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
    pub async fn get(&self, id: &str) -> Result<M, Error> {
        let request = M::KIND.get(&self.place, Some(id))?;
        one(&self.client.raw(request).await?)
    }

    /// Reads one page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, params: &ListParams) -> Result<Page<M>, Error> {
        let request = M::KIND.list(&self.place, params)?;
        page(&self.client.raw(request).await?)
    }

    /// All pages, one after the other, from `params.page` on. Ends when all that the API counts were seen, or, when
    /// it does not count, with a page that is not as full as the first. After an error there is nothing more.
    pub fn pages(
        &self,
        params: ListParams,
    ) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M> {
        let size = params.page_size.unwrap_or(PAGE_SIZE).max(1);
        let first = params.page.unwrap_or(1);
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
    ) -> impl Stream<Item = Result<M, Error>> + Send + use<M> {
        paging::items(self.pages(params))
    }

    /// Makes one. The API chooses the id, unless the kind wants it to be given: then see [`Api::replace`].
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_conflict`] when it is there already.
    pub async fn create<B: Serialize + ?Sized>(&self, body: &B) -> Result<Answer, Error> {
        let request = M::KIND.create(&self.place, None, &written(body)?)?;
        self.client.raw(request).await
    }

    /// Puts `body` in the place of `id`, or makes it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replace<B: Serialize + ?Sized>(
        &self,
        id: &str,
        body: &B,
    ) -> Result<Answer, Error> {
        let request = M::KIND.replace(&self.place, Some(id), &written(body)?)?;
        self.client.raw(request).await
    }

    /// Changes parts of it by the operations of a JSON Patch (RFC 6902): an array.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn patch<B: Serialize + ?Sized>(
        &self,
        id: &str,
        operations: &B,
    ) -> Result<Answer, Error> {
        let request = M::KIND.patch(&self.place, Some(id), &written(operations)?)?;
        self.client.raw(request).await
    }

    /// Removes it.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] when there was none.
    pub async fn delete(&self, id: &str) -> Result<Answer, Error> {
        let request = M::KIND.delete(&self.place, id)?;
        self.client.raw(request).await
    }
}

/// `{"value": …}`, or the object itself.
fn one<M: Model>(answer: &Answer) -> Result<M, Error> {
    let Some(body) = &answer.body else {
        return Err(odd("an object", "it is empty"));
    };
    let inner = body
        .member("value")
        .map_err(|error| odd("an object", &error.message))?;
    let value = inner.as_ref().unwrap_or(body);
    // All kinds have one of these; without it this is an answer of something else, and no resource without members.
    let has = |name: &str| {
        let member = value.member(name).ok().flatten();
        member.is_some_and(|member| !member.is_null())
    };
    if !["id", "name", "username"].into_iter().any(has) {
        let detail = "it has neither an id nor a name";
        return Err(odd("what this kind looks like", detail));
    }
    value
        .decode_owned()
        .map_err(|error| odd("what this kind looks like", &error.message))
}

/// `{"list": […], "total": n}`, perhaps within `value`.
fn page<M: Model>(answer: &Answer) -> Result<Page<M>, Error> {
    let Some(body) = &answer.body else {
        return Err(odd("a list", "it is empty"));
    };
    let inner = body.member("value").ok().flatten();
    let within = inner.filter(|inner| inner.member("list").is_ok_and(|list| list.is_some()));
    paging::page(within.as_ref().unwrap_or(body))
}
