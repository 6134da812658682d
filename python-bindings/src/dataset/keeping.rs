//! What keeps a plan's rows for those that go on from it.

use std::collections::BTreeMap;

use pyo3::intern;
use pyo3::prelude::*;
use sheaf::Error;
use sheaf::connectors::write::WriteFormat;
use sheaf::dataset::CheckpointOptions;

use super::PyDataset;
use crate::errors::IntoPyResult;
use crate::wait::wait;

impl PyDataset {
    /// Before a run: says of user functions that run for the second time that they do, once.
    pub(super) fn begin_run(&self, py: Python<'_>) -> PyResult<()> {
        let repeated = self.inner.repeated_functions();
        if !repeated.is_empty() {
            let module = py.import(intern!(py, "sheaf.dataset.keeping"))?;
            module.call_method1(intern!(py, "warn_of_repetition"), (repeated,))?;
        }
        Ok(())
    }
}

#[pymethods]
impl PyDataset {
    fn materialize(&self, py: Python<'_>) -> PyResult<Self> {
        self.begin_run(py)?;
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.materialize().await }).map(Self::from)
    }

    fn persist(&self, py: Python<'_>) -> PyResult<Self> {
        self.begin_run(py)?;
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.persist().await }).map(Self::from)
    }

    fn cache_epochs(&self, py: Python<'_>, path: String, overwrite: bool) -> PyResult<Self> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.cache_epochs(&path, overwrite).await }).map(Self::from)
    }

    fn checkpoint(
        &self,
        py: Python<'_>,
        path: String,
        format: &str,
        overwrite: bool,
        storage_options: BTreeMap<String, String>,
    ) -> PyResult<Self> {
        // The name of a format is the extension of its files, but for Arrow's.
        let extension = if format == "ipc" { "arrow" } else { format };
        let format = WriteFormat::from_path(&format!("checkpoint.{extension}")).ok_or_else(|| {
            Error::invalid(format!("there is no format {format:?}")).with_hint("the formats are parquet and ipc")
        });
        let options = CheckpointOptions { format: format.py(py)?, overwrite, storage_options };
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.checkpoint(&path, options).await }).map(Self::from)
    }
}
