#![doc = include_str!("../README.md")]

#[macro_use]
mod models;

pub mod api7;
pub mod apisix;
#[cfg(feature = "docs-index")]
pub mod docs_index;
pub mod http;
pub mod kong;
pub mod konnect;
mod paging;
#[cfg(feature = "tools")]
pub mod tools;
