//! The operators that Sheaf adds to DataFusion's: one file each, logical node, planner and execution together.

pub mod hash_join;
pub mod map_batches;
pub mod range;
pub mod sample;
pub(crate) mod write;
