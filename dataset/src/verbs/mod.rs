//! The verbs of `Dataset`: one file for each idea, each a new plan over the old one.

pub(crate) mod checks;
pub mod explode;
pub mod groupby;
pub mod join;
pub mod map_batches;
pub mod materialize;
pub mod partitions;
pub mod rows;
pub mod select;
pub mod write;
