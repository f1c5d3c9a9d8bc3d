//! What can be wrong with the configuration of a server.

use mcp_gw_core::BoxError;

/// Why a backend cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be used.
    #[error("server `{server}`: `url` cannot be used: {reason}")]
    Url {
        /// The server.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header cannot be sent. Its value is not repeated here.
    #[error("server `{server}`: header {header:?} cannot be sent: {reason}")]
    Header {
        /// The server.
        server: String,
        /// Its name.
        header: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value is out of range.
    #[error("server `{server}`: `{option}` {reason}")]
    Option {
        /// The server.
        server: String,
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error("server `{server}`: the HTTP client cannot be set up")]
    Client {
        /// The server.
        server: String,
        /// Why.
        source: BoxError,
    },
}
