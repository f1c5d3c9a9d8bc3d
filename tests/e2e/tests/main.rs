//! The two servers as real processes: between clients that speak both eras over both transports,
//! and servers that speak both eras over both transports and are odd.
#![cfg(test)]
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "deadlines for real processes are in real time"
)]
#![expect(
    clippy::duplicate_mod,
    reason = "the scenarios are there once for each transport"
)]

mod admin;
mod federation;
mod manage;
mod operator;
mod over_http;
mod over_stdio;
mod parity;
mod policy;
mod rest;
mod sdk;
mod snapshots;
mod support;
mod wire;
