//! `map_batches`: a Python callable as the engine's `BatchFunction`.
//!
//! Here batches become `pyarrow.RecordBatch` and back, without a copy; what the user's function wants instead (pandas,
//! Polars, NumPy) is made by `sheaf._formats` inside the callable.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;
use sheaf::dataset::{BatchFunction, BatchPosition, MapBatchesOptions};
use sheaf::{Dataset, Error, ErrorKind, Result};

use crate::convert::{batch_to_pyarrow, kept};
use crate::interrupt::{Running, abandon};
use crate::wait::wait;

/// The dataset of what the callable makes of each batch.
pub(crate) fn map_batches(
    py: Python<'_>,
    dataset: &Dataset,
    call: Py<PyAny>,
    name: String,
    options: MapBatchesOptions,
    schema: Option<SchemaRef>,
) -> PyResult<Dataset> {
    let function: Arc<dyn BatchFunction> = Arc::new(PyBatchFunction { name, call });
    let input = dataset.clone();
    wait(py, dataset.session(), async move { input.map_batches(function, options, schema).await })
}

struct PyBatchFunction {
    name: String,
    // From a `pyarrow.RecordBatch` to anything with the Arrow C interface.
    call: Py<PyAny>,
}

impl PyBatchFunction {
    /// What the list of running calls knows this function by.
    fn address(&self) -> usize {
        self.call.as_ptr() as usize
    }

    fn run(&self, py: Python<'_>, batch: RecordBatch, at: BatchPosition) -> PyResult<RecordBatch> {
        let _running = Running::enter(py, self.address(), at)?;
        let output = self.call.bind(py).call1((batch_to_pyarrow(py, batch)?,))?;
        let (batches, schema) = output.extract::<AnyRecordBatch>()?.into_table()?.into_inner();
        match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => Ok(kept(py, batch, &output.unbind())),
            Err(batches) => py
                .detach(|| arrow::compute::concat_batches(&schema, &batches))
                .map_err(|error| PyException::new_err(error.to_string())),
        }
    }

    /// What the user sees: that their function failed, how, and on which rows. The exception itself is the source.
    fn failed(&self, py: Python<'_>, exception: PyErr, at: BatchPosition) -> Error {
        if !exception.is_instance_of::<PyException>(py) {
            return Error::new(ErrorKind::Cancelled, format!("{} was stopped", self.name)).with_source(exception);
        }
        let class = exception.get_type(py).name().map_or_else(|_| "exception".into(), |name| name.to_string());
        let said = exception.value(py).to_string();
        let message = format!("the function {:?} raised {class}: {said} ({at})", self.name);
        Error::new(ErrorKind::UserFunction, message)
            .with_hint("the exception that follows from it, with its traceback, is the function's own")
            .with_source(exception)
    }
}

impl BatchFunction for PyBatchFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Result<RecordBatch> {
        Python::attach(|py| self.run(py, batch, at).map_err(|exception| self.failed(py, exception, at)))
    }

    fn abandoned(&self, at: BatchPosition) {
        abandon(self.address(), at);
    }
}
