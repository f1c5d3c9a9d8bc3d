#![doc = include_str!("../README.md")]

pub mod api7;
pub mod http;
#[cfg(feature = "tools")]
pub mod tools;
