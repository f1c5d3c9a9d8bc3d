//! What goes out over the network by HTTP: connections, and the requests on them.

pub(crate) mod client;
pub(crate) mod connect;
mod lane;
mod pool;
