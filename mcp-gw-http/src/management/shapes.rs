//! What is sent and answered.

mod asked;
mod counts;
mod event;
mod told;

pub(super) use asked::*;
pub(super) use counts::*;
pub(super) use event::*;
pub(super) use told::*;
