//! Groups and aggregates.

use pyo3::prelude::*;
use sheaf::dataset::{GroupedDataset, ValueCounts};

use super::PyDataset;
use crate::columns::{OutputArg, exprs, names};
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn groupby(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.groupby(exprs(keys)) }
    }

    fn aggregate(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<Self> {
        self.inner.aggregate(exprs(aggregates)).map(Self::from).py(py)
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
    inner: GroupedDataset,
}

#[pymethods]
impl PyGroupedDataset {
    fn agg(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<PyDataset> {
        self.inner.agg(exprs(aggregates)).map(PyDataset::from).py(py)
    }
}
