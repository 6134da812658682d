//! What DataFusion would find out late, or tell in its own words: expressions that have no place in a verb.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::rules::object_columns;

/// Every expression gives each row a value; an aggregate of many rows does not, nor what looks at the rows before
/// where no order says which they are.
pub(crate) fn values_of_rows(exprs: &[Expr]) -> Result<()> {
    let lacks_order = |inner: &Expr| matches!(inner, Expr::WindowFunction(call) if crate::expr::lacks_order(call));
    if let Some(expr) = find(exprs, lacks_order)? {
        let message = format!("{} looks at the rows before, and no order says which they are", name(&expr));
        return Err(Error::invalid(message).with_hint("give it one: .over(order_by=\"time\")"));
    }
    match find(exprs, |inner| matches!(inner, Expr::AggregateFunction(_)))? {
        Some(expr) => Err(Error::invalid(format!("{} is one value for many rows, not one for each", name(&expr)))
            .with_hint("groupby(…).agg(…) and aggregate(…) take it; .over(…) gives each row the value of its group")),
        None => Ok(()),
    }
}

/// The predicate of a filter is a boolean of the row alone.
pub(crate) fn predicate(expr: &Expr, schema: &DFSchema) -> Result<()> {
    values_of_rows(std::slice::from_ref(expr))?;
    if find(std::slice::from_ref(expr), |inner| matches!(inner, Expr::WindowFunction(_)))?.is_some() {
        return Err(Error::invalid(format!("a filter looks at one row, and {} at several", name(expr)))
            .with_hint("make it a column first: with_column(\"w\", …).filter(col(\"w\") …)"));
    }
    // What has no type yet is told when the plan is made.
    match expr.get_type(schema) {
        Ok(DataType::Boolean | DataType::Null) | Err(_) => Ok(()),
        Ok(other) => {
            let message = format!("a filter keeps the rows for which it is true, and {} is {other}", name(expr));
            Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("compare it with something, or cast it to bool"))
        }
    }
}

/// Keys are compared with each other, which Python objects are not.
pub(crate) fn comparable(keys: &[Expr], schema: &DFSchema) -> Result<()> {
    keys.iter().try_for_each(|key| object_columns::check_key(key, &[schema], "the engine cannot compare"))
}

/// Every expression over a group is made of aggregates, of keys and of constants.
pub(crate) fn values_of_groups(exprs: &[Expr], keys: &[Expr], schema: &DFSchema) -> Result<()> {
    let keys: HashSet<String> = keys.iter().map(name).collect();
    let mut stray = None;
    for expr in exprs {
        let walk = expr.apply(|inner| {
            Ok(match inner {
                Expr::AggregateFunction(_) => TreeNodeRecursion::Jump,
                _ if keys.contains(&name(inner)) => TreeNodeRecursion::Jump,
                Expr::Column(column) if schema.has_column(column) => {
                    stray = Some(column.name.clone());
                    TreeNodeRecursion::Stop
                }
                _ => TreeNodeRecursion::Continue,
            })
        });
        walk.map_err(from_datafusion)?;
    }
    match stray {
        Some(column) => Err(Error::invalid(format!("the column {column:?} is neither a key nor aggregated"))
            .with_hint("an aggregate makes one value of a group's many, such as sum, max, first_value or array_agg")),
        None => Ok(()),
    }
}

fn find(exprs: &[Expr], is_wanted: impl Fn(&Expr) -> bool) -> Result<Option<Expr>> {
    for expr in exprs {
        let mut found = None;
        let walk = expr.apply(|inner| {
            if is_wanted(inner) {
                found = Some(inner.clone());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walk.map_err(from_datafusion)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The expression as a column of it is named.
fn name(expr: &Expr) -> String {
    expr.schema_name().to_string()
}
