//! Shows what operators stand on that hid it from the other rules: for those who run the plan and tell of it.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::operators::epochs::record::RecordEpochExec;

/// The rule; the last one.
#[derive(Debug)]
pub(super) struct ShownInputs;

impl PhysicalOptimizerRule for ShownInputs {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let shown = plan.transform_up(|node| {
            let opened = node.downcast_ref::<RecordEpochExec>().and_then(RecordEpochExec::opened);
            Ok(opened.map_or_else(|| Transformed::no(node), |opened| Transformed::yes(Arc::new(opened) as _)))
        });
        shown.data()
    }

    fn name(&self) -> &'static str {
        "shown_inputs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
