//! What inputs have in common.

use std::collections::BTreeMap;

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api7::{Direction, ListParams};
pub(crate) use crate::tools::input::{Id, Name, Writing};

/// The order of a list.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Order {
    Asc,
    Desc,
}

/// Which part of a list is wanted. What is not given is not sent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Paging {
    /// The page, from 1. Only for lists.
    #[schemars(range(min = 1))]
    pub(crate) page: Option<u32>,
    /// Items a page. Only for lists.
    #[schemars(range(min = 1))]
    pub(crate) page_size: Option<u32>,
    /// A part of the name. Only for lists.
    pub(crate) search: Option<String>,
    /// `created_at`, `updated_at` or `last_published`.
    pub(crate) order_by: Option<String>,
    /// Of a list; desc when it is not given.
    pub(crate) direction: Option<Order>,
    /// Only what carries these labels.
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl Paging {
    /// The parameters of a list. Members that have no name here go along as they are.
    pub(crate) fn params(&self, rest: &Map<String, Value>) -> Result<ListParams, ToolError> {
        let mut params = ListParams {
            page: self.page,
            page_size: self.page_size,
            search: self.search.clone(),
            order_by: self.order_by.clone(),
            ..ListParams::default()
        };
        params.direction = self.direction.map(|order| match order {
            Order::Asc => Direction::Ascending,
            Order::Desc => Direction::Descending,
        });
        params
            .labels
            .extend(self.labels.clone().unwrap_or_default());
        for (name, value) in rest {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => {
                    return Err(ToolError::invalid_arguments(format!(
                        "`{name}` must be a text, a number or a truth value to be a query parameter"
                    )));
                }
            };
            params.more.insert(name.clone(), text);
        }
        Ok(params)
    }
}
