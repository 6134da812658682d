//! `over`: aggregates and window functions computed over the rows around each row.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::operand::scalar;
use crate::functions;

/// What `over` was told.
pub(crate) struct Window {
    pub(crate) partition_by: Vec<Expr>,
    pub(crate) order_by: Vec<SortExpr>,
    pub(crate) frame: Option<Frame>,
}

/// A frame: its unit, and how far it reaches from the current row; `None` is all the way.
pub(crate) struct Frame {
    units: WindowFrameUnits,
    start: WindowFrameBound,
    end: WindowFrameBound,
}

impl<'a, 'py> FromPyObject<'a, 'py> for Frame {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let parts: PyResult<(String, Bound<'py, PyAny>, Bound<'py, PyAny>)> = value.extract();
        let (unit, start, end) = parts.map_err(|_| {
            PyTypeError::new_err(
                "a frame is (unit, start, end), such as (\"rows\", -2, 0): negative before the current row, None \
                 without end",
            )
        })?;
        let units = match unit.to_ascii_lowercase().as_str() {
            "rows" => WindowFrameUnits::Rows,
            "range" => WindowFrameUnits::Range,
            "groups" => WindowFrameUnits::Groups,
            _ => return Err(PyValueError::new_err(format!("{unit:?} is no unit of a frame: rows, range or groups"))),
        };
        Ok(Self { units, start: bound(&start, units, true)?, end: bound(&end, units, false)? })
    }
}

fn bound(value: &Bound<'_, PyAny>, units: WindowFrameUnits, start: bool) -> PyResult<WindowFrameBound> {
    if value.is_none() {
        let unbounded = if units == WindowFrameUnits::Range { ScalarValue::Null } else { ScalarValue::UInt64(None) };
        return Ok(if start { WindowFrameBound::Preceding(unbounded) } else { WindowFrameBound::Following(unbounded) });
    }
    let negative = is_negative(value)?;
    let distance = value.call_method0("__abs__")?;
    let distance = match (units, scalar(&distance)?) {
        (WindowFrameUnits::Range, ScalarValue::DurationMicrosecond(Some(time))) => interval(time),
        (WindowFrameUnits::Range, distance) => distance,
        (_, ScalarValue::Int64(Some(rows))) => ScalarValue::UInt64(Some(rows.unsigned_abs())),
        _ => return Err(PyTypeError::new_err("a frame of rows or groups reaches a whole number of them")),
    };
    if !value.is_truthy()? {
        return Ok(WindowFrameBound::CurrentRow);
    }
    Ok(if negative { WindowFrameBound::Preceding(distance) } else { WindowFrameBound::Following(distance) })
}

/// A time span as days and the rest of one: dates know no other distance.
fn interval(microseconds: i64) -> ScalarValue {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    // Python's time spans are less than a thousand million days.
    let days = i32::try_from(microseconds / DAY).unwrap_or(i32::MAX);
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, days, microseconds % DAY * 1_000)))
}

/// Whether a number or a time span points back.
fn is_negative(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.call_method0("__abs__")?.ne(value)
}

/// The expression with every aggregate and window function in it computed over this window.
pub(crate) fn over(expr: Expr, window: &Window) -> PyResult<Expr> {
    let mut found = false;
    let mut failed = None;
    let windowed = expr.transform_down(|node| {
        let node = match node {
            Expr::AggregateFunction(aggregate) => windowed_aggregate(aggregate, window),
            Expr::WindowFunction(call) if is_bare(&call) => windowed_function(*call, window),
            done @ Expr::WindowFunction(_) => {
                return Ok(Transformed::new(done, false, TreeNodeRecursion::Jump));
            }
            other => return Ok(Transformed::no(other)),
        };
        found = true;
        let node = node.unwrap_or_else(|error| {
            failed = Some(error);
            Expr::Literal(ScalarValue::Null, None)
        });
        Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
    });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let windowed = windowed.map_err(|error| PyValueError::new_err(error.to_string()))?.data;
    if !found {
        return Err(PyValueError::new_err(
            "over() needs an aggregate or a window function, such as sf.col(\"x\").sum() or sf.functions.rank()",
        ));
    }
    Ok(windowed)
}

/// Whether the call has no window yet.
fn is_bare(call: &WindowFunction) -> bool {
    call.params.partition_by.is_empty()
        && call.params.order_by.is_empty()
        && call.params.window_frame == WindowFrame::new(None)
}

fn windowed_aggregate(aggregate: AggregateFunction, window: &Window) -> PyResult<Expr> {
    let AggregateFunction { func, params } = aggregate;
    let own_order = !params.order_by.is_empty();
    if own_order && !window.order_by.is_empty() {
        return Err(PyValueError::new_err(format!(
            "{} has an order of its own: give order_by to it or to over(), not to both",
            func.name()
        )));
    }
    let positional = functions::positional_window_function(func.name());
    let fun = positional.map_or(WindowFunctionDefinition::AggregateUDF(func), WindowFunctionDefinition::WindowUDF);
    let order_by = if own_order { params.order_by } else { window.order_by.clone() };
    // The order of the aggregate itself says nothing of which rows count: all of the partition do.
    let whole = own_order.then(whole_partition);
    let window_frame = window.frame.as_ref().map(Frame::build).transpose()?.or(whole);
    Ok(Expr::from(WindowFunction {
        fun,
        params: WindowFunctionParams {
            args: params.args,
            partition_by: window.partition_by.clone(),
            window_frame: window_frame.unwrap_or_else(|| default_frame(&order_by)),
            order_by,
            filter: params.filter,
            null_treatment: params.null_treatment,
            distinct: params.distinct,
        },
    }))
}

fn windowed_function(mut call: WindowFunction, window: &Window) -> PyResult<Expr> {
    call.params.partition_by.clone_from(&window.partition_by);
    call.params.order_by.clone_from(&window.order_by);
    call.params.window_frame = match &window.frame {
        Some(frame) => frame.build()?,
        None => default_frame(&window.order_by),
    };
    Ok(Expr::from(call))
}

/// SQL's default: with an order, the rows up to the current one and its equals; without, all.
fn default_frame(order_by: &[SortExpr]) -> WindowFrame {
    WindowFrame::new((!order_by.is_empty()).then_some(false))
}

fn whole_partition() -> WindowFrame {
    let unbounded = || ScalarValue::UInt64(None);
    WindowFrame::new_bounds(
        WindowFrameUnits::Rows,
        WindowFrameBound::Preceding(unbounded()),
        WindowFrameBound::Following(unbounded()),
    )
}

impl Frame {
    fn build(&self) -> PyResult<WindowFrame> {
        let position = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::Preceding(_) => 0,
            WindowFrameBound::CurrentRow => 1,
            WindowFrameBound::Following(_) => 2,
        };
        if position(&self.start) > position(&self.end) {
            return Err(PyValueError::new_err("the frame ends before it starts: give (unit, start, end)"));
        }
        Ok(WindowFrame::new_bounds(self.units, self.start.clone(), self.end.clone()))
    }
}
