//! Groups and aggregates.

use pyo3::prelude::*;
use sheaf::dataset::GroupedDataset;

use super::PyDataset;
use crate::columns::{OutputArg, exprs};
use crate::errors::IntoPyResult;
use crate::wait::wait;

#[pymethods]
impl PyDataset {
    fn groupby(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.groupby(exprs(keys)) }
    }

    fn aggregate(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<Self> {
        self.inner.aggregate(exprs(aggregates)).map(Self::from).py(py)
    }

    fn describe(&self, py: Python<'_>) -> PyResult<Self> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.describe().await }).map(Self::from)
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
