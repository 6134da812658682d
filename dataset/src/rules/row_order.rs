//! Keeps the rows of a plan in the order of its sources, wherever that order can be seen: in the result, under a limit,
//! and below operators that count rows.
//!
//! `DataFusion` reads files in partitions that take one another's, gathers whatever is ready first, and deals the batches
//! of few partitions to many; each changes the order. All three stay where nobody can tell: below sorts, groups and
//! exchanges by hash. Runs after its rules, which add and take away exchanges as they like.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use crate::operators::concat::ConcatExec;
use crate::operators::gather::OrderedGatherExec;
use crate::operators::map_batches::MapBatchesExec;
use crate::operators::own_files;
use crate::operators::partition::counts_rows;

/// The rule.
#[derive(Debug)]
pub(super) struct RowOrder;

impl PhysicalOptimizerRule for RowOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        kept(plan, true)
    }

    fn name(&self) -> &'static str {
        "row_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan, which keeps the order of its rows if that `counts`.
fn kept(plan: Arc<dyn ExecutionPlan>, counts: bool) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(gather) = plan.downcast_ref::<CoalescePartitionsExec>()
        && (counts || gather.fetch().is_some())
    {
        let input = kept(Arc::clone(gather.input()), true)?;
        return Ok(Arc::new(OrderedGatherExec::new(input, gather.fetch())));
    }
    if let Some(exchange) = plan.downcast_ref::<RepartitionExec>()
        && counts
        && matches!(exchange.partitioning(), Partitioning::RoundRobinBatch(_))
    {
        return kept(Arc::clone(exchange.input()), true);
    }
    let children = plan.children().into_iter().enumerate();
    let children = children.map(|(at, child)| kept(Arc::clone(child), counts_below(&plan, at, counts)));
    let children = children.collect::<Result<Vec<_>>>()?;
    let plan = replace_children_if_necessary(plan, children)?;
    Ok(if counts { own_files::of_scan(plan) } else { plan })
}

fn is_by_hash(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let exchange = plan.downcast_ref::<RepartitionExec>();
    exchange.is_some_and(|exchange| matches!(exchange.partitioning(), Partitioning::Hash(..)))
}

/// Whether the order of the rows of an input can be seen, where that of the node's own `counts` or not.
fn counts_below(plan: &Arc<dyn ExecutionPlan>, input: usize, counts: bool) -> bool {
    if counts_rows(plan) || plan.is::<GlobalLimitExec>() || plan.is::<LocalLimitExec>() {
        return true;
    }
    // What is sorted is so by its keys, whatever order it came in; groups have none, also where they come by their keys.
    let is_by_keys = plan.is::<SortExec>() || plan.is::<SortPreservingMergeExec>() || plan.is::<AggregateExec>();
    if !counts || is_by_keys || is_by_hash(plan) {
        return false;
    }
    // These give rows in the order of their input, but claim none for it: a sort by a column need not hold above.
    let puts_together = plan.is::<UnionExec>() || plan.is::<ConcatExec>();
    let follows = puts_together || plan.is::<UnnestExec>() || plan.is::<MapBatchesExec>();
    follows || plan.fetch().is_some() || plan.maintains_input_order().get(input).copied().unwrap_or(false)
}
