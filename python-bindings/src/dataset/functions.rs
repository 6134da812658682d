//! Verbs that call functions of the user's.

use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use sheaf::dataset::MapBatchesOptions;

use super::PyDataset;
use crate::map_batches::map_batches;

#[pymethods]
impl PyDataset {
    fn map_batches(
        &self,
        py: Python<'_>,
        call: Py<PyAny>,
        name: String,
        batch_size: Option<usize>,
        schema: Option<PySchema>,
        keeps_partitioning: bool,
    ) -> PyResult<Self> {
        let options = MapBatchesOptions { batch_size, keeps_partitioning };
        map_batches(py, &self.inner, call, name, options, schema.map(PySchema::into_inner)).map(Self::from)
    }
}
