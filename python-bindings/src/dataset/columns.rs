//! Verbs over columns.

use std::collections::BTreeMap;

use pyo3::prelude::*;

use super::PyDataset;
use crate::columns::{OutputArg, ValueArg, exprs, names};
use crate::errors::IntoPyResult;
use crate::expr::types::TypeArgument;

#[pymethods]
impl PyDataset {
    fn select(&self, py: Python<'_>, columns: Vec<OutputArg>) -> PyResult<Self> {
        self.inner.select(exprs(columns)).map(Self::from).py(py)
    }

    fn with_columns(&self, py: Python<'_>, columns: Vec<(String, ValueArg)>) -> PyResult<Self> {
        let columns = columns.into_iter().map(|(name, column)| (name, column.0));
        self.inner.with_columns(columns).map(Self::from).py(py)
    }

    fn rename(&self, py: Python<'_>, columns: BTreeMap<String, String>) -> PyResult<Self> {
        self.inner.rename(&columns).map(Self::from).py(py)
    }

    fn drop(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.drop(&names(&columns)).map(Self::from).py(py)
    }

    fn exclude(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.exclude(&names(&columns)).map(Self::from).py(py)
    }

    fn cast(&self, py: Python<'_>, types: Vec<(String, TypeArgument)>, strict: bool) -> PyResult<Self> {
        let types = types.into_iter().map(|(name, dtype)| (name, dtype.0)).collect();
        self.inner.cast(&types, strict).map(Self::from).py(py)
    }
}
