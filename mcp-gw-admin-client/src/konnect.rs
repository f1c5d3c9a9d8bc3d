//! Kong Konnect.
//!
//! Without I/O: [`router`] says which routes answer a path, [`sampling`] makes the rule of a debug session,
//! [`traces`] makes what it collected short, [`analytics`] asks for rows of requests and counts them, [`ids`] knows the two spellings of ids.

pub mod analytics;
mod argument;
pub mod ids;
pub mod router;
pub mod sampling;
mod spread;
pub(crate) mod text;
pub mod traces;

pub use argument::ArgumentFault;
pub use spread::Spread;
