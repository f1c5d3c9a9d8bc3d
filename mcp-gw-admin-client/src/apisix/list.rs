//! What a list is asked for.

use std::collections::BTreeMap;

use crate::http::{RequestError, Target};

/// What a list is asked for. What is not set is not sent: without a page *and* its size APISIX answers with everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct ListParams {
    /// The page, from 1.
    pub page: Option<u32>,
    /// Items a page: 10 to 500.
    pub page_size: Option<u32>,
    /// A regular expression that the name holds to.
    pub name: Option<String>,
    /// A key that is among the labels. The API knows no filter for their values.
    pub label: Option<String>,
    /// A regular expression that a path of a route holds to.
    pub uri: Option<String>,
    /// Members and their values, as far as the kind can be filtered by them: a route by `service_id`, for example.
    pub filter: BTreeMap<String, String>,
}

impl ListParams {
    /// Sets the page, from 1.
    pub const fn with_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Sets how many items a page has: 10 to 500.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.page_size = Some(size);
        self
    }

    /// Asks only for what has a name that `pattern` holds to: a regular expression.
    pub fn with_name(mut self, pattern: impl Into<String>) -> Self {
        self.name = Some(pattern.into());
        self
    }

    /// Asks only for what carries a label with this key.
    pub fn with_label(mut self, key: impl Into<String>) -> Self {
        self.label = Some(key.into());
        self
    }

    /// Asks only for routes with a path that `pattern` holds to: a regular expression.
    pub fn with_uri(mut self, pattern: impl Into<String>) -> Self {
        self.uri = Some(pattern.into());
        self
    }

    /// Asks only for what has this value in this member.
    pub fn with_filter(mut self, member: impl Into<String>, value: impl Into<String>) -> Self {
        self.filter.insert(member.into(), value.into());
        self
    }

    pub(crate) fn write(&self, target: Target) -> Result<Target, RequestError> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        // The value of this one parameter is a query of its own.
        let mut filter = String::new();
        for (name, value) in &self.filter {
            if !filter.is_empty() {
                filter.push('&');
            }
            crate::http::encode(&mut filter, name);
            filter.push('=');
            crate::http::encode(&mut filter, value);
        }
        target
            .query_if("page", number(self.page).as_deref())?
            .query_if("page_size", number(self.page_size).as_deref())?
            .query_if("name", self.name.as_deref())?
            .query_if("label", self.label.as_deref())?
            .query_if("uri", self.uri.as_deref())?
            .query_if("filter", Some(&*filter).filter(|text| !text.is_empty()))
    }
}
