//! The verbs of `Dataset`: one file for each idea, each a new plan over the old one.

pub(crate) mod checks;
pub mod counts;
pub mod describe;
pub mod explode;
pub mod groupby;
pub mod join;
pub(crate) mod kinds;
pub mod map_batches;
pub mod materialize;
pub mod nulls;
pub mod reshape;
pub mod rows;
pub mod select;
pub mod sets;
pub mod write;
