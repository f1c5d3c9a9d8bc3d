//! The guard on everything that goes out by HTTP to a place that a model, or an upstream, has a say in.
//!
//! There is one way out. [`ApiRules::check`] makes a [`Checked`] of [`RequestParts`], or refuses with the
//! rule that says no; [`Client::send`] takes nothing but a [`Checked`]. The client looks names up itself,
//! judges all addresses of a name by [`AddressRules`], and connects to one of those that it has judged.
//!
//! | Rule | Where |
//! |---|---|
//! | E-1 an API is one canonical base | [`Base`] |
//! | E-2, E-3 endpoints are judged raw | [`ApiRules::check`] |
//! | E-4, E-14 what is sent stays below the base | [`ApiRules::check`], and again in [`Client::send`] |
//! | E-5, E-6 addresses | [`check_addresses`], for each connection |
//! | E-7 redirects | [`Redirects`] |
//! | E-8, E-9, E-11 methods, headers, parameters | [`ApiRules::check`] |
//! | E-10 TLS | [`Trust`] |
//! | E-12 connections | [`CredentialId`] |
//! | E-13 responses are data | [`Answer`] |

mod address;
mod answer;
mod base;
mod check;
mod client;
mod decode;
mod endpoint;
mod fixed;
mod headers;
mod inject;
mod parts;
#[cfg(test)]
mod property;
mod query;
mod redirect;
mod refusal;
mod rules;
mod scrub;
mod send_error;
mod tls;

pub use address::{AddressRules, check_addresses, is_metadata, is_public};
pub use answer::Answer;
pub use base::{Base, BaseError, BaseRules};
pub use check::Checked;
pub use client::Client;
pub use fixed::FixedUrl;
pub(crate) use headers::is_refused;
pub use inject::{CredentialId, InjectError, Injected};
pub use parts::{PartsBody, RequestParts};
pub use query::form;
pub use refusal::{Refusal, RefusalCode};
pub use rules::{ApiRules, Redirects};
pub use send_error::SendError;
pub use tls::{Trust, TrustError};

pub use crate::net::connect::Resolve;
