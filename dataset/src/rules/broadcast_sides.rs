//! The rule that keeps the side of a join that its user marked whole in memory, as the build side: see
//! `operators/broadcast`.
//!
//! It runs after DataFusion has chosen the sides by their sizes, and before exchanges are planned for them.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode};

use crate::operators::broadcast::BroadcastExec;

/// Gives joins the build side that is marked, and takes the marks away.
#[derive(Debug)]
pub(crate) struct BroadcastSides;

impl PhysicalOptimizerRule for BroadcastSides {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let chosen = plan.transform_up(chosen).data()?;
        // The mark of a join that the optimizer has replaced says nothing any more.
        chosen.transform_up(|node| Ok(bare(node))).data()
    }

    fn name(&self) -> &'static str {
        "broadcast_sides"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The join with its marked side as the build side, which is the left one.
fn chosen(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let [left, right] = node.children()[..] else { return Ok(Transformed::no(node)) };
    let (is_left, is_right) = (is_marked(left), is_marked(right));
    if !is_left && !is_right {
        return Ok(Transformed::no(node));
    }
    let sides = vec![unmarked(left)?, unmarked(right)?];
    let node = replace_children_if_necessary(Arc::clone(&node), sides)?;
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        return Ok(Transformed::yes(match is_left {
            true => Arc::new(join.builder().with_partition_mode(PartitionMode::CollectLeft).build()?),
            false => join.swap_inputs(PartitionMode::CollectLeft)?,
        }));
    }
    // The others have their left side whole in any case.
    let swapped = match (node.downcast_ref::<NestedLoopJoinExec>(), node.downcast_ref::<CrossJoinExec>()) {
        (Some(join), _) if !is_left => join.swap_inputs()?,
        (_, Some(join)) if !is_left => join.swap_inputs()?,
        _ => node,
    };
    Ok(Transformed::yes(swapped))
}

/// Whether this side is marked: filters and projections may have come between the join and the mark.
fn is_marked(side: &Arc<dyn ExecutionPlan>) -> bool {
    side.downcast_ref::<BroadcastExec>().is_some() || matches!(side.children()[..], [input] if is_marked(input))
}

/// The side without its mark.
fn unmarked(side: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(mark) = side.downcast_ref::<BroadcastExec>() {
        return Ok(Arc::clone(mark.input()));
    }
    match side.children()[..] {
        [input] if is_marked(input) => replace_children_if_necessary(Arc::clone(side), vec![unmarked(input)?]),
        _ => Ok(Arc::clone(side)),
    }
}

fn bare(node: Arc<dyn ExecutionPlan>) -> Transformed<Arc<dyn ExecutionPlan>> {
    match node.downcast_ref::<BroadcastExec>() {
        Some(mark) => Transformed::yes(Arc::clone(mark.input())),
        None => Transformed::no(node),
    }
}
