//! REST APIs as tools.
//!
//! An [`Api`] is one of them: where requests may go ([`ApiRules`](crate::egress::ApiRules)), with whose
//! credential ([`Keeper`]), how often and how many. Two backends make tools of APIs: [`ApiGateway`] is
//! the one tool that reaches many of them, [`ApiServer`] has a tool for each [`Operation`] of one.
//!
//! An [`Operation`] comes from a description ([`openapi`]) or is written by hand ([`ToolConfig`]). It
//! makes a request of arguments and sends nothing: what it makes goes through
//! [`egress`](crate::egress) like everything that a model asks for.
//!
//! # Arguments
//!
//! Each parameter is an argument of its name, where that is made of letters, digits, `_`, `-` and `.`
//! (anything else becomes `_`). Two parameters of one name in different places are told apart by the
//! place: `path_id`, `query_id`. The body is always the argument `body`: an object or another value for
//! JSON, an object of the fields for forms, a string for text, a string in base64 for anything else.

mod api;
mod argument;
mod beside;
mod body;
mod breaker;
mod cache;
mod charset;
mod credential;
mod described;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gateway;
mod gateway_call;
mod handmade;
mod kept;
mod multipart;
mod oauth;
pub mod openapi;
mod operation;
mod output;
mod param;
mod piece;
mod rebase;
mod scan;
mod select;
mod server;
mod shape;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use api::{Api, ApiConfig, ApiRetries};
pub use argument::ArgumentError;
pub use breaker::BreakerConfig;
pub use cache::CacheConfig;
pub use credential::{Credential, Keeper};
pub use described::{ApiTools, DescribedApi};
pub use gateway::{ApiGateway, ApiGatewayConfig};
pub use handmade::{BodyForm, InputConfig, InputPlace, ToolConfig, ToolConfigError};
pub use kept::{KeptAnswers, KeptConfig};
pub use oauth::{ClientAuth, ClientCredentials};
pub use operation::{Operation, Scheme, SchemeKind, Security};
pub use server::{ApiServer, ApiServerError};
