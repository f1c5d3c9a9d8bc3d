#![doc = include_str!("../README.md")]

#[macro_use]
mod models;

pub mod api7;
pub mod apisix;
pub mod http;
pub mod konnect;
mod paging;
#[cfg(feature = "tools")]
pub mod tools;
