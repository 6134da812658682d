//! The rule that lets windows over whole partitions spill: see `operators/whole_window`.
//!
//! DataFusion holds a whole partition in memory as soon as one function of a window looks at rows that come later
//! without end. Such functions leave the window here, so that the others stream:
//!
//! * what is the same for all rows of a partition is computed by `WholeWindow`;
//! * `ntile`, `percent_rank` and `cume_dist` are made of a row's number or rank and the count of rows.
//!
//! It runs after DataFusion's rules, which know windows and not what they become here. What is left are frames from
//! somewhere to the end of the partition: see `backward_windows`.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::cume_dist::cume_dist_udwf;
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{percent_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlan, Projection, SortExpr, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, WindowUDF, cast, lit, when,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::operators::node::OperatorNode;
use crate::operators::plan_of;
use crate::operators::whole_window::{WholeWindow, is_whole};

/// The rule.
#[derive(Debug)]
pub(super) struct WholeWindows;

impl OptimizerRule for WholeWindows {
    fn name(&self) -> &'static str {
        "whole_windows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Window(window) => split(window),
            other => Ok(Transformed::no(other)),
        }
    }
}

/// The functions of a window, by what computes them.
struct Split<'a> {
    window: &'a Window,
    running: Vec<Expr>,
    whole: Vec<Expr>,
    /// Names that were given to calls that the window did not have.
    named: usize,
}

fn split(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut split = Split { window: &window, running: Vec::new(), whole: Vec::new(), named: 0 };
    let columns = window.input.schema().columns().into_iter().map(Expr::Column);
    let mut output: Vec<Expr> = columns.collect();
    for expr in &window.window_expr {
        output.push(split.column(expr)?);
    }
    let Split { running, whole, .. } = split;
    if running == window.window_expr {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let Some((partition_by, order_by)) = window.window_expr.iter().find_map(keys) else {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    };
    let mut plan = Arc::clone(&window.input);
    if !running.is_empty() {
        plan = Arc::new(LogicalPlan::Window(Window::try_new(running, plan)?));
    }
    if !whole.is_empty() {
        let schema = Window::try_new(whole.clone(), Arc::clone(&plan))?.schema;
        let input = Arc::unwrap_or_clone(plan);
        let windows = WholeWindow { calls: whole, partition_by, order_by, schema };
        plan = Arc::new(plan_of(OperatorNode::try_new(windows, [input])?));
    }
    let is_as_it_was = plan.schema().columns().into_iter().map(Expr::Column).eq(output.iter().cloned());
    Ok(Transformed::yes(match is_as_it_was {
        true => Arc::unwrap_or_clone(plan),
        false => LogicalPlan::Projection(Projection::try_new(output, plan)?),
    }))
}

/// What all functions of a window have in common.
fn keys(expr: &Expr) -> Option<(Vec<Expr>, Vec<SortExpr>)> {
    let call = called(expr)?;
    Some((call.params.partition_by, call.params.order_by))
}

fn called(expr: &Expr) -> Option<WindowFunction> {
    match expr.clone().unalias_nested().data {
        Expr::WindowFunction(call) => Some(*call),
        _ => None,
    }
}

impl Split<'_> {
    /// Says who computes this function of the window, and what its column is of that.
    fn column(&mut self, expr: &Expr) -> Result<Expr> {
        let (relation, name) = expr.qualified_name();
        let column = Expr::Column(Column::new(relation.clone(), name.clone()));
        let Some(call) = called(expr) else {
            self.running.push(expr.clone());
            return Ok(column);
        };
        if is_whole(&call) {
            self.whole.push(expr.clone());
        } else if let Some(computed) = self.computed(&call)? {
            return Ok(computed.alias_qualified(relation, name));
        } else {
            self.running.push(expr.clone());
        }
        Ok(column)
    }

    /// A function of a row's place among all rows of its partition, made of what streams and the count of rows.
    fn computed(&mut self, call: &WindowFunction) -> Result<Option<Expr>> {
        let WindowFunctionDefinition::WindowUDF(function) = &call.fun else { return Ok(None) };
        let is = |other: Arc<WindowUDF>| *function == other;
        if is(percent_rank_udwf()) {
            let rank = cast(self.running(call, rank_udwf()), DataType::Float64) - lit(1.0_f64);
            let others = self.count(call) - lit(1_i64);
            let share = rank / cast(others.clone(), DataType::Float64);
            return when(others.gt(lit(0_i64)), share).otherwise(lit(0.0_f64)).map(Some);
        }
        if is(cume_dist_udwf()) {
            if call.params.order_by.is_empty() {
                return Ok(Some(lit(1.0_f64)));
            }
            let up_to_equals =
                WindowFrame::new_bounds(WindowFrameUnits::Range, unbounded(), WindowFrameBound::CurrentRow);
            let params = params(call, vec![lit(1_i64)], up_to_equals);
            let rows = Expr::from(WindowFunction { fun: count_udaf().into(), params });
            let rows = self.named(rows, |split| &mut split.running);
            return Ok(Some(cast(rows, DataType::Float64) / cast(self.count(call), DataType::Float64)));
        }
        let parts = match call.params.args.as_slice() {
            [Expr::Literal(parts, _)] if is(ntile_udwf()) => parts.cast_to(&DataType::UInt64).ok(),
            _ => None,
        };
        match parts {
            Some(ScalarValue::UInt64(Some(parts))) if parts > 0 => self.tile(call, parts).map(Some),
            // DataFusion says what is wrong with it.
            _ => Ok(None),
        }
    }

    /// The first parts have one row more than the others, where the rows do not go evenly into them.
    fn tile(&mut self, call: &WindowFunction, parts: u64) -> Result<Expr> {
        let before = self.running(call, row_number_udwf()) - lit(1_u64);
        let rows = cast(self.count(call), DataType::UInt64);
        let (least, larger) = (rows.clone() / lit(parts), rows % lit(parts));
        let in_larger = larger.clone() * (least.clone() + lit(1_u64));
        // Not zero, which it is only where no row is past the larger parts.
        let divisor = when(least.clone().eq(lit(0_u64)), lit(1_u64)).otherwise(least.clone())?;
        let among_others = larger + (before.clone() - in_larger.clone()) / divisor;
        let among_larger = before.clone() / (least + lit(1_u64));
        Ok(when(before.lt(in_larger), among_larger).otherwise(among_others)? + lit(1_u64))
    }

    /// The column of a function of the rows before, in the window of `call`.
    fn running(&mut self, call: &WindowFunction, function: Arc<WindowUDF>) -> Expr {
        let params = params(call, Vec::new(), call.params.window_frame.clone());
        let running = Expr::from(WindowFunction { fun: function.into(), params });
        self.named(running, |split| &mut split.running)
    }

    /// The column of the number of rows of a partition, in the window of `call`.
    fn count(&mut self, call: &WindowFunction) -> Expr {
        let params = params(call, vec![lit(1_i64)], WindowFrame::new(None));
        let count = Expr::from(WindowFunction { fun: count_udaf().into(), params });
        self.named(count, |split| &mut split.whole)
    }

    /// The column of this call, which is added to `to` under a name of its own unless it or the window has it.
    fn named(&mut self, call: Expr, to: impl Fn(&mut Self) -> &mut Vec<Expr>) -> Expr {
        let is_it = |there: &&Expr| **there == call || matches!(there, Expr::Alias(alias) if *alias.expr == call);
        let window = self.window;
        if let Some(there) = window.window_expr.iter().chain(to(self).iter()).find(is_it) {
            let (relation, name) = there.qualified_name();
            return Expr::Column(Column::new(relation, name));
        }
        let name = loop {
            self.named += 1;
            let name = format!("__window_{}", self.named);
            if !self.window.input.schema().has_column_with_unqualified_name(&name) {
                break name;
            }
        };
        to(self).push(call.alias(name.clone()));
        Expr::Column(Column::new_unqualified(name))
    }
}

/// The partitions and the order of `call`, for another function.
fn params(call: &WindowFunction, args: Vec<Expr>, window_frame: WindowFrame) -> WindowFunctionParams {
    let WindowFunctionParams { partition_by, order_by, .. } = call.params.clone();
    let (filter, null_treatment, distinct) = (None, None, false);
    WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct }
}

fn unbounded() -> WindowFrameBound {
    WindowFrameBound::Preceding(ScalarValue::Null)
}
