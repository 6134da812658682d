//! Plans in which chance decides nothing: made again, from the same rows, they give the same rows in the same order.
//!
//! The rules keep the order of rows where it can be seen; a group, a join or a sort with equal keys still gives rows as
//! its inputs happen to come. Here every place where partitions flow together takes them in turn. That costs: what is
//! below an exchange runs in as many threads as are read at once, a few batches ahead.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::config::SessionConfig;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::gather::OrderedGatherExec;
use super::own_files;
use super::partition::PartitionExec;

/// What operators tell each other while they run is off, and with it the rules that count on it: two of a plan may run in
/// different tasks, or see some of the rows only.
pub(crate) fn keep_apart(options: &mut ConfigOptions) {
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
}

/// The mark, in a session's settings, of plans that are settled.
#[derive(Debug)]
pub(crate) struct Settled;

/// What operators tell each other while they run is off: which rows a filter leaves out early, and so how long batches
/// are and which of equal rows are first, would depend on what another operator has seen by then.
///
/// Such a plan runs in this process, whatever the session runs elsewhere: what its rows are recorded or counted by has to
/// see them in the same order again.
pub(crate) fn settle(config: &mut SessionConfig) {
    config.set_extension(Arc::new(Settled));
    let options = config.options_mut();
    keep_apart(options);
    // Else it becomes one that takes whichever input is ready.
    options.optimizer.prefer_existing_union = true;
}

/// The plan, which was made under these settings, with its partitions flowing together in their order.
pub(crate) fn determined(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if let Some(gather) = node.downcast_ref::<CoalescePartitionsExec>() {
            let input = Arc::clone(gather.input());
            return Ok(Transformed::yes(Arc::new(OrderedGatherExec::new(input, gather.fetch())) as _));
        }
        if takes_what_is_ready(&node) {
            let inputs = node.children().into_iter().map(|input| OrderedGatherExec::over(Arc::clone(input))).collect();
            return replace_children_if_necessary(node, inputs).map(Transformed::yes);
        }
        Ok(Transformed::yes(own_files::of_scan(node)))
    })
    .data()
}

/// Whether the order in which the partitions of its inputs are done decides what this node gives.
fn takes_what_is_ready(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(exchange) = node.downcast_ref::<RepartitionExec>() {
        return !exchange.preserve_order();
    }
    if let Some(exchange) = node.downcast_ref::<PartitionExec>() {
        return !exchange.counts_rows();
    }
    // The first rows of a sort: partitions leave out what others have better rows for by then, equal ones too.
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        return sort.fetch().is_some();
    }
    // With a build side that all share, whoever ends last gives the rows of it that met none.
    let hash = node.downcast_ref::<HashJoinExec>();
    hash.is_some_and(|join| *join.partition_mode() != PartitionMode::Partitioned && gives_build_rows(*join.join_type()))
        || node.downcast_ref::<NestedLoopJoinExec>().is_some_and(|join| gives_build_rows(*join.join_type()))
}

/// Whether a join of this kind gives rows of its build side when all of the probe side is known.
pub(crate) fn gives_build_rows(kind: JoinType) -> bool {
    matches!(kind, JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}
