//! Missing values.

use pyo3::prelude::*;
use sheaf::Error;
use sheaf::dataset::NullFill;

use super::PyDataset;
use crate::columns::{ScalarArg, SortArg, names};
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn drop_null(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.drop_null(&names(&columns)).map(Self::from).py(py)
    }

    fn drop_nan(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.drop_nan(&names(&columns)).map(Self::from).py(py)
    }

    fn fill_null(&self, py: Python<'_>, value: ScalarArg, columns: Vec<String>) -> PyResult<Self> {
        self.inner.fill_null(&NullFill::Value(value.0), &names(&columns)).map(Self::from).py(py)
    }

    fn fill_nulls(&self, py: Python<'_>, values: Vec<(String, ScalarArg)>) -> PyResult<Self> {
        let values = values.into_iter().map(|(name, value)| (name, value.0)).collect();
        self.inner.fill_null(&NullFill::Values(values), &[]).map(Self::from).py(py)
    }

    fn fill_null_by(
        &self,
        py: Python<'_>,
        strategy: &str,
        order_by: Vec<SortArg>,
        columns: Vec<String>,
    ) -> PyResult<Self> {
        let order = order_by.into_iter().map(|key| key.0).collect();
        let fill = match strategy {
            "forward" => NullFill::Forward(order),
            "backward" => NullFill::Backward(order),
            "mean" => NullFill::Mean,
            "min" => NullFill::Min,
            "max" => NullFill::Max,
            "zero" => NullFill::Value(0_i64.into()),
            "one" => NullFill::Value(1_i64.into()),
            other => {
                return Err(Error::invalid(format!("there is no strategy {other:?}"))
                    .with_hint("the strategies are forward, backward, mean, min, max, zero and one"))
                .py(py);
            }
        };
        self.inner.fill_null(&fill, &names(&columns)).map(Self::from).py(py)
    }

    fn fill_nan(&self, py: Python<'_>, value: ScalarArg, columns: Vec<String>) -> PyResult<Self> {
        self.inner.fill_nan(&value.0, &names(&columns)).map(Self::from).py(py)
    }
}
