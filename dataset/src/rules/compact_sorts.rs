//! The rule that puts `CompactExec` around the sorts that may spill: see `operators/compact`.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::sorts::sort::SortExec;

use crate::operators::compact::CompactExec;

/// Compacts what goes into a sort and what comes out.
#[derive(Debug)]
pub(crate) struct CompactSorts;

impl PhysicalOptimizerRule for CompactSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            // The first rows of an order are kept in a heap that copies them.
            let Some(sort) = node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else {
                return Ok(Transformed::no(node));
            };
            let input = CompactExec::around(Arc::clone(sort.input()));
            Ok(Transformed::yes(CompactExec::around(replace_children_if_necessary(node, vec![input])?)))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "compact_sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
