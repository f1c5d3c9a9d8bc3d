//! Kong Konnect: its REST APIs, of one region and of the whole.
//!
//! A [`Client`] reads control planes, the entities in them ([`kong`](crate::kong) has their models), requests that were
//! made to them, alert events, and who the token belongs to. [`DebugSessions`] is what debugging needs; how Konnect does
//! it is not published, so [`StandIn`] speaks a contract made up for the time being.
//!
//! Without I/O: [`router`] says which routes answer a path, [`sampling`] makes the rule of a debug session,
//! [`analytics`] asks for rows of requests and counts them, [`traces`] sums up where time went, [`ids`] knows the two
//! spellings of ids, [`rights`] says what roles and teams permit.

pub mod analytics;
mod argument;
mod client;
mod debug;
mod identity;
pub mod ids;
mod model;
mod planes;
mod region;
pub mod rights;
pub mod router;
pub mod sampling;
mod spread;
pub(crate) mod text;
pub mod traces;
mod uuid;

pub use argument::ArgumentFault;
pub use client::{Client, ClientConfig, KonnectError};
pub use debug::{Coming, DebugSessions, NewSession, StandIn};
pub use model::{
    AlertEvent, AssignedRole, ControlPlane, DebugSession, Organization, PlaneConfig, RequestRow,
    Team, User,
};
pub use planes::PlaneParams;
pub use region::{Region, UnknownRegion};
pub use spread::Spread;
pub use uuid::Uuid;

pub use crate::kong::{
    Consumer, ConsumerGroup, Entities, Kind, ListParams, Plugin, Reference, Rest, Route, Service,
    Vault,
};
pub use crate::paging::Page;
