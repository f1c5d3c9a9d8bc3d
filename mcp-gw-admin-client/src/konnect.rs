//! Kong Konnect.
//!
//! Without I/O: [`router`] says which routes answer a path, [`sampling`] makes the rule of a debug session, [`ids`]
//! knows the two spellings of ids.

pub mod ids;
pub mod router;
pub mod sampling;
mod text;
