//! The rule that lets hash joins go on as sort-merge joins when they outgrow the memory limit.
//!
//! It runs after all other rules, so that these meet the hash joins they know.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::operators::hash_join::SpillingHashJoinExec;

/// Wraps every hash join that a sort-merge join can replace.
#[derive(Debug)]
pub(crate) struct SpillJoins;

impl PhysicalOptimizerRule for SpillJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match SpillingHashJoinExec::try_new(&node)? {
                Some(spilling) => Transformed::yes(Arc::new(spilling) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "spill_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
