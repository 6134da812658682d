//! Scans whose partitions each read their own files, and every row group of them in turn: which rows a partition has,
//! and in which order, is decided before it runs. By default a partition that is done reads the files of another.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

/// The scan so; any other node as it is.
pub(crate) fn of_scan(node: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let own = if node.children().is_empty() { node.with_preserve_order(true) } else { None };
    own.unwrap_or(node)
}

/// The plan with all its scans so, for whoever runs a partition again and must get the same rows.
pub(crate) fn everywhere(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| match node.children().is_empty() {
        true => Ok(Transformed::yes(of_scan(node))),
        false => Ok(Transformed::no(node)),
    })
    .data()
}
