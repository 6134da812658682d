//! What is computed from the rows before, as methods of expressions.

use pyo3::prelude::*;
use sheaf::expr::{self, Running};

use super::PyExpr;
use super::operand::Operand;

#[pymethods]
impl PyExpr {
    /// The value so many rows before, in the order that `over` gives; after, where `rows` is negative.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").shift(1).over(order_by="t")
    /// Expr(lag(x, 1) OVER (ORDER BY t ASC))
    #[pyo3(signature = (rows=1, fill_value=None))]
    fn shift(&self, rows: i64, fill_value: Option<Operand>) -> Self {
        expr::shift(self.inner.clone(), rows, fill_value.map(|value| value.0)).into()
    }

    /// The value less the one so many rows before, in the order that `over` gives.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").diff().over(order_by="t")
    /// Expr(x - lag(x, 1) OVER (ORDER BY t ASC))
    #[pyo3(signature = (rows=1))]
    fn diff(&self, rows: i64) -> Self {
        expr::diff(self.inner.clone(), rows).into()
    }

    /// The change since the value so many rows before, as a share of that, in the order that `over` gives.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").pct_change().over(order_by="t")
    /// Expr(x / lag(x, 1) OVER (ORDER BY t ASC) - 1.0)
    #[pyo3(signature = (rows=1))]
    fn pct_change(&self, rows: i64) -> Self {
        expr::pct_change(self.inner.clone(), rows).into()
    }

    /// The sum of the values so far, in the order that `over` gives. A null does not count, and has a null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").cum_sum().over("k", order_by="t")
    /// Expr(sum(x) OVER (PARTITION BY k ORDER BY t ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    fn cum_sum(&self) -> Self {
        expr::running(self.inner.clone(), Running::Sum).into()
    }

    /// The product of the values so far, in the order that `over` gives. A null does not count, and has a null.
    ///
    /// >>> import sheaf as sf
    /// >>> growth = sf.from_pydict({"t": [1, 2, 3], "x": [2.0, 3.0, 0.5]})
    /// >>> growth.select(sf.col("x").cum_prod().over(order_by="t").alias("x")).sort("x").to_pydict()
    /// {'x': [2.0, 3.0, 6.0]}
    fn cum_prod(&self) -> Self {
        expr::running(self.inner.clone(), Running::Product).into()
    }

    /// The largest of the values so far, in the order that `over` gives. A null does not count, and has a null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").cum_max().over(order_by="t")
    /// Expr(max(x) OVER (ORDER BY t ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    fn cum_max(&self) -> Self {
        expr::running(self.inner.clone(), Running::Max).into()
    }

    /// The smallest of the values so far, in the order that `over` gives. A null does not count, and has a null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").cum_min().over(order_by="t")
    /// Expr(min(x) OVER (ORDER BY t ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    fn cum_min(&self) -> Self {
        expr::running(self.inner.clone(), Running::Min).into()
    }

    /// How many of the values so far are not null, in the order that `over` gives.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").cum_count().over(order_by="t")
    /// Expr(count(x) OVER (ORDER BY t ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    fn cum_count(&self) -> Self {
        expr::running(self.inner.clone(), Running::Count).into()
    }
}
