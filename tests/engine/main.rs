//! The engine seen from outside: one binary for all integration tests, because each links the whole engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod clouds;
mod cluster;
mod codec;
mod counts;
mod determined;
mod determinism;
mod dynamic_filters;
mod functions;
mod groups;
mod jobs;
mod leading_rows;
mod memory;
mod order;
mod partitions;
mod persist;
#[cfg(feature = "polars")]
mod polars;
mod ranges;
mod read;
mod reducers;
mod rewrites;
mod s3;
mod session;
mod shuffle;
mod skew;
mod slt;
mod sql;
mod stages;
mod stored;
mod streaming;
mod support;
mod tpch;
mod verbs;
mod waves;
mod within_task;
mod write;
mod write_faults;

// What the binary and the wheel have: the tests of memory measure it.
#[global_allocator]
static ALLOCATOR: sheaf::allocator::Allocator = sheaf::allocator::Allocator {};
