//! Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust.

pub use sheaf_core as core;
pub use sheaf_core::{Error, ErrorKind, Options, Result, Settings};
