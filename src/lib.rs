//! Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust.
//!
//! This crate is the door: it names what the crates below offer and adds nothing.

#[cfg(not(target_env = "msvc"))]
pub mod allocator;
pub mod cli;
#[cfg(feature = "polars")]
pub mod polars;

pub use sheaf_connectors as connectors;
pub use sheaf_core as core;
pub use sheaf_core::{Error, ErrorKind, Options, Result, Settings};
pub use sheaf_dataset as dataset;
pub use sheaf_dataset::{Dataset, Session, expr};
pub use sheaf_flight as flight;
pub use sheaf_sql as sql;
pub use sheaf_sql::SessionSql;

/// README's Rust example, run as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
