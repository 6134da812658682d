//! DataFusion's rule that hands filters down, kept from handing a filter without columns below nodes that count rows.
//!
//! A node of ours names the columns whose filters stay above it. In DataFusion 55 that does not hold a filter that
//! names no column, `random() < 0.5`: it would leave out rows before they are numbered, and each side of a zip other
//! ones.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// A rule that hands filters down, kept from some.
#[derive(Debug)]
pub(crate) struct KeptFilters(pub(crate) Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for KeptFilters {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match stays(&plan) {
            true => Ok(Transformed::no(plan)),
            false => self.0.rewrite(plan, config),
        }
    }
}

/// Whether this is a filter, a part of which names no column, over a node that some filters stay above.
fn stays(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Filter(filter) = plan else { return false };
    let LogicalPlan::Extension(below) = filter.input.as_ref() else { return false };
    !below.node.prevent_predicate_push_down_columns().is_empty()
        && split_conjunction(&filter.predicate).iter().any(|part| part.column_refs().is_empty())
}
