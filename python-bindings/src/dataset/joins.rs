//! Joins.

use pyo3::prelude::*;
use sheaf::dataset::JoinOptions;

use super::PyDataset;
use crate::columns::join_type;
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn join(
        &self,
        py: Python<'_>,
        other: &Self,
        left_on: Vec<String>,
        right_on: Vec<String>,
        how: &str,
        suffix: String,
    ) -> PyResult<Self> {
        self.check_session(py, other)?;
        let joined = match join_type(how).py(py)? {
            Some(how) => self.inner.join(&other.inner, &JoinOptions { how, left_on, right_on, suffix }),
            None => self.inner.cross_join(&other.inner, &suffix),
        };
        joined.map(Self::from).py(py)
    }
}
