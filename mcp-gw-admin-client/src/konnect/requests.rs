//! Which requests to gateways are asked for.

use bytes::Bytes;
use http::Request;
use mcp_gw_core::RawJson;
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{RequestError, Target};

/// A time until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeRange {
    /// 15 minutes.
    M15,
    /// An hour.
    H1,
    /// 6 hours.
    H6,
    /// 12 hours.
    H12,
    /// A day.
    H24,
    /// A week.
    D7,
}

impl TimeRange {
    /// As the API writes it: `15M`, `1H`, `6H`, `12H`, `24H`, `7D`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::M15 => "15M",
            Self::H1 => "1H",
            Self::H6 => "6H",
            Self::H12 => "12H",
            Self::H24 => "24H",
            Self::D7 => "7D",
        }
    }
}

/// A condition that rows hold to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Filter {
    /// The field: `status_code`, `consumer` …
    pub field: &'static str,
    /// `in`, `not_in`, `=`, `>=`, `empty` …
    pub operator: &'static str,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

impl Filter {
    /// The field has one of these values.
    pub fn any_of<T: Serialize>(field: &'static str, values: &[T]) -> Self {
        Self {
            field,
            operator: "in",
            value: json!(values),
        }
    }

    /// The field has none of these values.
    pub fn none_of<T: Serialize>(field: &'static str, values: &[T]) -> Self {
        Self {
            field,
            operator: "not_in",
            value: json!(values),
        }
    }
}

/// In which order rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Which requests are asked for. All conditions have to hold.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct RequestQuery {
    /// From when on.
    pub time_range: TimeRange,
    /// What they hold to.
    pub filters: Vec<Filter>,
    /// In which order.
    pub order: Order,
    /// Rows a page: 1 to 1000.
    pub size: u32,
    /// So many rows are left out.
    pub offset: u32,
}

impl RequestQuery {
    /// The last 100 requests of a time.
    pub const fn new(time_range: TimeRange) -> Self {
        Self {
            time_range,
            filters: Vec::new(),
            order: Order::Descending,
            size: 100,
            offset: 0,
        }
    }

    /// Adds a condition.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Sets how many rows a page has: 1 to 1000.
    pub const fn with_size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }

    /// Leaves out so many rows.
    pub const fn with_offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    pub(crate) fn request(&self) -> Result<Request<Bytes>, RequestError> {
        let body = json!({
            "time_range": {"type": "relative", "time_range": self.time_range.as_str()},
            "filters": self.filters,
            "order": self.order,
            "size": self.size.clamp(1, 1000),
            "offset": self.offset,
        });
        let body = RawJson::from_serialize(&body).map_err(|_| RequestError::Malformed)?;
        Target::at("/v2/api-requests").ask(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_what_the_api_takes_and_nothing_else() {
        let query = RequestQuery::new(TimeRange::H24)
            .with_size(5000)
            .with_filter(Filter::any_of("status_code", &[500, 503]))
            .with_filter(Filter::none_of("route", &["a:b"]));
        let request = query.request().unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            ("POST", "/v2/api-requests")
        );
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let wanted = json!({
            "time_range": {"type": "relative", "time_range": "24H"},
            "filters": [
                {"field": "status_code", "operator": "in", "value": [500, 503]},
                {"field": "route", "operator": "not_in", "value": ["a:b"]}
            ],
            "order": "descending",
            "size": 1000,
            "offset": 0,
        });
        assert_eq!(body, wanted);
    }
}
