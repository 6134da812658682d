//! Groups and aggregates.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use sheaf::dataset::aggregates::UserAggregate;
use sheaf::dataset::{GroupCalls, GroupedDataset, ValueCounts};

use super::PyDataset;
use crate::columns::{OutputArg, exprs, names};
use crate::errors::IntoPyResult;
use crate::expr::PyExpr;
use crate::expr::types::TypeArgument;
use crate::map_batches::map_groups;
use crate::user_aggregate::PyUserAggregate;
use crate::wait::wait;

#[pymethods]
impl PyDataset {
    fn groupby(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.groupby(exprs(keys)) }
    }

    fn rollup(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.rollup(exprs(keys)) }
    }

    fn cube(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.cube(exprs(keys)) }
    }

    fn grouping_sets(&self, sets: Vec<Vec<OutputArg>>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.grouping_sets(sets.into_iter().map(exprs).collect()) }
    }

    fn describe(&self, py: Python<'_>, percentiles: Option<Vec<f64>>) -> PyResult<Self> {
        let percentiles = percentiles.as_deref().unwrap_or(&sheaf::dataset::PERCENTILES);
        self.inner.describe(percentiles).map(Self::from).py(py)
    }

    fn value_counts(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        sort: bool,
        normalize: bool,
        dropna: bool,
        name: String,
    ) -> PyResult<Self> {
        let options = ValueCounts { sort, normalize, dropna, name };
        self.inner.value_counts(&names(&columns), &options).map(Self::from).py(py)
    }
}

/// A dataset and the keys it is grouped by.
#[pyclass(name = "GroupedDataset", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyGroupedDataset {
    pub(crate) inner: GroupedDataset,
}

impl From<GroupedDataset> for PyGroupedDataset {
    fn from(inner: GroupedDataset) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl PyGroupedDataset {
    fn agg(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<PyDataset> {
        self.inner.agg(exprs(aggregates)).map(PyDataset::from).py(py)
    }

    fn hiding(&self, columns: Vec<String>) -> Self {
        Self { inner: self.inner.clone().hiding(columns) }
    }

    /// The expression of an aggregate of the user's.
    fn user_aggregate(
        &self,
        py: Python<'_>,
        start: Py<PyAny>,
        name: String,
        columns: Option<Vec<String>>,
        return_type: Option<TypeArgument>,
    ) -> PyResult<PyExpr> {
        expr_of(py, self.inner.clone(), PyUserAggregate { name, start }, columns, return_type)
    }

    fn map_groups(
        &self,
        py: Python<'_>,
        call: Py<PyAny>,
        name: String,
        whole: bool,
        batch_size: Option<usize>,
        schema: Option<PySchema>,
    ) -> PyResult<PyDataset> {
        let usual = self.inner.dataset().session().settings().batch_size;
        let calls = if whole { GroupCalls::Whole } else { GroupCalls::Rows(batch_size.unwrap_or(usual)) };
        map_groups(py, &self.inner, call, name, calls, schema.map(PySchema::into_inner)).map(PyDataset::from)
    }
}

/// The expression of an aggregate of the user's in these groups.
pub(super) fn expr_of(
    py: Python<'_>,
    groups: GroupedDataset,
    function: PyUserAggregate,
    columns: Option<Vec<String>>,
    return_type: Option<TypeArgument>,
) -> PyResult<PyExpr> {
    let function: Arc<dyn UserAggregate> = Arc::new(function);
    let (session, result) = (groups.dataset().session().clone(), return_type.map(|dtype| dtype.0));
    wait(py, &session, async move { groups.user_aggregate(function, columns, result).await }).map(PyExpr::from)
}
