//! What a list is asked for.

use std::collections::BTreeMap;

use crate::http::{RequestError, Target};

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// Smallest or oldest first.
    Ascending,
    /// Greatest or newest first: what the API does when it is not told.
    Descending,
}

/// What a list is asked for. What is not set is not sent: the API then chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ListParams {
    /// The page, from 1.
    pub page: Option<u32>,
    /// Items a page, at least 1. The API documents no maximum.
    pub page_size: Option<u32>,
    /// A part of the name, or what else the kind can be searched for.
    pub search: Option<String>,
    /// What it is ordered by: `created_at`, `updated_at`, `last_published`.
    pub order_by: Option<String>,
    /// The order.
    pub direction: Option<Direction>,
    /// Only what carries these labels (`labels[key]=value`).
    pub labels: BTreeMap<String, String>,
    /// Other parameters.
    pub more: BTreeMap<String, String>,
}

impl ListParams {
    /// Sets the page, from 1.
    pub const fn with_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Sets how many items a page has.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.page_size = Some(size);
        self
    }

    /// Sets what is searched for.
    pub fn with_search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Sets the order.
    pub fn with_order(mut self, by: impl Into<String>, direction: Direction) -> Self {
        self.order_by = Some(by.into());
        self.direction = Some(direction);
        self
    }

    /// Asks only for what carries this label.
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets another parameter.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    pub(crate) fn write(&self, mut target: Target) -> Result<Target, RequestError> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        target = target
            .query_if("page", number(self.page).as_deref())?
            .query_if("page_size", number(self.page_size).as_deref())?
            .query_if("search", self.search.as_deref())?
            .query_if("order_by", self.order_by.as_deref())?;
        let direction = self.direction.map(|direction| match direction {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
        });
        target = target.query_if("direction", direction)?;
        for (key, value) in &self.labels {
            target = target.query(&format!("labels[{key}]"), value)?;
        }
        for (name, value) in &self.more {
            target = target.query(name, value)?;
        }
        Ok(target)
    }
}
