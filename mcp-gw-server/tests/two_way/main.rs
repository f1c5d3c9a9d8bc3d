//! What goes from servers to clients: questions, log messages, changes. The same scenarios over both
//! transports, in one process: a backend that asks, the engine, a scripted client.

mod asking;
mod parked;
mod server;
mod wire;
