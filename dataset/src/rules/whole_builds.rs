//! The rule that keeps nested-loop joins from running their left input twice: see `operators/once`.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::NestedLoopJoinExec;

use crate::operators::once::OnceExec;

/// Lets the left input of every nested-loop join run once.
#[derive(Debug)]
pub(crate) struct WholeBuilds;

impl PhysicalOptimizerRule for WholeBuilds {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
            if join.left().downcast_ref::<OnceExec>().is_some() {
                return Ok(Transformed::no(node));
            }
            let left = Arc::new(OnceExec::new(Arc::clone(join.left())));
            let right = Arc::clone(join.right());
            Ok(Transformed::yes(replace_children_if_necessary(node, vec![left, right])?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "whole_builds"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
