#![doc = include_str!("../README.md")]

mod ask;
mod deadline;
mod era;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod mirror;
mod notice;
mod offer;
mod relay;
mod settings;
mod single;
mod stdio;
mod subscriptions;

pub use error::Error;
pub use http::{HttpServer, HttpServerConfig};
pub use settings::ClientInfo;
pub use stdio::{StdioServer, StdioServerConfig};
