//! `Session` and `Dataset`: a lazy, immutable plan over Arrow partitions, the verbs that extend it, and the
//! operators and rules that Sheaf adds to DataFusion's.

pub mod aggregates;
pub mod codec;
pub mod dataset;
mod encoding;
pub mod engines;
pub mod expr;
pub mod feed;
pub mod jobs;
mod memory;
pub mod operators;
pub mod planner;
pub mod rules;
pub mod run;
pub mod session;
mod spill;
pub mod tables;
pub mod verbs;

pub use codec::{FunctionDecoder, NoFunctions};
pub use dataset::Dataset;
pub use operators::asof_join::AsofStrategy;
pub use operators::map_batches::{BatchFunction, BatchPosition, FailureOptions, MapBatchesOptions, OnError, Outputs};
pub use operators::map_groups::GroupCalls;
pub use operators::mix::MixStop;
pub use operators::write::WriteReport;
pub use run::{Run, RunProgress, Watch};
pub use session::{MemoryUse, Session};
pub use spill::remove_spill_folders;
pub use verbs::asof_join::{AsofOptions, Tolerance};
pub use verbs::checkpoint::CheckpointOptions;
pub use verbs::counts::ValueCounts;
pub use verbs::describe::PERCENTILES;
pub use verbs::dynamic_groups::{DynamicGroups, DynamicOptions, Label};
pub use verbs::explode::ExplodeOptions;
pub use verbs::groupby::GroupedDataset;
pub use verbs::join::{JoinOptions, JoinType, Side};
pub use verbs::map_overlap::OverlapOptions;
pub use verbs::nulls::NullFill;
pub use verbs::numbered::Keep;
pub use verbs::partitions::{PartitionSize, RepartitionOptions, SetIndexOptions};
pub use verbs::rolling::{Closed, Reach, RollingDataset, RollingOptions};
pub use verbs::sample::{SampleOptions, SampleSize};
pub use verbs::splits::SplitOptions;
