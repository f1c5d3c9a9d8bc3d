//! The two servers as real processes: between clients that speak both eras over both transports,
//! and servers that speak both eras over both transports and are odd.
#![cfg(test)]
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "deadlines for real processes are in real time"
)]

mod operator;
mod over_http;
mod over_stdio;
mod parity;
mod support;
mod wire;
