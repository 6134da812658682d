//! The rule that lets counts of rows count something small.
//!
//! `count(*)` is `count(1)` to DataFusion, and an aggregate makes an array of what it counts for every batch: eight
//! bytes for each row, written to be counted. `true` is one bit.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::count::Count;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Literal, lit};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Replaces the number in `count(1)`.
#[derive(Debug)]
pub(crate) struct LightCounts;

impl PhysicalOptimizerRule for LightCounts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(node)) };
            let light: Vec<_> = aggregate.aggr_expr().iter().map(|function| lightened(function)).collect();
            if light.iter().all(Option::is_none) {
                return Ok(Transformed::no(node));
            }
            let functions = aggregate.aggr_expr().iter().zip(light);
            let functions: Vec<_> =
                functions.map(|(function, light)| light.map_or_else(|| Arc::clone(function), Arc::new)).collect();
            Ok(Transformed::yes(Arc::new(aggregate.with_new_aggr_exprs(functions)) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "light_counts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same count over a literal of one bit, if it is over a literal that is larger.
fn lightened(function: &AggregateFunctionExpr) -> Option<AggregateFunctionExpr> {
    if function.is_distinct() || function.fun().inner().downcast_ref::<Count>().is_none() {
        return None;
    }
    let arguments = function.expressions();
    let [argument] = arguments.as_slice() else { return None };
    let value = argument.downcast_ref::<Literal>()?.value();
    match value {
        ScalarValue::Boolean(_) => None,
        value if value.is_null() => None,
        _ => function.with_new_expressions(vec![lit(true)], Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// The arguments of the aggregates in a plan, from the top.
    fn counted(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
        let own = plan.downcast_ref::<AggregateExec>().into_iter().flat_map(AggregateExec::aggr_expr);
        let own = own.flat_map(|function| function.expressions()).map(|argument| argument.to_string());
        own.chain(plan.children().into_iter().flat_map(counted)).collect()
    }

    #[tokio::test]
    async fn only_counts_of_a_number_change_and_none_changes_its_value() {
        let context = SessionContext::new();
        for (query, arguments) in [
            ("SELECT count(*) FROM (VALUES (1), (2)) t(x) WHERE x > 0", "true"),
            ("SELECT count(7) FROM (VALUES (1), (2)) t(x) WHERE x > 0", "true"),
            ("SELECT x, count(*) FROM (VALUES (1), (2)) t(x) GROUP BY x ORDER BY x", "true"),
            ("SELECT count(x) FROM (VALUES (1), (NULL)) t(x)", "x@0"),
            ("SELECT sum(1) FROM (VALUES (1), (2)) t(x) WHERE x > 0", "1"),
        ] {
            let frame = context.sql(query).await.unwrap();
            let plan = frame.clone().create_physical_plan().await.unwrap();
            let light = LightCounts.optimize(plan, &ConfigOptions::default()).unwrap();
            assert!(
                counted(&light).iter().all(|argument| argument.starts_with(arguments)),
                "{query}: {:?}",
                counted(&light)
            );
            let rows = collect(light, context.task_ctx()).await.unwrap();
            assert_eq!(rows, frame.collect().await.unwrap(), "{query}");
        }
    }
}
