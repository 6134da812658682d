//! The rule that takes dynamic filters from joins whose partitions could wait for one that nobody reads.
//!
//! In DataFusion 55 each partition of a join with one build side for all of them, when it makes a dynamic filter, waits
//! until every partition has seen that build side. One that is let go before it was read never tells (those of a join
//! with a build side for each partition do): where a join above finds no row in one of its own build sides, it lets go of
//! that partition of its probe side, and the other partitions wait for ever. Such a join goes without its filter.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};

use super::joins_below::JoinsBelow;
use crate::operators::hash_join::is_spread;

/// Operators that read all partitions of their input, whichever of their own are read.
const READ_ALL: [&str; 5] =
    ["CoalescePartitionsExec", "OrderedGatherExec", "RepartitionExec", "SkewedExchangeExec", "SortPreservingMergeExec"];

/// Operators that read of their inputs the partition that is read of them, and from its start; of two inputs, all
/// partitions or none.
const READ_THEIR_OWN: [&str; 19] = [
    "AggregateExec",
    "BoundedWindowAggExec",
    "BroadcastExec",
    "CompactExec",
    "CooperativeExec",
    "CrossJoinExec",
    "DynamicFilterExec",
    "FilterExec",
    "InterleaveExec",
    "KeysFilterExec",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "OnceExec",
    "ProjectionExec",
    "SortExec",
    "UnionExec",
    "UnnestExec",
    "WindowAggExec",
    "WriteFilesExec",
];

/// Takes these filters away. It runs after DataFusion's push-down of dynamic filters, before hash joins are wrapped.
#[derive(Debug)]
pub(crate) struct WaitingFilters;

impl PhysicalOptimizerRule for WaitingFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.walk(&plan, false)
    }

    fn name(&self) -> &'static str {
        "waiting_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl JoinsBelow for WaitingFilters {
    /// Whether partitions of an operator's input may be let go before they are read.
    fn says(&self, plan: &Arc<dyn ExecutionPlan>, input: usize, may_go: bool) -> bool {
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            // The build side is read before anything else; with one for all partitions, all of the probe side goes or
            // none.
            return may_go || (input == 1 && *join.partition_mode() == PartitionMode::Partitioned);
        }
        let name = plan.name();
        !READ_ALL.contains(&name) && (may_go || !READ_THEIR_OWN.contains(&name))
    }

    fn changed(&self, join: &HashJoinExec, may_go: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        (may_go && waits(join)).then(|| join.builder().reset_state().build_exec()).transpose()
    }
}

/// Whether a join's partitions wait for each other.
fn waits(join: &HashJoinExec) -> bool {
    is_spread(join) && !join.dynamic_expressions_produced().is_empty()
}
