//! Puts a `ConcatExec` in place of a union whose inputs are ranges of one key that follow one another: what is above then
//! knows that equal keys are together and sorted. Stands ahead of the rule that puts exchanges and sorts where they are not.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use crate::operators::concat::ConcatExec;

/// The rule.
#[derive(Debug)]
pub(super) struct OrderedRanges;

impl PhysicalOptimizerRule for OrderedRanges {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match node.downcast_ref::<UnionExec>().and_then(ConcatExec::over) {
                Some(concat) => Transformed::yes(Arc::new(concat) as _),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "ordered_ranges"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
