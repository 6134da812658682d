//! Verbs over several datasets of the same columns.

use pyo3::prelude::*;

use super::PyDataset;
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn union(&self, py: Python<'_>, other: &Self, by_name: bool) -> PyResult<Self> {
        self.check_session(py, other)?;
        self.inner.union(&other.inner, by_name).map(Self::from).py(py)
    }
}
