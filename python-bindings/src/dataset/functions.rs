//! Verbs that call functions of the user's.

use pyo3::prelude::*;
use pyo3_arrow::PySchema;

use super::PyDataset;
use crate::map_batches::{MapArgs, map_batches};

#[pymethods]
impl PyDataset {
    #[pyo3(signature = (call, name, batch_size, schema, how=None))]
    fn map_batches(
        &self,
        py: Python<'_>,
        call: Py<PyAny>,
        name: String,
        batch_size: Option<usize>,
        schema: Option<PySchema>,
        how: Option<MapArgs>,
    ) -> PyResult<Self> {
        map_batches(py, &self.inner, call, name, batch_size, schema.map(PySchema::into_inner), how).map(Self::from)
    }
}
