#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
mod credentials;
mod demo;
mod direct;
mod guard;
mod head;
mod host;
mod incoming;
#[cfg(feature = "client")]
mod manage;
mod managed;
mod management;
mod pieces;
mod platform;
mod proxies;
mod router;
mod serve;

pub use guard::Guard;
pub use management::ManagementApi;
pub use proxies::{BadNetwork, ForwardedHeader, TrustedProxies};
pub use router::{HttpConfig, router, router_for};
pub use serve::{serve, serve_at};

/// The first page of the repository, whose code is compiled with this crate.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
