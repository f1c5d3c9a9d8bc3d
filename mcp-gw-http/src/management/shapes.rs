//! What is sent and answered.

mod asked;
mod counts;
mod told;

pub(super) use asked::*;
pub(super) use counts::*;
pub(super) use told::*;
