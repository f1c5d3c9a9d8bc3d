//! REST APIs: the credentials that their requests are sent with.

mod credential;
mod oauth;

pub use credential::{Credential, Keeper};
pub use oauth::{ClientAuth, ClientCredentials};
