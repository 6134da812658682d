//! DataFusion's rule that prunes and merges projections, kept from taking two steps for one.
//!
//! In DataFusion 55 a projection over an equal one is dropped, as if the second did nothing: true of `a, b`, not of
//! `x + 1 AS x`, which adds one each time. While the rule runs, a mark stands between a projection and one below it
//! that computes a column from a column of the same name. The physical plan's own rule merges such steps later, rightly.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection, UserDefinedLogicalNodeCore};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

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
            let node = Arc::new(Step { input: Arc::unwrap_or_clone(upper.input) });
            let input = Arc::new(LogicalPlan::Extension(Extension { node }));
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
        LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref::<Step>().map(|step| &step.input),
        _ => None,
    };
    Ok(match input {
        Some(input) => Transformed::yes(input.clone()),
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
struct Step {
    input: LogicalPlan,
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Step {
    fn name(&self) -> &'static str {
        "Step"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { input }),
            _ => plan_err!("Step has one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
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
