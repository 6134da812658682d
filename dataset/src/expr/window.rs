//! `Window`: which rows around each row an aggregate or a window function looks at, and `over`, which lets it.

use std::sync::{Arc, LazyLock};

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, WindowUDF,
};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

/// Functions whose window form looks at positions in the frame, where the aggregate would compute again for each row.
const POSITIONAL: [&str; 3] = ["first_value", "last_value", "nth_value"];

static POSITIONAL_FUNCTIONS: LazyLock<Vec<Arc<WindowUDF>>> = LazyLock::new(|| {
    let all = datafusion::functions_window::all_default_window_functions();
    all.into_iter().filter(|function| POSITIONAL.contains(&function.name())).collect()
});

/// Which rows count for each row: those of its partition, in an order, within a frame.
///
/// ```
/// use sheaf_dataset::expr::{Window, col, functions_aggregate::expr_fn::sum};
///
/// let last_three = Window::new().partition_by([col("k")]).order_by([col("t").sort(true, false)]);
/// let last_three = last_three.rows_between(Some(-2), Some(0))?;
/// assert_eq!(
///     last_three.over(sum(col("x")))?.to_string(),
///     "sum(x) PARTITION BY [k] ORDER BY [t ASC NULLS LAST] ROWS BETWEEN 2 PRECEDING AND CURRENT ROW"
/// );
/// # Ok::<(), sheaf_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    frame: Option<WindowFrame>,
}

impl Window {
    /// All rows, in no order.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with the rows of each value of these by themselves.
    #[must_use]
    pub fn partition_by(self, keys: impl IntoIterator<Item = Expr>) -> Self {
        Self { partition_by: keys.into_iter().collect(), ..self }
    }

    /// The same with the rows in this order. Without a frame, the rows up to the current one and its equals count.
    #[must_use]
    pub fn order_by(self, keys: impl IntoIterator<Item = SortExpr>) -> Self {
        Self { order_by: keys.into_iter().collect(), ..self }
    }

    /// The same with a frame by positions: negative before the current row, `None` without end.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a frame that ends before it starts.
    pub fn rows_between(self, start: Option<i64>, end: Option<i64>) -> Result<Self> {
        let (start, end) = (rows_before(start), rows_after(end));
        self.between(WindowFrameUnits::Rows, start, end)
    }

    /// The same with this frame.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a frame that ends before it starts.
    pub fn between(self, units: WindowFrameUnits, start: WindowFrameBound, end: WindowFrameBound) -> Result<Self> {
        let position = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::Preceding(_) => 0,
            WindowFrameBound::CurrentRow => 1,
            WindowFrameBound::Following(_) => 2,
        };
        if position(&start) > position(&end) {
            return Err(Error::invalid("the frame ends before it starts").with_hint("give (unit, start, end)"));
        }
        Ok(Self { frame: Some(WindowFrame::new_bounds(units, start, end)), ..self })
    }

    /// Which rows are by themselves: those of each value of these.
    #[must_use]
    pub fn partitions(&self) -> &[Expr] {
        &self.partition_by
    }

    /// Whether the rows have an order.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        !self.order_by.is_empty()
    }

    /// The expression with every aggregate and window function in it computed over this window.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for an expression that has none of them, or one with an order of its
    /// own where the window has one too.
    pub fn over(&self, expr: Expr) -> Result<Expr> {
        let mut found = false;
        let mut failed = None;
        let windowed = expr.transform_down(|node| {
            let node = match node {
                Expr::AggregateFunction(aggregate) => self.over_aggregate(aggregate).unwrap_or_else(|error| {
                    failed = Some(error);
                    Expr::Literal(ScalarValue::Null, None)
                }),
                Expr::WindowFunction(call) if is_bare(&call) => self.over_function(*call),
                done @ Expr::WindowFunction(_) => {
                    return Ok(Transformed::new(done, false, TreeNodeRecursion::Jump));
                }
                other => return Ok(Transformed::no(other)),
            };
            found = true;
            Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        let windowed = windowed.map_err(from_datafusion)?.data;
        if !found {
            return Err(Error::invalid("over() needs an aggregate or a window function")
                .with_hint("such as col(\"x\").sum() or functions.rank()"));
        }
        Ok(windowed)
    }

    fn over_aggregate(&self, aggregate: AggregateFunction) -> Result<Expr> {
        let AggregateFunction { func, params } = aggregate;
        let own_order = !params.order_by.is_empty();
        if own_order && self.is_ordered() {
            return Err(Error::invalid(format!(
                "{} has an order of its own: give order_by to it or to over(), not to both",
                func.name()
            )));
        }
        let positional = POSITIONAL_FUNCTIONS.iter().find(|function| function.name() == func.name());
        let fun = positional.map_or(WindowFunctionDefinition::AggregateUDF(func), |function| {
            WindowFunctionDefinition::WindowUDF(Arc::clone(function))
        });
        let order_by = if own_order { params.order_by } else { self.order_by.clone() };
        // The order of the aggregate itself says nothing of which rows count: all of the partition do.
        let frame = self.frame.clone().or_else(|| own_order.then(whole_partition));
        Ok(Expr::from(WindowFunction {
            fun,
            params: WindowFunctionParams {
                args: params.args,
                partition_by: self.partition_by.clone(),
                window_frame: frame.unwrap_or_else(|| default_frame(&order_by)),
                order_by,
                filter: params.filter,
                null_treatment: params.null_treatment,
                distinct: params.distinct,
            },
        }))
    }

    fn over_function(&self, mut call: WindowFunction) -> Expr {
        let frame = match &self.frame {
            Some(frame) => frame.clone(),
            None if is_running(&call.params.window_frame) => call.params.window_frame,
            None => default_frame(&self.order_by),
        };
        call.params.partition_by.clone_from(&self.partition_by);
        call.params.order_by.clone_from(&self.order_by);
        call.params.window_frame = frame;
        Expr::from(call)
    }
}

/// The call over the rows from the first one to the current one, in whatever order `over` gives.
pub(super) fn running(aggregate: AggregateFunction) -> Expr {
    let AggregateFunction { func, params } = aggregate;
    let mut call = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(func), params.args);
    call.params.window_frame = running_frame();
    Expr::from(call)
}

/// Whether a window function looks at the rows before the current one, and no order says which these are.
pub(crate) fn lacks_order(call: &WindowFunction) -> bool {
    call.params.order_by.is_empty()
        && (matches!(call.fun.name(), "lag" | "lead") || is_running(&call.params.window_frame))
}

/// Whether the call has no window yet.
fn is_bare(call: &WindowFunction) -> bool {
    let frame = &call.params.window_frame;
    call.params.partition_by.is_empty()
        && call.params.order_by.is_empty()
        && (*frame == WindowFrame::new(None) || is_running(frame))
}

fn is_running(frame: &WindowFrame) -> bool {
    *frame == running_frame()
}

fn running_frame() -> WindowFrame {
    WindowFrame::new_bounds(WindowFrameUnits::Rows, rows_before(None), WindowFrameBound::CurrentRow)
}

/// SQL's default: with an order, the rows up to the current one and its equals; without, all.
fn default_frame(order_by: &[SortExpr]) -> WindowFrame {
    WindowFrame::new((!order_by.is_empty()).then_some(false))
}

fn whole_partition() -> WindowFrame {
    WindowFrame::new_bounds(WindowFrameUnits::Rows, rows_before(None), rows_after(None))
}

fn rows_before(rows: Option<i64>) -> WindowFrameBound {
    rows.map_or(WindowFrameBound::Preceding(ScalarValue::UInt64(None)), rows_away)
}

fn rows_after(rows: Option<i64>) -> WindowFrameBound {
    rows.map_or(WindowFrameBound::Following(ScalarValue::UInt64(None)), rows_away)
}

fn rows_away(rows: i64) -> WindowFrameBound {
    let distance = ScalarValue::UInt64(Some(rows.unsigned_abs()));
    match rows {
        0 => WindowFrameBound::CurrentRow,
        ..0 => WindowFrameBound::Preceding(distance),
        _ => WindowFrameBound::Following(distance),
    }
}
