//! Small objects below a URL, for what the runtime saves in object stores.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sheaf::Error;
use sheaf::connectors::blobs;
use sheaf::core::env::Threads;
use tokio::time::timeout;

use crate::errors::IntoPyResult;
use crate::wait::SLICE;

/// The objects below a URL: written, read and deleted whole.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct Blobs {
    blobs: blobs::Blobs,
    threads: Arc<Threads>,
}

impl Blobs {
    /// Runs a request with the GIL free; Ctrl-C gives it up.
    fn wait<T, F>(&self, py: Python<'_>, request: F) -> PyResult<T>
    where
        T: Send + 'static,
        F: Future<Output = sheaf::Result<T>> + Send + 'static,
    {
        let mut task = self.threads.handle().spawn(request);
        loop {
            let joined = py.detach(|| self.threads.block_on(async { timeout(SLICE, &mut task).await }));
            if let Ok(joined) = joined {
                let lost = |error| Err(Error::internal(format!("a request to a store failed: {error}")));
                return joined.unwrap_or_else(lost).py(py);
            }
            if let Err(stop) = py.check_signals() {
                task.abort();
                return Err(stop);
            }
        }
    }
}

#[pymethods]
impl Blobs {
    #[new]
    fn new(py: Python<'_>, url: &str, storage_options: BTreeMap<String, String>) -> PyResult<Self> {
        let blobs = blobs::Blobs::at(url, &storage_options).py(py)?;
        Ok(Self { blobs, threads: Threads::start(1).py(py)? })
    }

    fn create(&self, py: Python<'_>, name: String, data: &[u8]) -> PyResult<bool> {
        let (blobs, data) = (self.blobs.clone(), data.to_vec().into());
        self.wait(py, async move { blobs.create(&name, data).await })
    }

    fn read<'py>(&self, py: Python<'py>, name: String) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let blobs = self.blobs.clone();
        let found = self.wait(py, async move { blobs.read(&name).await })?;
        Ok(found.map(|data| PyBytes::new(py, &data)))
    }

    #[pyo3(signature = (folder=None))]
    fn names(&self, py: Python<'_>, folder: Option<String>) -> PyResult<Vec<String>> {
        let blobs = self.blobs.clone();
        self.wait(py, async move { blobs.names(folder.as_deref()).await })
    }

    fn delete(&self, py: Python<'_>, names: Vec<String>) -> PyResult<()> {
        let blobs = self.blobs.clone();
        self.wait(py, async move { blobs.delete(&names).await })
    }
}
