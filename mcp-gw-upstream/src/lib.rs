#![doc = include_str!("../README.md")]

mod ask;
mod balance;
mod bereaved;
mod call;
mod channel;
mod chores;
mod common;
mod deadline;
mod desk;
pub mod egress;
mod era;
mod error;
mod extras;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod lanes;
mod listen_stream;
mod mirror;
mod net;
mod notice;
mod offer;
mod owner;
mod pending;
mod relay;
pub mod rest;
mod room;
mod settings;
mod single;
mod stdio;
mod subscriptions;
mod unjudged;
mod vet;
mod watched;

pub use balance::{
    BalanceConfig, Balanced, CheckTurns, EjectionConfig, HealthConfig, Hints, Replica,
    ReplicaState, ReplicaStatus, RetryConfig, Sticky, Strategy,
};
pub use error::Error;
pub use http::{HttpServer, HttpServerConfig};
pub use settings::ClientInfo;
pub use stdio::{BEFORE_LAST_WORDS, LogLines, StdioServer, StdioServerConfig};
pub use vet::{Judgement, Vet};
