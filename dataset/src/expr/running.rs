//! What is computed from the rows before: `shift`, `diff`, `pct_change` and running totals. Each is a window function
//! that `Window::over` gives its order.

use std::sync::{Arc, LazyLock};

use datafusion::functions_aggregate::expr_fn;
use datafusion::functions_window::expr_fn::{lag, lead};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Case, Expr, lit};

use super::product::Product;
use super::{subtract, true_divide, window};

static PRODUCT: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Product::default())));

/// The function of running products.
pub(crate) fn running_product() -> Arc<AggregateUDF> {
    Arc::clone(&PRODUCT)
}

/// What a running total does with the values so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// Adds them.
    Sum,
    /// Multiplies them.
    Product,
    /// Takes the largest.
    Max,
    /// Takes the smallest.
    Min,
    /// Counts those that are not null.
    Count,
}

/// The value so many rows before (after, for a negative number), and `fill` where there is no such row.
#[must_use]
pub fn shift(expr: Expr, rows: i64, fill: Option<Expr>) -> Expr {
    let distance = rows.saturating_abs();
    let shifted = if rows < 0 { lead(expr, Some(distance), None) } else { lag(expr, Some(distance), None) };
    match (shifted, fill) {
        (Expr::WindowFunction(mut call), Some(fill)) => {
            call.params.args.truncate(2);
            call.params.args.push(fill);
            Expr::WindowFunction(call)
        }
        (Expr::WindowFunction(mut call), None) => {
            call.params.args.truncate(2);
            Expr::WindowFunction(call)
        }
        (shifted, _) => shifted,
    }
}

/// The value less the one so many rows before.
#[must_use]
pub fn diff(expr: Expr, rows: i64) -> Expr {
    subtract(expr.clone(), shift(expr, rows, None))
}

/// The change since the value so many rows before, as a share of that.
#[must_use]
pub fn pct_change(expr: Expr, rows: i64) -> Expr {
    subtract(true_divide(expr.clone(), shift(expr, rows, None)), lit(1.0))
}

/// The total of the values up to each row. A null does not count, and has a null, but for [`Running::Count`].
///
/// ```
/// use sheaf_dataset::expr::{Running, Window, col, running};
///
/// let by_time = Window::new().order_by([col("t").sort(true, false)]);
/// let total = by_time.over(running(col("x"), Running::Sum))?;
/// assert!(total.to_string().contains("sum(x) ORDER BY [t ASC NULLS LAST] ROWS BETWEEN UNBOUNDED PRECEDING"));
/// # Ok::<(), sheaf_core::Error>(())
/// ```
#[must_use]
pub fn running(expr: Expr, total: Running) -> Expr {
    let aggregate = match total {
        Running::Sum => expr_fn::sum(expr.clone()),
        Running::Product => PRODUCT.call(vec![expr.clone()]),
        Running::Max => expr_fn::max(expr.clone()),
        Running::Min => expr_fn::min(expr.clone()),
        Running::Count => expr_fn::count(expr.clone()),
    };
    let total_so_far = match aggregate {
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            window::running(AggregateFunction { func, params })
        }
        other => other,
    };
    if total == Running::Count {
        return total_so_far;
    }
    let has_value = (Box::new(expr.is_not_null()), Box::new(total_so_far));
    Expr::Case(Case::new(None, vec![has_value], None))
}
