//! Feeds for training: the rows of an epoch in an order that can be gone on with from any row, for one trainer or for
//! several. What decides is pure: [`RowSet`], [`LocalShuffle`] and [`Deal`]; [`Feed`] runs the plan.

mod cut;
mod deal;
mod fingerprint;
mod order;
mod rows;
#[cfg(test)]
mod simulation;
mod stream;

pub use cut::Cut;
pub use deal::Deal;
pub use fingerprint::fingerprint;
pub use order::LocalShuffle;
pub use rows::RowSet;
pub use stream::{Feed, FeedOptions, FeedStopper, FeedTimes};
