//! Which operators may run in many tasks, each of which has some of the rows.
//!
//! Whatever is not named here counts rows, draws from them, or keeps them beside one another across partitions, and is
//! right only where it sees all of them. A plan that has such an operator is one task on one node.

use std::sync::Arc;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion_distributed::DistributedLeafExec;

use super::leaves::is_divisible;
use super::pools::{is_tied, leaves_alone};
use crate::operators::map_batches::MapBatchesExec;

/// Operators that work on one row, one group or one partition at a time, or that datafusion-distributed gives all rows.
const SPREAD: [&str; 37] = [
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
    "LazyMemoryExec",
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
    "StoredExec",
    "UnionExec",
    "UnnestExec",
    "WholeWindowExec",
    "WindowAggExec",
    "WriteFilesExec",
];

/// An operator of a plan that has to see all rows, or files that are read from their start, or a function that has fewer
/// processes than there are nodes and cannot have a stage of its own, if there is any.
#[must_use]
pub fn unspread(plan: &Arc<dyn ExecutionPlan>, nodes: usize) -> Option<String> {
    unspread_below(plan, nodes, true)
}

fn unspread_below(plan: &Arc<dyn ExecutionPlan>, nodes: usize, is_alone: bool) -> Option<String> {
    // Some tell more of themselves behind their name.
    let name = plan.name().split('(').next().unwrap_or_default();
    let is_known = SPREAD.binary_search(&name).is_ok();
    if !is_known || needs_the_one_partition(plan) {
        return Some(plan.name().to_string());
    }
    if let Some(calls) = plan.downcast_ref::<MapBatchesExec>() {
        if is_tied(plan, nodes, is_alone) {
            return Some(format!("{}, which has fewer processes than there are nodes", plan.name()));
        }
        // Tasks that wrote to the same place at once would take it from one another.
        if calls.options().failures.dead_letter.is_some() {
            return Some(format!("{} with a dead_letter", plan.name()));
        }
    }
    if let Some(scan) = scan_of(plan) {
        if !can_be_split(scan) {
            return Some(format!("{} of {} files", plan.name(), scan.file_source().file_type()));
        }
        // With one partition, nothing but the scan counts the rows.
        if scan.limit.is_some() && scan.file_groups.len() == 1 {
            return Some("a limit over one partition".to_string());
        }
    }
    let is_alone = leaves_alone(plan, is_alone);
    plan.children().into_iter().find_map(|child| unspread_below(child, nodes, is_alone))
}

/// Whether a plan calls functions of the user's for batches.
#[must_use]
pub fn calls_functions(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<MapBatchesExec>() || plan.children().into_iter().any(calls_functions)
}

/// The bytes of the files of that scan of a plan which has most.
#[must_use]
pub fn largest_scan(plan: &Arc<dyn ExecutionPlan>) -> usize {
    // What is cut for tasks is all of it.
    if let Some(leaf) = plan.downcast_ref::<DistributedLeafExec>() {
        return largest_scan(leaf.original());
    }
    let files = scan_of(plan).into_iter().flat_map(|scan| &scan.file_groups).flat_map(|group| group.files());
    let bytes = files.map(|file| match &file.range {
        Some(range) => usize::try_from(range.end - range.start).unwrap_or_default(),
        None => file.object_meta.size as usize,
    });
    plan.children().into_iter().map(largest_scan).fold(bytes.sum(), usize::max)
}

fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// Whether files may be read in pieces, as their format says: datafusion-distributed cuts them without asking.
fn can_be_split(scan: &FileScanConfig) -> bool {
    let mut files = scan.file_groups.iter().flat_map(|group| group.files());
    // What is cut already was asked about.
    if files.any(|file| file.range.is_some()) {
        return true;
    }
    matches!(scan.file_source().repartitioned(2, 0, None, scan), Ok(Some(_)))
}

/// Whether an operator counts on its input being one partition, or all of a key being in it, because there is but one
/// partition of files: where these are cut for many tasks, each of them would see some of the rows. Joins are looked
/// after by datafusion-distributed.
fn needs_the_one_partition(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let [input] = plan.children()[..] else { return false };
    if input.output_partitioning().partition_count() != 1 || plan.is::<RepartitionExec>() {
        return false;
    }
    let requirements = plan.input_distribution_requirements();
    let is_free = matches!(requirements.child_distribution(0), None | Some(Distribution::UnspecifiedDistribution));
    (!is_free || plan.fetch().is_some()) && ends_in_files(input)
}

/// Whether there are files below with no operator in between that brings the rows of all tasks together.
fn ends_in_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<CoalescePartitionsExec>() || plan.is::<SortPreservingMergeExec>() {
        return false;
    }
    // An exchange by hash is where tasks meet.
    let exchange = plan.downcast_ref::<RepartitionExec>().map(RepartitionExec::partitioning);
    if matches!(exchange, Some(Partitioning::Hash(..))) {
        return false;
    }
    scan_of(plan).is_some() || is_divisible(plan) || plan.children().into_iter().any(ends_in_files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(SPREAD.is_sorted());
    }
}
