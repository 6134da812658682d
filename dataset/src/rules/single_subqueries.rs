//! The rule that lets scalar subqueries be joins: where one may give several rows, that is an error and no more rows.
//!
//! In one process DataFusion runs subqueries before the rest of the plan and sees how many rows they give. The tasks of
//! a plan on a cluster know nothing of that, so subqueries are joined there; DataFusion 55 joins all rows that they
//! give.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::aggregates::single_value;

/// DataFusion's rule that joins subqueries.
const JOINED: &str = "scalar_subquery_to_join";

/// The rule.
#[derive(Debug)]
struct SingleSubqueries;

/// These rules with this one before that which joins subqueries.
pub(crate) fn with(rules: &[Arc<dyn OptimizerRule + Send + Sync>]) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut with = Vec::with_capacity(rules.len() + 1);
    for rule in rules.iter().filter(|rule| rule.name() != SingleSubqueries.name()) {
        if rule.name() == JOINED {
            with.push(Arc::new(SingleSubqueries) as Arc<dyn OptimizerRule + Send + Sync>);
        }
        with.push(Arc::clone(rule));
    }
    with
}

impl OptimizerRule for SingleSubqueries {
    fn name(&self) -> &'static str {
        "single_subqueries"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(|expr| {
            expr.transform_up(|expr| match expr {
                Expr::ScalarSubquery(subquery) if may_give_more(&subquery) => {
                    single(subquery).map(|subquery| Transformed::yes(Expr::ScalarSubquery(subquery)))
                }
                expr => Ok(Transformed::no(expr)),
            })
        })
    }
}

/// Whether a subquery that is the same for all rows may give more than one.
fn may_give_more(subquery: &Subquery) -> bool {
    subquery.outer_ref_columns.is_empty() && subquery.subquery.max_rows().is_none_or(|rows| rows > 1)
}

fn single(subquery: Subquery) -> Result<Subquery> {
    let plan = Arc::unwrap_or_clone(subquery.subquery);
    let column = Column::from(plan.schema().qualified_field(0));
    let value =
        AggregateFunction::new_udf(single_value(), vec![Expr::Column(column.clone())], false, None, vec![], None);
    let value = Expr::AggregateFunction(value);
    let named = Expr::Column(Column::from_name(value.schema_name().to_string()));
    let named = match column.relation {
        Some(relation) => named.alias_qualified(Some(relation), column.name),
        None => named.alias(column.name),
    };
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![value])?.project(vec![named])?;
    Ok(Subquery { subquery: Arc::new(plan.build()?), ..subquery })
}

#[cfg(test)]
mod tests {
    use datafusion::optimizer::Optimizer;

    use super::*;

    #[test]
    fn the_rule_that_joins_them_is_there() {
        let rules = with(&Optimizer::new().rules);
        assert_eq!(rules.len(), Optimizer::new().rules.len() + 1, "DataFusion has renamed its rule");
        assert_eq!(with(&rules).len(), rules.len(), "once is enough");
    }
}
