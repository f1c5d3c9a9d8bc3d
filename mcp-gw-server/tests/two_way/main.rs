//! What goes from servers to clients: questions, log messages, changes. The same scenarios over both
//! transports, in one process: a backend that asks, the engine, a scripted client.

#![cfg(test)]

mod asking;
mod changes;
mod errors;
mod federation;
mod listen;
mod logging;
mod parked;
mod server;
mod starting;
mod tasks;
mod wire;
