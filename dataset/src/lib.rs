//! `Session` and `Dataset`: a lazy, immutable plan over Arrow partitions, the verbs that extend it, and the
//! operators and rules that Sheaf adds to DataFusion's.

pub mod dataset;
pub mod expr;
mod memory;
pub mod operators;
pub mod planner;
pub mod rules;
pub mod run;
pub mod session;
mod spill;
pub mod tables;
pub mod verbs;

pub use dataset::Dataset;
pub use operators::map_batches::{BatchFunction, BatchPosition, MapBatchesOptions};
pub use run::{Run, RunProgress, Watch};
pub use session::{MemoryUse, Session};
pub use spill::remove_spill_folders;
pub use verbs::groupby::GroupedDataset;
pub use verbs::join::{JoinOptions, JoinType};
pub use verbs::partitions::{PartitionSize, RepartitionOptions, SetIndexOptions};
pub use verbs::write::WriteReport;
