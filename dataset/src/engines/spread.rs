//! Which operators may run in many tasks, each of which has some of the rows.
//!
//! Whatever is not named here counts rows, draws from them, or keeps them beside one another across partitions, and is
//! right only where it sees all of them. A plan that has such an operator is one task on one node.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

/// Operators that work on one row, one group or one partition at a time, or that datafusion-distributed gives all rows.
const SPREAD: [&str; 34] = [
    "AggregateExec",
    "BoundedWindowAggExec",
    "BroadcastExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CompactExec",
    "CooperativeExec",
    "CrossJoinExec",
    "DataSourceExec",
    "EmptyExec",
    "FeedExec",
    "FilterExec",
    "FloatKeysExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "InterleaveExec",
    "LeadingRowsExec",
    "LocalLimitExec",
    "MapBatchesExec",
    "NestedLoopJoinExec",
    "OnceExec",
    "PartialSortExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "ReplayExec",
    "SortExec",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "SpillingHashJoinExec",
    "UnionExec",
    "UnnestExec",
    "WholeWindowExec",
    "WindowAggExec",
];

/// An operator of a plan that has to see all rows, if it has one.
#[must_use]
pub fn unspread(plan: &Arc<dyn ExecutionPlan>) -> Option<&str> {
    // Some tell more of themselves behind their name.
    let name = plan.name().split('(').next().unwrap_or_default();
    if SPREAD.binary_search(&name).is_err() {
        return Some(plan.name());
    }
    plan.children().into_iter().find_map(unspread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(SPREAD.is_sorted());
    }
}
