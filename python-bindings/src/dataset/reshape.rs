//! Columns into rows and rows into columns.

use pyo3::prelude::*;
use sheaf::dataset::ExplodeOptions;

use super::PyDataset;
use crate::columns::{ScalarArg, names};
use crate::errors::IntoPyResult;
use crate::expr::PyExpr;
use crate::wait::wait;

#[pymethods]
impl PyDataset {
    fn explode(&self, py: Python<'_>, columns: Vec<String>, outer: bool, index: Option<String>) -> PyResult<Self> {
        self.inner.explode(&names(&columns), &ExplodeOptions { outer, index }).map(Self::from).py(py)
    }

    fn unnest(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.unnest(&names(&columns)).map(Self::from).py(py)
    }

    fn unpivot(
        &self,
        py: Python<'_>,
        on: Vec<String>,
        index: Vec<String>,
        variable_name: &str,
        value_name: &str,
    ) -> PyResult<Self> {
        self.inner.unpivot(&names(&on), &names(&index), variable_name, value_name).map(Self::from).py(py)
    }

    fn pivot(
        &self,
        py: Python<'_>,
        index: Vec<String>,
        on: String,
        aggregates: Vec<(String, PyRef<'_, PyExpr>)>,
        names_of: Option<Vec<ScalarArg>>,
    ) -> PyResult<Self> {
        let aggregates: Vec<_> = aggregates.into_iter().map(|(of, expr)| (of, expr.inner.clone())).collect();
        let found = match names_of {
            Some(given) => given.into_iter().map(|name| name.0).collect(),
            None => {
                let (dataset, on) = (self.inner.clone(), on.clone());
                wait(py, self.inner.session(), async move { dataset.pivot_names(&on).await })?
            }
        };
        self.inner.pivot(&names(&index), &on, &aggregates, &found).map(Self::from).py(py)
    }
}
