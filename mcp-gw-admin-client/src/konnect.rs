//! Kong Konnect: its REST APIs, of one region and of the whole.
//!
//! A [`Client`] reads control planes, the entities in them ([`kong`](crate::kong) has their models), requests that were
//! made to them, alert events, and who the token belongs to. [`DebugSessions`] is what debugging needs; how Konnect does
//! it is not published, so [`StandIn`] speaks a contract made up for the time being.

mod client;
mod debug;
mod id;
mod model;
mod planes;
mod region;
mod requests;

pub use client::{Client, ClientConfig, KonnectError};
pub use debug::{Coming, DebugSessions, NewSession, StandIn};
pub use id::{NoId, Scoped, Uuid};
pub use model::{
    AlertEvent, AssignedRole, ControlPlane, DebugSession, Organization, PlaneConfig, RequestRow,
    Trace, User,
};
pub use planes::PlaneParams;
pub use region::{Region, UnknownRegion};
pub use requests::{Filter, Order, RequestQuery, TimeRange};

pub use crate::kong::{
    Consumer, ConsumerGroup, Entities, Kind, ListParams, Plugin, Reference, Rest, Route, Service,
    Vault,
};
pub use crate::paging::Page;
