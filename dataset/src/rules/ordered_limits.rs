//! Gathers partitions in their order where a limit or an offset counts rows.
//!
//! `DataFusion` gathers whatever is ready first, and which rows `limit` gives is then a race. Runs after its rules,
//! which add and take away gathers as they like.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::limit::GlobalLimitExec;

use crate::operators::gather::OrderedGatherExec;

/// The rule.
#[derive(Debug)]
pub(super) struct OrderedLimits;

impl PhysicalOptimizerRule for OrderedLimits {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_down(|node| {
            if let Some(gather) = node.downcast_ref::<CoalescePartitionsExec>()
                && gather.fetch().is_some()
            {
                return Ok(Transformed::yes(ordered(gather)));
            }
            let Some(limit) = node.downcast_ref::<GlobalLimitExec>() else { return Ok(Transformed::no(node)) };
            match limit.input().downcast_ref::<CoalescePartitionsExec>() {
                Some(gather) => {
                    let input = ordered(gather);
                    Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?))
                }
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "ordered_limits"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn ordered(gather: &CoalescePartitionsExec) -> Arc<dyn ExecutionPlan> {
    Arc::new(OrderedGatherExec::new(Arc::clone(gather.input()), gather.fetch()))
}
