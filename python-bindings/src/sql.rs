//! SQL: a statement with its parameters and the datasets that it may name.

use std::collections::BTreeMap;

use datafusion::common::{ParamValues, ScalarValue};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sheaf::Error;
use sheaf::sql::Bindings;

use crate::dataset::PyDataset;
use crate::errors::IntoPyResult;
use crate::expr::operand::scalar;

/// The values and tables that Python gave to a statement.
pub(crate) fn bindings(
    py: Python<'_>,
    params: Option<&Bound<'_, PyAny>>,
    datasets: BTreeMap<String, PyRef<'_, PyDataset>>,
) -> PyResult<Bindings> {
    let datasets = datasets.into_iter().map(|(name, dataset)| (name, dataset.inner.clone())).collect();
    Ok(Bindings { params: params.map(|params| values(py, params)).transpose()?, datasets })
}

/// A list stands for `$1`, `$2`, …, a dict for `$name`.
fn values(py: Python<'_>, params: &Bound<'_, PyAny>) -> PyResult<ParamValues> {
    if let Ok(named) = params.cast::<PyDict>() {
        let named: Vec<(String, ScalarValue)> =
            named.iter().map(|(name, value)| Ok((name.extract()?, scalar(&value)?))).collect::<PyResult<_>>()?;
        return Ok(named.into());
    }
    if params.is_instance_of::<PyString>() {
        let error = Error::invalid("params is a list or a dict, not one string").with_hint("write params=[value]");
        return Err(error).py(py);
    }
    let listed =
        params.try_iter().map_err(|_| PyTypeError::new_err("params is a list for $1, $2 or a dict for $name"))?;
    let listed: Vec<ScalarValue> = listed.map(|value| scalar(&value?)).collect::<PyResult<_>>()?;
    Ok(listed.into())
}
