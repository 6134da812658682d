//! The engine seen from outside: one binary for all integration tests, because each links the whole engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[cfg(feature = "polars")]
mod polars;
mod read;
mod s3;
mod slt;
mod sql;
mod support;
mod verbs;
mod write;
mod write_faults;
