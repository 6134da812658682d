//! Columns of Python objects are carried, and nothing else: the engine has no order, no equality and no arithmetic of
//! them.
//!
//! Their bytes are pickles, which may differ for objects that are equal. What would compare them is refused before it
//! gives an answer.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema};
use datafusion::error::Result;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::objects::{is_object, refused};
use sheaf_core::Error;

use crate::expr::UserFunction;

/// Aggregates that take a value as it is, or only ask whether there is one.
const CARRYING: [&str; 3] = ["count", "first_value", "last_value"];

/// DataFusion's rules, after a look at what a plan does with objects: theirs would tell of bytes.
pub(super) fn analyzer() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(ObjectColumns));
    rules
}

/// See the module.
#[derive(Debug)]
struct ObjectColumns;

impl AnalyzerRule for ObjectColumns {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            check_node(node).map_err(to_datafusion)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "object_columns"
    }
}

/// Fails where the node compares objects, or computes with them.
pub(crate) fn check_node(node: &LogicalPlan) -> sheaf_core::Result<()> {
    let inputs = node.inputs();
    let schemas: Vec<&DFSchema> = match node {
        // Its expressions are over the one that it has itself.
        LogicalPlan::TableScan(scan) => vec![scan.projected_schema.as_ref()],
        _ => inputs.iter().map(|input| input.schema().as_ref()).collect(),
    };
    if !schemas.iter().any(|schema| has_objects(schema)) {
        return Ok(());
    }
    let exprs = node.expressions();
    match node {
        LogicalPlan::Projection(_) => exprs.iter().try_for_each(|expr| check_value(expr, &schemas)),
        LogicalPlan::Aggregate(aggregate) => {
            let keys =
                aggregate.group_expr.iter().try_for_each(|key| check_key(key, &schemas, "the engine cannot group"));
            keys?;
            aggregate.aggr_expr.iter().try_for_each(|expr| check_value(expr, &schemas))
        }
        LogicalPlan::Sort(_) => {
            exprs.iter().try_for_each(|key| check_key(key, &schemas, "the engine has no order for"))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let objects = input.schema().fields().iter().find(|field| is_object(field));
            objects.map_or(Ok(()), |field| Err(refused(field.name(), "the engine cannot compare")))
        }
        // What it takes of each group is carried.
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let keys = on.on_expr.iter().chain(on.sort_expr.iter().flatten().map(|key| &key.expr));
            keys.into_iter().try_for_each(|key| check_key(key, &schemas, "the engine cannot compare"))
        }
        // It takes apart lists, and carries the others.
        LogicalPlan::Unnest(_) => Ok(()),
        _ => exprs.iter().try_for_each(|expr| check_key(expr, &schemas, "the engine cannot compare")),
    }
}

/// Fails where the values of the expressions are more than objects as they are.
pub(crate) fn check_values(exprs: &[Expr], schema: &DFSchema) -> sheaf_core::Result<()> {
    if !has_objects(schema) {
        return Ok(());
    }
    exprs.iter().try_for_each(|expr| check_value(expr, &[schema]))
}

/// Whether a column is of objects.
pub(crate) fn has_objects(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| is_object(field))
}

fn check_value(expr: &Expr, schemas: &[&DFSchema]) -> sheaf_core::Result<()> {
    match expr {
        Expr::Column(_) => Ok(()),
        Expr::Alias(alias) => check_value(&alias.expr, schemas),
        other => check_key(other, schemas, "the engine cannot compute with"),
    }
}

/// Fails where the expression is of objects at all, but for those that only ask whether there are any.
pub(crate) fn check_key(expr: &Expr, schemas: &[&DFSchema], cannot: &str) -> sheaf_core::Result<()> {
    let mut found: Option<Error> = None;
    let walk = expr.apply(|inner| {
        let is_carried = |inner: &Expr| matches!(inner, Expr::Column(_));
        let jumps = match inner {
            Expr::IsNull(of) | Expr::IsNotNull(of) => is_carried(of),
            Expr::ScalarFunction(call) => UserFunction::of(&call.func).is_some() && call.args.iter().all(is_carried),
            Expr::AggregateFunction(call) => {
                let params = &call.params;
                CARRYING.contains(&call.func.name())
                    && !params.distinct
                    && params.filter.is_none()
                    && params.args.iter().all(is_carried)
                    && params.order_by.iter().all(|key| check_key(&key.expr, schemas, cannot).is_ok())
            }
            Expr::Column(column) => {
                if names_object(column, schemas) {
                    found = Some(refused(&column.name, cannot));
                    return Ok(TreeNodeRecursion::Stop);
                }
                false
            }
            _ => false,
        };
        Ok(if jumps { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
    });
    walk.map_err(sheaf_connectors::error::from_datafusion)?;
    found.map_or(Ok(()), Err)
}

fn names_object(column: &Column, schemas: &[&DFSchema]) -> bool {
    let fields = schemas.iter().filter_map(|schema| schema.field_from_column(column).ok());
    fields.into_iter().any(|field| is_object(field))
}
