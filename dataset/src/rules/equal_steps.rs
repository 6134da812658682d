//! DataFusion's rule that prunes and merges projections, kept from taking two steps for one.
//!
//! In DataFusion 55 a projection over an equal one is dropped, as if the second did nothing: true of `a, b`, not of
//! `x + 1 AS x`, which adds one each time. While the rule runs, a mark stands between a projection and one below it
//! that computes a column from a column of the same name. The physical plan's own rule merges such steps later,
//! rightly.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::operators::node::{LogicalOperator, OperatorNode, keeps_columns};
use crate::operators::plan_of;

/// A rule that merges projections, with marks between steps that could be taken for one while it runs.
#[derive(Debug)]
pub(crate) struct MarkedSteps(pub(crate) Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for MarkedSteps {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let marked = plan.transform_up_with_subqueries(mark)?;
        if !marked.transformed {
            return self.0.rewrite(marked.data, config);
        }
        let merged = self.0.rewrite(marked.data, config)?;
        let bare = merged.data.transform_up_with_subqueries(unmark)?;
        Ok(Transformed::new_transformed(bare.data, merged.transformed))
    }
}

/// A projection over one that is not the same when it is done twice.
fn mark(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(upper) = plan else { return Ok(Transformed::no(plan)) };
    match upper.input.as_ref() {
        LogicalPlan::Projection(lower) if !is_the_same_twice(&lower.expr) => {
            let marked = OperatorNode::keeping_columns(Step, Arc::unwrap_or_clone(upper.input));
            let input = Arc::new(plan_of(marked));
            Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new_with_schema(
                upper.expr,
                input,
                upper.schema,
            )?)))
        }
        _ => Ok(Transformed::no(LogicalPlan::Projection(upper))),
    }
}

fn unmark(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let input = match &plan {
        LogicalPlan::Extension(Extension { node }) => OperatorNode::<Step, 1>::parts(node.as_ref()),
        _ => None,
    };
    Ok(match input {
        Some((Step, [input])) => Transformed::yes(input.clone()),
        None => Transformed::no(plan),
    })
}

/// Whether no column is computed from others under a name that the projection reads.
fn is_the_same_twice(exprs: &[Expr]) -> bool {
    let read: HashSet<&str> = exprs.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
    exprs.iter().all(|expr| match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => {
            let is_itself = matches!(&*alias.expr, Expr::Column(column) if column.name == alias.name);
            is_itself || !read.contains(alias.name.as_str())
        }
        other => !read.contains(other.schema_name().to_string().as_str()),
    })
}

/// Stands between two steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Step;

impl LogicalOperator<1> for Step {
    const NAME: &'static str = "Step";

    keeps_columns!();

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn steps_that_read_what_they_compute_are_not_the_same_twice() {
        for exprs in
            [vec![col("x") + lit(1)], vec![col("a"), (col("a") + lit(1)).alias("b")], vec![col("x").alias("x")]]
        {
            assert!(is_the_same_twice(&exprs), "{exprs:?}");
        }
        let swap = vec![col("a").alias("b"), col("b").alias("a")];
        for exprs in [vec![(col("x") + lit(1)).alias("x")], swap, vec![col("a"), (col("a") + col("b")).alias("b")]] {
            assert!(!is_the_same_twice(&exprs), "{exprs:?}");
        }
    }
}
