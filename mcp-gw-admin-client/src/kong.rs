//! Kong Gateway: its entities, and the Admin API of a gateway of one's own.
//!
//! [`Kind`] builds requests and sends nothing. [`Entities`] reads those of one kind at one [`Place`]: a control plane of
//! Kong Konnect ([`konnect`](crate::konnect)), or a gateway that a [`Client`] reaches. Only reads: what changes a gateway is
//! left to its own tools.

mod client;
mod handle;
mod kind;
mod list;
mod model;

pub use client::{Client, ClientConfig, KongError};
pub use handle::Entities;
pub use kind::{Kind, Place};
pub use list::ListParams;
pub use model::{Consumer, ConsumerGroup, Model, Plugin, Reference, Rest, Route, Service, Vault};

pub use crate::paging::Page;
