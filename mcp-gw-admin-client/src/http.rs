//! What all clients of admin APIs share: addresses, requests that are built without I/O, and the one
//! place that sends them.

mod base_url;
mod budget;
mod error;
mod problem;
mod retry;
mod target;
mod tls;
mod transport;

pub use base_url::{BaseUrl, BaseUrlError};
#[cfg(feature = "tools")]
pub(crate) use budget::Budget;
#[cfg(feature = "tools")]
pub(crate) use error::one_line;
pub use error::{Done, Error, ErrorKind};
pub use retry::RetryPolicy;
pub(crate) use target::encode;
#[cfg(test)]
pub(crate) use target::tests::hostile;
pub use target::{RequestError, Target};
pub use tls::{TlsError, Trust};
pub use transport::{Answer, Reading, Transport, TransportConfig, TransportError};
