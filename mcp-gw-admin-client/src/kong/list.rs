//! What a list of entities is asked for.

use crate::http::{RequestError, Target};

/// What a list of entities is asked for. What is not set is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ListParams {
    /// Entities a page: 1 to 1000; the API takes 100 when it is not told.
    pub size: Option<u32>,
    /// Where the page begins: what the page before it gave as `offset`.
    pub offset: Option<String>,
    /// Tags: `a,b` for both, `a/b` for any of them.
    pub tags: Option<String>,
    /// Only what is called so. Konnect only, and not for all kinds: [`Kind::has_name_filter`](crate::kong::Kind).
    pub name: Option<String>,
    /// Only what has this in its name. Konnect only.
    pub name_contains: Option<String>,
    /// Only the consumer with this id of somebody else.
    pub custom_id: Option<String>,
}

impl ListParams {
    /// Sets how many entities a page has: 1 to 1000.
    pub const fn with_size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets where the page begins.
    pub fn with_offset(mut self, offset: impl Into<String>) -> Self {
        self.offset = Some(offset.into());
        self
    }

    /// Asks only for what carries tags: `a,b` for both, `a/b` for any of them.
    pub fn with_tags(mut self, tags: impl Into<String>) -> Self {
        self.tags = Some(tags.into());
        self
    }

    /// Asks only for what is called so.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Asks only for what has this in its name.
    pub fn with_name_contains(mut self, part: impl Into<String>) -> Self {
        self.name_contains = Some(part.into());
        self
    }

    /// Asks only for the consumer with this id of somebody else.
    pub fn with_custom_id(mut self, id: impl Into<String>) -> Self {
        self.custom_id = Some(id.into());
        self
    }

    pub(crate) fn write(&self, target: Target, is_konnect: bool) -> Result<Target, RequestError> {
        if !is_konnect && (self.name.is_some() || self.name_contains.is_some()) {
            return Err(RequestError::Unsupported {
                what: "a list of a gateway of one's own",
                action: "filtered by name",
            });
        }
        let size = self.size.map(|size| size.clamp(1, 1000).to_string());
        target
            .query_if("size", size.as_deref())?
            .query_if("offset", self.offset.as_deref())?
            .query_if("tags", self.tags.as_deref())?
            .query_if("filter[name][eq]", self.name.as_deref())?
            .query_if("filter[name][contains]", self.name_contains.as_deref())?
            .query_if("custom_id", self.custom_id.as_deref())
    }
}
