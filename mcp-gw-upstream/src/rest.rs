//! REST APIs as tools: operations, and what arguments make of them.
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

mod argument;
mod body;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handmade;
mod multipart;
pub mod openapi;
mod operation;
mod param;
mod shape;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use argument::ArgumentError;
pub use handmade::{BodyForm, InputConfig, InputPlace, ToolConfig, ToolConfigError};
pub use operation::{Operation, Scheme, SchemeKind, Security};
