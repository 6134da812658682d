//! Cuts a job's plan into stages: a recorded exchange wherever rows change their partition.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use sheaf_connectors::write::CommitExec;

use crate::operators::gather::OrderedGatherExec;
use crate::operators::recorded::{RecordedExec, Records};

/// Operators each of whose partitions is made from its inputs' partitions of the same number and from nothing that it
/// shares with the others. Whatever is not among them makes its stage count as a whole.
const ALONE: [&str; 24] = [
    "AggregateExec",
    "BoundedWindowAggExec",
    "CoalesceBatchesExec",
    "CompactExec",
    "CooperativeExec",
    "DataSourceExec",
    "DynamicFilterExec",
    "EmptyExec",
    "FilterExec",
    "FloatKeysExec",
    "GlobalLimitExec",
    "LazyMemoryExec",
    "LeadingRowsExec",
    "LocalLimitExec",
    "MapBatchesExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "SampleExec",
    "SortExec",
    "SortMergeJoinExec",
    "UnionExec",
    "UnnestExec",
    "WholeWindowExec",
    "WriteFilesExec",
];

/// The plan with its stages recorded. Stages are numbered from the leaves, the same way for the same plan.
pub(crate) fn cut(plan: Arc<dyn ExecutionPlan>, records: &Records) -> Result<Arc<dyn ExecutionPlan>> {
    let mut stages = 0;
    plan.transform_up(|node| {
        if let Some(exchange) = node.downcast_ref::<RepartitionExec>()
            && !exchange.preserve_order()
        {
            let whole = !alone(exchange.input());
            stages += 1;
            return Ok(Transformed::yes(Arc::new(RecordedExec::exchange(exchange, stages, whole, records)) as _));
        }
        if !gathers(&node) {
            return Ok(Transformed::no(node));
        }
        let inputs = node.children().into_iter().map(|input| {
            if is_recorded(input) {
                return Arc::clone(input);
            }
            stages += 1;
            Arc::new(RecordedExec::new(Arc::clone(input), stages, !alone(input), records)) as _
        });
        let inputs = inputs.collect();
        replace_children_if_necessary(node, inputs).map(Transformed::yes)
    })
    .data()
}

/// Whether a node reads other partitions of its input than the one that it makes.
fn gathers(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<CoalescePartitionsExec>().is_some()
        || node.downcast_ref::<OrderedGatherExec>().is_some()
        || node.downcast_ref::<SortPreservingMergeExec>().is_some()
        || node.downcast_ref::<RepartitionExec>().is_some()
        || node.downcast_ref::<CommitExec>().is_some()
}

/// Whether the rows of a node are recorded, or are nothing but such rows put together.
fn is_recorded(node: &Arc<dyn ExecutionPlan>) -> bool {
    let gathers_records = || gathers(node) && node.children().into_iter().all(is_recorded);
    node.downcast_ref::<RecordedExec>().is_some() || gathers_records()
}

/// Whether each partition of a stage can be made without the others.
fn alone(node: &Arc<dyn ExecutionPlan>) -> bool {
    if is_recorded(node) {
        return true;
    }
    let own = match node.downcast_ref::<HashJoinExec>() {
        Some(join) => joins_alone(join),
        // Sheaf's join stands around DataFusion's and does what that does.
        None => node.name() == "SpillingHashJoinExec" || ALONE.contains(&node.name()),
    };
    own && node.children().into_iter().all(alone)
}

/// Whether what a join has to say of its build side is said by each partition alone. A build side that all share says
/// which of its rows met none only when the last partition is done.
fn joins_alone(join: &HashJoinExec) -> bool {
    let probe_only = [JoinType::Inner, JoinType::Right, JoinType::RightSemi, JoinType::RightAnti, JoinType::RightMark];
    match join.partition_mode() {
        PartitionMode::Partitioned => !join.null_aware,
        PartitionMode::CollectLeft | PartitionMode::Auto => {
            probe_only.contains(join.join_type()) || join.right().output_partitioning().partition_count() == 1
        }
    }
}
