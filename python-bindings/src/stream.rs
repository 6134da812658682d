//! Results that are read as they come: a reader for the Arrow C stream interface.

use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use pyo3::prelude::*;
use sheaf::Dataset;
use sheaf::dataset::Run;
use tokio::time::timeout;

use crate::convert::with_schema;
use crate::errors::to_py;
use crate::interrupt::{self, Stalls};
use crate::wait::{SLICE, wait};

/// One execution, read batch by batch. The engine runs only a few batches ahead of the reader.
pub(crate) struct Batches {
    dataset: Dataset,
    schema: SchemaRef,
    // `None` once the last batch is read.
    run: Option<Run>,
}

impl Batches {
    /// Starts an execution of the dataset.
    pub(crate) fn start(py: Python<'_>, dataset: &Dataset) -> PyResult<Self> {
        let started = dataset.clone();
        let run = wait(py, dataset.session(), async move { started.start().await })?;
        Ok(Self { dataset: dataset.clone(), schema: run.schema(), run: Some(run) })
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        let Some(run) = &mut self.run else { return Ok(None) };
        let threads = Arc::clone(run.session().threads());
        let mut stalls = Stalls::default();
        loop {
            match py.detach(|| threads.block_on(async { timeout(SLICE, run.next()).await })) {
                Ok(Ok(Some(batch))) => return Ok(Some(batch)),
                Ok(Ok(None)) => {
                    self.dataset.keep_stats(run);
                    self.run = None;
                    return Ok(None);
                }
                Ok(Err(error)) => {
                    self.run = None;
                    return Err(to_py(py, &error));
                }
                Err(_) => {
                    if let Err(stop) = py.check_signals().and_then(|()| stalls.look(py)) {
                        if let Some(run) = self.run.take() {
                            run.abandon();
                        }
                        interrupt::abandoned_calls(py);
                        return Err(stop);
                    }
                }
            }
        }
    }
}

// For consumers of the C stream interface. They may call from any thread, with the GIL or without.
impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let schema = Arc::clone(&self.schema);
        Python::attach(|py| match Self::next(self, py) {
            Ok(batch) => batch.map(|batch| with_schema(batch, &schema)),
            Err(error) => {
                // The interface carries text only: an interruption is raised again once its consumer returns.
                if error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
                    let _ = py.import("_thread").and_then(|module| module.call_method0("interrupt_main"));
                }
                Some(Err(ArrowError::ExternalError(error.to_string().into())))
            }
        })
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
