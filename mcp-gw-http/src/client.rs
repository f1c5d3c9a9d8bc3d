//! The management API, typed: logins, users, keys, servers, templates, calls, figures and audit events.
//!
//! ```no_run
//! use futures_util::TryStreamExt as _;
//! use mcp_gw_http::client::{Client, Credentials, NewServer, ServerQuery};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let password = std::env::var("PASSWORD")?;
//! let client = Client::new(
//!     "http://localhost:8000".parse()?,
//!     Credentials::password("admin", password),
//! )?;
//! client
//!     .register_server(&NewServer::new("files").with_endpoint("http://127.0.0.1:9000/mcp"))
//!     .await?;
//! let mut servers = std::pin::pin!(client.servers(ServerQuery::default()));
//! while let Some(server) = servers.try_next().await? {
//!     println!("{} {}", server.id, server.status.unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Members that are not known are ignored, redirects are not followed, and answers are bounded in time and length.
//! What only reads is sent again when the gateway cannot be reached, or asks with `Retry-After` for a short pause.
//! What changes something is sent again only when it certainly was not done: nobody was reached, too much was
//! asked (429), or a login had expired. Neither `Debug` nor errors show credentials.

mod accounts;
mod asked;
mod calls;
mod credentials;
mod error;
mod figures;
mod gateway;
mod paging;
mod send;
mod servers;
mod told;

pub use asked::{
    AuditQuery, KeyQuery, NewKey, NewServer, NewUser, PageQuery, ServerChange, ServerPlace,
    ServerQuery, TemplateChange, UserChange, UserQuery,
};
pub use credentials::Credentials;
pub use error::{ClientError, FaultItem};
pub use figures::*;
pub use mcp_gw_admin_client::http::{
    BaseUrl, BaseUrlError, Done, ErrorKind, RetryPolicy, TransportConfig, TransportError, Trust,
};
pub use send::Client;
pub use told::{
    ApiKey, IssuedKey, LogLine, Logs, Me, Page, Server, Template, Token, ToolResult, User,
};
