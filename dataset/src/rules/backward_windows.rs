//! The rule that lets windows stream whose frames reach to the end of their partition.
//!
//! `sum(x)` from the current row on is a running sum of the rows in the reverse order. So they are sorted backward, on
//! disk where memory is short, computed as they stream, and sorted back. DataFusion does so only where rows come in the
//! reverse order by themselves, and otherwise holds whole partitions in memory.
//!
//! It runs after DataFusion's rules, which would turn windows round again to spare a sort.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ReversedUDAF;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

/// The rule.
#[derive(Debug)]
pub(super) struct BackwardWindows;

impl PhysicalOptimizerRule for BackwardWindows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<WindowAggExec>() else { return Ok(Transformed::no(node)) };
            Ok(match streamed(window)? {
                Some(streamed) => Transformed::yes(streamed),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "backward_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same window of operators that stream, where all of its functions can be turned round or stream already.
fn streamed(window: &WindowAggExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (mut forward, mut backward, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for call in window.window_expr() {
        if call.uses_bounded_memory() {
            places.push((true, forward.len()));
            forward.push(Arc::clone(call));
        } else if let Some(reversed) = reversed(call) {
            places.push((false, backward.len()));
            backward.push(reversed);
        } else {
            return Ok(None);
        }
    }
    let Some(order) = window.window_expr().first().map(|call| call.order_by()) else { return Ok(None) };
    let keys = window.partition_by_sort_keys()?;
    let sorted = |order: Vec<PhysicalSortExpr>| LexOrdering::new(keys.iter().cloned().chain(order));
    let back = sorted(order.iter().map(PhysicalSortExpr::reverse).collect());
    let (false, Some(back), Some(forth)) = (order.is_empty(), back, sorted(order.to_vec())) else { return Ok(None) };
    let mut plan = match window.input().downcast_ref::<SortExec>() {
        // Nothing looks at the rows in that order.
        Some(sort) if forward.is_empty() && sort.fetch().is_none() && sort.preserve_partitioning() => {
            Arc::clone(sort.input())
        }
        _ => Arc::clone(window.input()),
    };
    let inputs = plan.schema().fields().len();
    let counted = forward.len();
    for (calls, order) in [(forward, None), (backward, Some(back))] {
        if calls.is_empty() {
            continue;
        }
        if let Some(order) = order {
            plan = Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true));
        }
        plan = Arc::new(BoundedWindowAggExec::try_new(calls, plan, InputOrderMode::Sorted, true)?);
    }
    plan = Arc::new(SortExec::new(forth, plan).with_preserve_partitioning(true));
    let places = places.into_iter().map(|(forward, at)| inputs + if forward { at } else { counted + at });
    let schema = plan.schema();
    let columns = (0..inputs).chain(places).map(|at| {
        let name = schema.field(at).name();
        (Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>, name.clone())
    });
    Ok(Some(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?)))
}

/// The function over the rows in the reverse order.
fn reversed(call: &Arc<dyn WindowExpr>) -> Option<Arc<dyn WindowExpr>> {
    let plain = call.as_any().downcast_ref::<PlainAggregateWindowExpr>().map(|call| call.get_aggregate_expr());
    let sliding = call.as_any().downcast_ref::<SlidingAggregateWindowExpr>().map(|call| call.get_aggregate_expr());
    if let Some(aggregate) = plain.or(sliding)
        && let ReversedUDAF::Reversed(other) = aggregate.fun().reverse_udf()
        && !["first_value", "last_value"].contains(&other.name())
    {
        // Lists and texts would come out in the reverse order.
        return None;
    }
    call.get_reverse_expr().filter(|reversed| reversed.uses_bounded_memory())
}
