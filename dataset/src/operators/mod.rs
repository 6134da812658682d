//! The operators that Sheaf adds to DataFusion's: one file each, logical node, planner and execution together.

pub mod compact;
pub mod dynamic_filter;
pub(crate) mod float_keys;
pub mod hash_join;
pub mod map_batches;
pub(crate) mod once;
pub mod range;
pub mod sample;
pub(crate) mod write;
