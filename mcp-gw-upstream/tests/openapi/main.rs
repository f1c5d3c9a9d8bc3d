//! Descriptions of real products as tools.

mod corpus;
