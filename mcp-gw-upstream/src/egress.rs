//! What leaves for REST APIs.

mod parts;

pub use parts::{PartsBody, RequestParts};
