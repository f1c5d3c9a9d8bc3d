//! Random sequences of operations, to compare stores.
