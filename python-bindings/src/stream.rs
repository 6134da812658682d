//! Results that are read as they come: a reader for the Arrow C stream interface.

use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use pyo3::prelude::*;
use sheaf::Dataset;
use sheaf::dataset::Run;
use tokio::time::timeout;

use crate::convert::{batch_to_pyarrow, schema_to_pyarrow, with_schema};
use crate::errors::{IntoPyResult, to_py};
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
    /// Starts an execution of the dataset, whose partitions take turns.
    pub(crate) fn start(py: Python<'_>, dataset: &Dataset) -> PyResult<Self> {
        let started = dataset.clone();
        let run = wait(py, dataset.session(), async move { started.start().await })?;
        Ok(Self { dataset: dataset.clone(), schema: run.schema(), run: Some(run) })
    }

    /// Starts an execution of the dataset that gives its rows in their order.
    pub(crate) fn start_in_order(py: Python<'_>, dataset: &Dataset) -> PyResult<Self> {
        let started = dataset.clone();
        let run = wait(py, dataset.session(), async move { started.start_in_order().await })?;
        Ok(Self { dataset: dataset.clone(), schema: run.schema(), run: Some(run) })
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        Ok(self.next_of(py)?.map(|(_, batch)| batch))
    }

    /// The next batch with its partition.
    fn next_of(&mut self, py: Python<'_>) -> PyResult<Option<(usize, RecordBatch)>> {
        let Some(run) = &mut self.run else { return Ok(None) };
        let threads = Arc::clone(run.session().threads());
        let mut stalls = Stalls::default();
        loop {
            match py.detach(|| threads.block_on(async { timeout(SLICE, run.next_of()).await })) {
                Ok(Ok(Some(found))) => return Ok(Some(found)),
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

/// An iterator of partitions' numbers and `pyarrow.RecordBatch`: partitions take turns, each is in order.
#[pyclass(name = "PartitionIterator", module = "sheaf._sheaf")]
pub(crate) struct PartitionIterator {
    batches: Mutex<Batches>,
    partitions: usize,
}

impl PartitionIterator {
    pub(crate) fn new(batches: Batches) -> Self {
        let partitions = batches.run.as_ref().map_or(0, Run::partitions);
        Self { batches: Mutex::new(batches), partitions }
    }
}

#[pymethods]
impl PartitionIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    // `&mut self` and not a lock: a second thread that reads at the same time is refused, it does not wait.
    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<(usize, Bound<'py, PyAny>)>> {
        let batches = self.batches.get_mut();
        let Some((partition, batch)) = batches.next_of(py)? else { return Ok(None) };
        let batch = with_schema(batch, &batches.schema).map_err(unfit).py(py)?;
        Ok(Some((partition, batch_to_pyarrow(py, batch)?)))
    }

    /// The schema of the batches.
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_to_pyarrow(py, Arc::clone(&self.batches.lock().schema))
    }

    /// How many partitions there are; some may have no batch.
    fn partitions(&self) -> usize {
        self.partitions
    }
}

fn unfit(error: ArrowError) -> sheaf::Error {
    sheaf::Error::internal(format!("cannot cut a batch: {error}"))
}
