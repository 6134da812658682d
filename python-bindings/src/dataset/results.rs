//! Actions: what runs a plan and waits for it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::PyRecordBatchReader;

use super::PyDataset;
use crate::convert::table_to_pyarrow;
use crate::errors::IntoPyResult;
use crate::filesystem;
use crate::stream::{Batches, PartitionIterator};
use crate::wait::wait;
use crate::write::WriteArgs;

#[pymethods]
impl PyDataset {
    fn to_arrow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.begin_run(py)?;
        let dataset = self.inner.clone();
        let (schema, batches) = wait(py, self.inner.session(), async move {
            let mut run = dataset.start().await?;
            let batches = run.collect().await?;
            dataset.keep_stats(&run);
            Ok((run.schema(), batches))
        })?;
        table_to_pyarrow(py, &schema, batches)
    }

    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        self.begin_run(py)?;
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.count().await })
    }

    fn input_files(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.input_files().await })
    }

    fn preview(&self, py: Python<'_>, rows: usize) -> PyResult<String> {
        self.begin_run(py)?;
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.preview(rows).await })
    }

    fn iter_partitions(&self, py: Python<'_>) -> PyResult<PartitionIterator> {
        self.begin_run(py)?;
        Ok(PartitionIterator::new(Batches::start(py, &self.inner)?))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.begin_run(py)?;
        let reader = PyRecordBatchReader::new(Box::new(Batches::start_in_order(py, &self.inner)?)).into_pyobject(py)?;
        reader.call_method1(intern!(py, "__arrow_c_stream__"), (requested_schema,))
    }

    /// Gives a file system to the session; the URL that stands before its paths.
    fn add_filesystem(
        &self,
        py: Python<'_>,
        files: Py<PyAny>,
        identity: usize,
        root: &str,
        seconds: f64,
    ) -> PyResult<String> {
        filesystem::add(py, self.inner.session(), files, identity, root, seconds)
    }

    /// The target, new files, rows in them, their bytes.
    fn write(&self, py: Python<'_>, target: String, options: WriteArgs) -> PyResult<(String, u64, u64, u64)> {
        self.begin_run(py)?;
        let (dataset, options) = (self.inner.clone(), options.options().py(py)?);
        let report = wait(py, self.inner.session(), async move { dataset.write(&target, options).await })?;
        Ok((report.path, report.files, report.rows, report.bytes))
    }
}
