//! Partitions of Sheaf on the wire: an Arrow Flight endpoint over a trait, and its client.
//!
//! This crate moves record batches and errors. It knows nothing of plans and operators.

pub mod autoscaler;
pub mod client;
pub mod cluster;
pub mod compact;
pub mod kubernetes;
pub mod server;
pub mod status;

pub use client::PartitionClient;
pub use server::{PartitionServer, PartitionSource, PartitionStream};

/// Bytes of one message, about: under the limit of 4 MiB that gRPC clients set by default, with room for headers.
pub(crate) const MESSAGE_BYTES: usize = 2 << 20;
