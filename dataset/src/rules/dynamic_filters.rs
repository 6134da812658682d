//! The rule that lets dynamic filters drop rows right above the scans: see `operators/dynamic_filter`.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::HashJoinExec;

use crate::operators::dynamic_filter::DynamicFilterExec;
use crate::operators::float_keys::FloatKeysExec;
use crate::operators::keys_filter::KeysFilterExec;

/// Puts a node that takes dynamic filters on every leaf of a plan, and one that stops them on both sides of joins with
/// floating-point keys (`operators/float_keys`). It runs right before DataFusion's push-down of dynamic filters,
/// which takes away the second kind, and of the first those that got no filter.
#[derive(Debug)]
pub(crate) struct DynamicFilters;

impl PhysicalOptimizerRule for DynamicFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if node.children().is_empty() {
                return Ok(Transformed::yes(Arc::new(DynamicFilterExec::new(node)) as Arc<dyn ExecutionPlan>));
            }
            // What no scan takes of the keys of others is used before rows are sent to them.
            if let Some(filter) = node.downcast_ref::<KeysFilterExec>() {
                let input = Arc::new(DynamicFilterExec::new(Arc::clone(filter.input())));
                return Ok(Transformed::yes(Arc::new(filter.over(input)) as Arc<dyn ExecutionPlan>));
            }
            let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(node)) };
            if !FloatKeysExec::has_any(join)? {
                return Ok(Transformed::no(node));
            }
            let guarded = |input| Arc::new(FloatKeysExec::new(Arc::clone(input))) as Arc<dyn ExecutionPlan>;
            let inputs = vec![guarded(join.left()), guarded(join.right())];
            Ok(Transformed::yes(replace_children_if_necessary(node, inputs)?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "dynamic_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
