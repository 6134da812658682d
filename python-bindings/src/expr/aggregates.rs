//! Aggregates and window functions as methods of expressions, and what can be said of them: `distinct`, `filter`,
//! `over`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::PyExpr;
use super::operand::SortKeys;
use super::window::{Frame, WindowOrColumns, window_of};
use crate::errors::IntoPyResult;
use crate::functions::{self, Modifiers};

#[pymethods]
impl PyExpr {
    /// Aggregate: the sum of the values.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum()
    /// Expr(sum(a))
    fn sum(&self) -> PyResult<Self> {
        self.call("sum", [])
    }

    /// Aggregate: the mean of the values.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").mean()
    /// Expr(avg(a))
    fn mean(&self) -> PyResult<Self> {
        self.call("avg", [])
    }

    /// Aggregate: the smallest value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").min()
    /// Expr(min(a))
    fn min(&self) -> PyResult<Self> {
        self.call("min", [])
    }

    /// Aggregate: the largest value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").max()
    /// Expr(max(a))
    fn max(&self) -> PyResult<Self> {
        self.call("max", [])
    }

    /// Aggregate: how many values are not null. `sf.functions.count()` counts rows.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").count()
    /// Expr(count(a))
    fn count(&self) -> PyResult<Self> {
        self.call("count", [])
    }

    /// Aggregate: how many different values there are; null is none.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").n_unique()
    /// Expr(count(DISTINCT a))
    fn n_unique(&self) -> PyResult<Self> {
        let distinct = Modifiers { distinct: true, ..Modifiers::default() };
        functions::modified(self.call("count", [])?.inner, distinct).map(Self::from)
    }

    /// Aggregate: about how many different values there are, in little memory.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").approx_n_unique()
    /// Expr(approx_distinct(a))
    fn approx_n_unique(&self) -> PyResult<Self> {
        self.call("approx_distinct", [])
    }

    /// Aggregate: the standard deviation, of a sample; with `ddof=0` of all there is.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").std()
    /// Expr(stddev(a))
    #[pyo3(signature = (ddof=1))]
    fn std(&self, ddof: u8) -> PyResult<Self> {
        match ddof {
            0 => self.call("stddev_pop", []),
            1 => self.call("stddev", []),
            other => Err(PyValueError::new_err(format!("ddof is 0 or 1, not {other}"))),
        }
    }

    /// Aggregate: the variance, of a sample; with `ddof=0` of all there is.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").var()
    /// Expr(var(a))
    #[pyo3(signature = (ddof=1))]
    fn var(&self, ddof: u8) -> PyResult<Self> {
        match ddof {
            0 => self.call("var_pop", []),
            1 => self.call("var", []),
            other => Err(PyValueError::new_err(format!("ddof is 0 or 1, not {other}"))),
        }
    }

    /// Aggregate: the value in the middle.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").median()
    /// Expr(median(a))
    fn median(&self) -> PyResult<Self> {
        self.call("median", [])
    }

    /// Aggregate: the first value in the order of `order_by`; without it, whichever comes first.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").first(order_by="t")
    /// Expr(first_value(a ORDER BY t ASC))
    #[pyo3(signature = (order_by=None, ignore_nulls=false))]
    fn first(&self, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        self.ordered("first_value", order_by, ignore_nulls)
    }

    /// Aggregate: the last value in the order of `order_by`; without it, whichever comes last.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").last(order_by="t")
    /// Expr(last_value(a ORDER BY t ASC))
    #[pyo3(signature = (order_by=None, ignore_nulls=false))]
    fn last(&self, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        self.ordered("last_value", order_by, ignore_nulls)
    }

    /// Aggregate: all values as one list, in the order of `order_by` where that is given.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").agg_list()
    /// Expr(array_agg(a))
    #[pyo3(signature = (order_by=None))]
    fn agg_list(&self, order_by: Option<SortKeys>) -> PyResult<Self> {
        self.ordered("array_agg", order_by, false)
    }

    /// Aggregate: one of the values that are not null, where there is one.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").any_value()
    /// Expr(any_value(a))
    fn any_value(&self) -> PyResult<Self> {
        self.call("any_value", [])
    }

    /// Aggregate: whether a value is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").any()
    /// Expr(bool_or(a))
    fn any(&self) -> PyResult<Self> {
        self.call("bool_or", [])
    }

    /// Aggregate: whether all values are true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").all()
    /// Expr(bool_and(a))
    fn all(&self) -> PyResult<Self> {
        self.call("bool_and", [])
    }

    /// An aggregate over different values only.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum().distinct()
    /// Expr(sum(DISTINCT a))
    fn distinct(&self) -> PyResult<Self> {
        self.modified(Modifiers { distinct: true, ..Modifiers::default() })
    }

    /// An aggregate over the rows for which this is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum().filter(sf.col("b") > 0)
    /// Expr(sum(a) FILTER (WHERE b > 0))
    fn filter(&self, predicate: &Self) -> PyResult<Self> {
        self.modified(Modifiers { filter: Some(predicate.inner.clone()), ..Modifiers::default() })
    }

    /// The aggregates and window functions in this, computed for each row over the rows around it.
    ///
    /// A `Window` says which rows these are, or `partition_by` and `order_by`, which are columns, and `frame`, which is
    /// `(unit, start, end)` with the units `"rows"`, `"range"` and `"groups"`, negative before the current row, `None`
    /// without end. The default is SQL's: with an order, from the first row to the current one and its equals; without,
    /// the whole partition.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").sum().over("k", order_by="t", frame=("rows", -2, 0))
    /// Expr(sum(x) OVER (PARTITION BY k ORDER BY t ASC ROWS BETWEEN 2 PRECEDING AND CURRENT ROW))
    #[pyo3(signature = (partition_by=None, order_by=None, frame=None))]
    fn over(
        &self,
        py: Python<'_>,
        partition_by: Option<WindowOrColumns>,
        order_by: Option<SortKeys>,
        frame: Option<Frame>,
    ) -> PyResult<Self> {
        let window = window_of(py, partition_by, order_by, frame)?;
        window.over(self.inner.clone()).map(Self::from).py(py)
    }
}

impl PyExpr {
    fn modified(&self, modifiers: Modifiers) -> PyResult<Self> {
        functions::modified(self.inner.clone(), modifiers).map(Self::from)
    }

    fn ordered(&self, function: &str, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        let order_by = order_by.map_or_else(Vec::new, |keys| keys.0);
        let ignore_nulls = ignore_nulls.then_some(true);
        self.call(function, [])?.modified(Modifiers { order_by, ignore_nulls, ..Modifiers::default() })
    }
}
