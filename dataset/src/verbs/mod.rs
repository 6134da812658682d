//! The verbs of `Dataset`: one file for each idea, each a new plan over the old one.

pub mod asof_join;
pub mod checkpoint;
pub(crate) mod checks;
pub mod counts;
pub mod describe;
pub mod dynamic_groups;
pub mod explode;
mod fingerprint;
pub mod groupby;
pub mod join;
pub(crate) mod kinds;
pub mod map_batches;
pub mod map_groups;
pub mod map_overlap;
pub mod materialize;
pub mod mix;
pub mod nulls;
pub mod numbered;
pub mod partitions;
pub mod persist;
pub mod reshape;
pub mod rolling;
pub mod rows;
pub mod select;
pub mod sets;
pub mod window;
pub mod write;
