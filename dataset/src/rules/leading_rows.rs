//! The rule that spares the sort of a window the rows which a filter over their rank would take away: see
//! `operators/leading_rows`.
//!
//! DataFusion has a rule of its own for the same (`enable_window_topn`, off by default): it keeps the rows of all groups
//! in memory and sorts none, so that many groups are more than memory holds. This one takes rows away before a sort
//! that may spill, and keeps no rows.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};

use crate::operators::leading_rows::{Leading, LeadingRowsExec};

/// The most rows of a group: more of them are remembered for longer than a sort takes.
const MOST: usize = 100;
/// Functions that say how many rows come before a row, and whose values for the first rows do not depend on the others.
const RANKS: [&str; 2] = ["row_number", "rank"];
const OF_EARLIER_ROWS: [&str; 3] = ["row_number", "rank", "dense_rank"];

/// The rule.
#[derive(Debug)]
pub(super) struct LeadingRows;

impl PhysicalOptimizerRule for LeadingRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(node)) };
            let limits = split_conjunction(filter.predicate()).into_iter().filter_map(limit);
            for (column, most) in limits.filter(|(_, most)| (1..=MOST).contains(most)) {
                if let Some(input) = led(filter.input(), column, most)? {
                    return Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?));
                }
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "leading_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A column, and the largest integer that a condition lets it have.
fn limit(condition: &Arc<dyn PhysicalExpr>) -> Option<(usize, usize)> {
    let compared = condition.downcast_ref::<BinaryExpr>()?;
    let column = |side: &Arc<dyn PhysicalExpr>| side.downcast_ref::<Column>().map(Column::index);
    let integer = |side: &Arc<dyn PhysicalExpr>| {
        let value = side.downcast_ref::<Literal>()?.value();
        let number = value.data_type().is_integer().then(|| value.cast_to(&DataType::UInt64).ok())?;
        let Some(ScalarValue::UInt64(Some(number))) = number else { return None };
        usize::try_from(number).ok()
    };
    let (left, right) = (compared.left(), compared.right());
    let (column, operator, integer) = match (column(left), integer(right)) {
        (Some(column), Some(integer)) => (column, *compared.op(), integer),
        _ => (column(right)?, compared.op().swap()?, integer(left)?),
    };
    match operator {
        Operator::Eq | Operator::LtEq => Some((column, integer)),
        Operator::Lt => Some((column, integer.checked_sub(1)?)),
        _ => None,
    }
}

/// The same plan, whose window is given no rows that have `most` before them, where its column `column` is their rank.
fn led(plan: &Arc<dyn ExecutionPlan>, column: usize, most: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let Some(column) = projection.expr()[column].expr.downcast_ref::<Column>() else { return Ok(None) };
        let input = led(projection.input(), column.index(), most)?;
        return input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose();
    }
    let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() else { return Ok(None) };
    let Some(leading) = leading(window, column, most) else { return Ok(None) };
    let sorted = window.input();
    let Some(sort) = sorted.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else { return Ok(None) };
    let input = match sort.input().downcast_ref::<RepartitionExec>() {
        // Fewer rows are moved.
        Some(exchange) => {
            let input = Arc::new(LeadingRowsExec::new(Arc::clone(exchange.input()), leading));
            replace_children_if_necessary(Arc::clone(sort.input()), vec![input])?
        }
        None => Arc::new(LeadingRowsExec::new(Arc::clone(sort.input()), leading)),
    };
    let sorted = replace_children_if_necessary(Arc::clone(sorted), vec![input])?;
    Ok(Some(replace_children_if_necessary(Arc::clone(plan), vec![sorted])?))
}

/// Which rows lead, if the column is a rank, and no function of the window looks at rows behind the first ones.
fn leading(window: &BoundedWindowAggExec, column: usize, most: usize) -> Option<Leading> {
    let input = window.input().schema();
    let calls = window.window_expr();
    let rank = calls.get(column.checked_sub(input.fields().len())?)?;
    let (group, order) = (rank.partition_by(), rank.order_by());
    let alike = calls.iter().all(|call| {
        name_of(call).is_some_and(|name| OF_EARLIER_ROWS.contains(&name.as_str())) && call.order_by() == order
    });
    // Windows tell zeros of two signs apart, and groups do not.
    let exact = group.iter().all(|key| key.data_type(&input).is_ok_and(|kind| !has_floats(&kind)));
    let is_rank = name_of(rank).is_some_and(|name| RANKS.contains(&name.as_str()));
    let is_led = alike && exact && is_rank && !group.is_empty() && !order.is_empty();
    is_led.then(|| Leading { group: group.to_vec(), order: order.to_vec(), most })
}

fn name_of(call: &Arc<dyn WindowExpr>) -> Option<String> {
    let standard = call.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
    Some(standard.as_any().downcast_ref::<WindowUDFExpr>()?.fun().name().to_owned())
}

fn has_floats(kind: &DataType) -> bool {
    kind.is_floating() || kind.is_nested()
}
