//! Apache APISIX: version 3 of its Admin API.
//!
//! [`Kind`] and [`plugin`] build requests and send nothing. A [`Client`] sends them: by a typed handle per kind of
//! resource ([`Api`]), or raw ([`Client::raw`]). Paths are below the address of the Admin API, which ends with its prefix:
//! `http://127.0.0.1:9180/apisix/admin`.

mod client;
mod handle;
mod kind;
mod list;
mod model;
pub mod plugin;

pub use client::{ApisixError, Client, ClientConfig};
pub use handle::{Api, Stored};
pub use kind::{Kind, Place, Verb};
pub use list::ListParams;
pub use model::{
    Consumer, ConsumerGroup, Credential, GlobalRule, Id, Labels, Model, PluginConfig,
    PluginMetadata, Proto, Rest, Route, Secret, Service, Ssl, StreamRoute, Upstream,
};

pub use crate::paging::Page;
