//! The verbs of `Dataset`: one file for each idea, each a new plan over the old one.

pub mod checkpoint;
pub(crate) mod checks;
pub mod explode;
mod fingerprint;
pub mod groupby;
pub mod join;
pub mod map_batches;
pub mod materialize;
pub mod persist;
pub mod rows;
pub mod select;
pub mod write;
