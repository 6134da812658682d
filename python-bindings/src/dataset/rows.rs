//! Verbs over rows.

use pyo3::prelude::*;
use sheaf::Error;
use sheaf::dataset::{SampleOptions, SampleSize};

use super::PyDataset;
use crate::columns::{ColumnArg, SortArg, names};
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn filter(&self, py: Python<'_>, predicate: ColumnArg) -> PyResult<Self> {
        self.inner.filter(predicate.0).map(Self::from).py(py)
    }

    fn distinct(&self, py: Python<'_>, on: Vec<String>) -> PyResult<Self> {
        self.inner.distinct(&names(&on)).map(Self::from).py(py)
    }

    fn sort(&self, py: Python<'_>, keys: Vec<SortArg>) -> PyResult<Self> {
        self.inner.sort(keys.into_iter().map(|key| key.0)).map(Self::from).py(py)
    }

    fn limit(&self, py: Python<'_>, skip: usize, fetch: Option<usize>) -> PyResult<Self> {
        self.inner.limit(skip, fetch).map(Self::from).py(py)
    }

    fn drop_duplicates(
        &self,
        py: Python<'_>,
        subset: Vec<String>,
        keep: &str,
        order_by: Vec<SortArg>,
    ) -> PyResult<Self> {
        let order = order_by.into_iter().map(|key| key.0).collect();
        let dropped = keep.parse().and_then(|keep| self.inner.drop_duplicates(&names(&subset), keep, order));
        dropped.map(Self::from).py(py)
    }

    fn with_row_index(&self, py: Python<'_>, name: &str, offset: i64) -> PyResult<Self> {
        self.inner.with_row_index(name, offset).map(Self::from).py(py)
    }

    fn monotonically_increasing_id(&self, py: Python<'_>, name: &str) -> PyResult<Self> {
        self.inner.monotonically_increasing_id(name).map(Self::from).py(py)
    }

    fn preserve_order(&self, py: Python<'_>) -> PyResult<Self> {
        self.inner.preserve_order().map(Self::from).py(py)
    }

    fn sample(
        &self,
        py: Python<'_>,
        fraction: Option<f64>,
        n: Option<usize>,
        seed: u64,
        replace: bool,
        stratify_by: Vec<String>,
    ) -> PyResult<Self> {
        let size = match (fraction, n) {
            (Some(fraction), None) => SampleSize::Fraction(fraction),
            (None, Some(rows)) => SampleSize::Rows(rows),
            _ => {
                return Err(Error::invalid("a sample has either a fraction or a number of rows")
                    .with_hint("sample(0.1) is about a tenth of the rows, sample(n=10) are ten of them"))
                .py(py);
            }
        };
        let options = SampleOptions { seed, replace, stratify_by };
        self.inner.sample(size, &options).map(Self::from).py(py)
    }
}
