//! Windows: verbs that look at the rows around each row.

use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3_arrow::PySchema;
use sheaf::dataset::{DynamicOptions, OverlapOptions, Reach, RollingOptions};
use sheaf::expr::{Running, Span};
use sheaf::{Error, Result};

use super::PyDataset;
use super::groups::expr_of;
use crate::columns::{OutputArg, ValueArg, exprs, names};
use crate::errors::IntoPyResult;
use crate::expr::types::TypeArgument;
use crate::expr::{PyExpr, PyWindow};
use crate::map_batches::map_overlap;
use crate::span::{SpanArg, closed, label};
use crate::user_aggregate::PyUserAggregate;

#[pymethods]
impl PyDataset {
    fn window(&self, py: Python<'_>, window: PyRef<'_, PyWindow>, columns: Vec<(String, ValueArg)>) -> PyResult<Self> {
        let columns = columns.into_iter().map(|(name, column)| (name, column.0));
        self.inner.window(&window.inner, columns).map(Self::from).py(py)
    }

    /// The expression of an aggregate of the user's in groups of the window's partitions, for `window` to compute.
    fn window_aggregate(
        &self,
        py: Python<'_>,
        window: PyRef<'_, PyWindow>,
        start: Py<PyAny>,
        name: String,
        columns: Option<Vec<String>>,
        return_type: Option<TypeArgument>,
    ) -> PyResult<PyExpr> {
        let groups = self.inner.groupby(window.inner.partitions().iter().cloned());
        expr_of(py, groups, PyUserAggregate { name, start }, columns, return_type)
    }

    fn shift(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        rows: i64,
        fill_value: Option<ValueArg>,
        window: PyRef<'_, PyWindow>,
    ) -> PyResult<Self> {
        let fill = fill_value.map(|value| value.0);
        self.inner.shift(&names(&columns), rows, fill.as_ref(), &window.inner).map(Self::from).py(py)
    }

    fn diff(&self, py: Python<'_>, columns: Vec<String>, rows: i64, window: PyRef<'_, PyWindow>) -> PyResult<Self> {
        self.inner.diff(&names(&columns), rows, &window.inner).map(Self::from).py(py)
    }

    fn pct_change(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        rows: i64,
        window: PyRef<'_, PyWindow>,
    ) -> PyResult<Self> {
        self.inner.pct_change(&names(&columns), rows, &window.inner).map(Self::from).py(py)
    }

    fn running(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        total: &str,
        window: PyRef<'_, PyWindow>,
    ) -> PyResult<Self> {
        let total = total_of(total).py(py)?;
        self.inner.running(&names(&columns), total, &window.inner).map(Self::from).py(py)
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments of the verb")]
    fn rolling(
        &self,
        py: Python<'_>,
        on: String,
        window: WindowArg,
        by: Vec<OutputArg>,
        min_periods: i64,
        closed: &str,
        center: bool,
        aggregates: Vec<OutputArg>,
    ) -> PyResult<Self> {
        let closed = self::closed(closed).py(py)?;
        let options = RollingOptions { on, window: window.0, by: exprs(by), min_periods, closed, center };
        self.inner.rolling(options).agg(exprs(aggregates)).map(Self::from).py(py)
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments of the verb")]
    fn group_by_dynamic(
        &self,
        py: Python<'_>,
        on: String,
        every: SpanArg,
        period: Option<SpanArg>,
        offset: Option<SpanArg>,
        closed: &str,
        label: &str,
        by: Vec<OutputArg>,
        aggregates: Vec<OutputArg>,
    ) -> PyResult<Self> {
        let (closed, label) = (self::closed(closed).py(py)?, self::label(label).py(py)?);
        let [period, offset] = [period, offset].map(|span| span.map(|span| span.0));
        let options = DynamicOptions { on, every: every.0, period, offset, closed, label, by: exprs(by) };
        self.inner.group_by_dynamic(options).agg(exprs(aggregates)).map(Self::from).py(py)
    }
}

#[pymethods]
impl PyDataset {
    #[expect(clippy::too_many_arguments, reason = "the arguments of the verb")]
    fn map_overlap(
        &self,
        py: Python<'_>,
        call: Py<PyAny>,
        name: String,
        before: WindowArg,
        after: WindowArg,
        on: Option<String>,
        batch_size: Option<usize>,
        schema: Option<PySchema>,
    ) -> PyResult<Self> {
        let options = OverlapOptions { on, before: before.0, after: after.0, batch_size };
        map_overlap(py, &self.inner, call, name, options, schema.map(PySchema::into_inner)).map(Self::from)
    }
}

/// A number of rows, or a span along the column that orders them.
struct WindowArg(Reach);

impl<'a, 'py> FromPyObject<'a, 'py> for WindowArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let is_number = value.is_instance_of::<PyInt>();
        let span = value.extract::<SpanArg>()?.0;
        Ok(Self(match span {
            Span::Steps(rows) if is_number => Reach::Rows(rows),
            span => Reach::Span(span),
        }))
    }
}

fn total_of(name: &str) -> Result<Running> {
    Ok(match name {
        "sum" => Running::Sum,
        "prod" => Running::Product,
        "max" => Running::Max,
        "min" => Running::Min,
        "count" => Running::Count,
        _ => return Err(Error::invalid(format!("there is no running total {name:?}"))),
    })
}
