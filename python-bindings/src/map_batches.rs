//! `map_batches`: a Python callable as the engine's `BatchFunction`.
//!
//! Here batches become `pyarrow.RecordBatch` and back, without a copy; what the user's function wants instead (pandas,
//! Polars, NumPy) is made by `sheaf._formats` inside the callable. The callable is called on the engine's threads, on
//! an event loop ([`event_loop`]) or in worker processes ([`workers`]).

mod event_loop;
mod workers;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;
use sheaf::core::settings::parse_bytes;
use sheaf::dataset::operators::map_batches::{Failure, FailureKind};
use sheaf::dataset::{
    BatchFunction, BatchPosition, FailureOptions, GroupCalls, GroupedDataset, MapBatchesOptions, OnError, Outputs,
    OverlapOptions,
};
use sheaf::{Dataset, Error, ErrorKind, Result};

use crate::convert::{batch_to_pyarrow, kept};
use crate::interrupt::{Running, abandon};
use crate::pickles::pickled;
use crate::wait::wait;
use event_loop::LoopFunction;
use workers::{PoolArgs, PoolFunction};

/// How a callable is called, of a dict that `sheaf._functions` fills.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct MapArgs {
    batch_bytes: Option<String>,
    on_error: String,
    max_retries: u32,
    /// A tuple of exception types.
    retry_on: Py<PyAny>,
    retries_errors: bool,
    dead_letter: Option<String>,
    deterministic: bool,
    keeps_partitioning: bool,
    /// For coroutine functions: what makes an event loop for a run, and how many calls it runs at once.
    event_loop: Option<(Py<PyAny>, usize)>,
    /// For worker processes.
    pool: Option<PoolArgs>,
}

impl MapArgs {
    fn options(&self, batch_size: Option<usize>) -> Result<MapBatchesOptions> {
        let on_error = match &self.on_error[..] {
            "raise" => OnError::Raise,
            "skip" => OnError::Skip,
            "null" => OnError::Null,
            other => {
                return Err(Error::invalid(format!("there is no on_error={other:?}"))
                    .with_hint("\"raise\" ends the run, \"skip\" leaves rows out, \"null\" makes rows of nulls"));
            }
        };
        let failures = FailureOptions {
            on_error,
            max_retries: self.max_retries,
            retries_errors: self.retries_errors,
            dead_letter: self.dead_letter.clone(),
        };
        let batch_bytes = self.batch_bytes.as_deref().map(parse_bytes).transpose()?;
        let batch_bytes = batch_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let (deterministic, keeps_partitioning) = (self.deterministic, self.keeps_partitioning);
        Ok(MapBatchesOptions { batch_size, batch_bytes, failures, deterministic, keeps_partitioning })
    }
}

/// The dataset of what the callable makes of each batch.
pub(crate) fn map_batches(
    py: Python<'_>,
    dataset: &Dataset,
    call: Py<PyAny>,
    name: String,
    batch_size: Option<usize>,
    schema: Option<SchemaRef>,
    how: Option<MapArgs>,
) -> PyResult<Dataset> {
    let options = how.as_ref().map(|how| how.options(batch_size)).transpose();
    let input = dataset.clone();
    wait(py, dataset.session(), async move {
        let options = options?.unwrap_or_else(|| MapBatchesOptions { batch_size, ..MapBatchesOptions::default() });
        input.map_batches(function(call, name, how), options, schema).await
    })
}

fn function(call: Py<PyAny>, name: String, how: Option<MapArgs>) -> Arc<dyn BatchFunction> {
    let Some(MapArgs { retry_on, event_loop, pool, .. }) = how else {
        return Arc::new(PyBatchFunction { name, call, retry_on: None });
    };
    match (pool, event_loop) {
        (Some(pool), _) => Arc::new(PoolFunction::new(name, call, pool)),
        (None, Some((open, at_once))) => Arc::new(LoopFunction::new(name, call, open, at_once, retry_on)),
        (None, None) => Arc::new(PyBatchFunction { name, call, retry_on: Some(retry_on) }),
    }
}

/// The dataset of what the callable makes of runs of ordered rows.
pub(crate) fn map_overlap(
    py: Python<'_>,
    dataset: &Dataset,
    call: Py<PyAny>,
    name: String,
    options: OverlapOptions,
    schema: Option<SchemaRef>,
) -> PyResult<Dataset> {
    let function: Arc<dyn BatchFunction> = Arc::new(PyBatchFunction { name, call, retry_on: None });
    let input = dataset.clone();
    wait(py, dataset.session(), async move { input.map_overlap(function, options, schema).await })
}

/// The dataset of what the callable makes of each group: whole, or in batches of so many rows.
pub(crate) fn map_groups(
    py: Python<'_>,
    groups: &GroupedDataset,
    call: Py<PyAny>,
    name: String,
    calls: GroupCalls,
    schema: Option<SchemaRef>,
) -> PyResult<Dataset> {
    let function: Arc<dyn BatchFunction> = Arc::new(PyBatchFunction { name, call, retry_on: None });
    let input = groups.clone();
    wait(py, groups.dataset().session(), async move { input.map_groups(function, calls, schema).await })
}

/// What is the same for the same function and arguments: the bytes of both.
fn fingerprint(call: &Py<PyAny>) -> Option<Vec<u8>> {
    Python::attach(|py| pickled(py, "", (call.bind(py),)).ok())
}

/// How a function over batches is called, in its pickle.
type Kind = String;

/// What functions over batches are made of: the kind, the name, the callable, and what else the kind has.
pub(crate) type Pickled = (Kind, String, Py<PyAny>, Py<PyAny>);

const HERE: &str = "here";
const LOOP: &str = "loop";
const POOL: &str = "pool";

/// The function that is made of these.
pub(crate) fn remade((kind, name, call, rest): Pickled) -> Result<Arc<dyn BatchFunction>> {
    let made = Python::attach(|py| -> PyResult<Arc<dyn BatchFunction>> {
        Ok(match &kind[..] {
            LOOP => {
                let (open, at_once, retry_on) = rest.extract(py)?;
                Arc::new(LoopFunction::new(name, call, open, at_once, retry_on))
            }
            POOL => Arc::new(PoolFunction::unpickled(name, call, rest.extract(py)?)),
            _ => Arc::new(PyBatchFunction { name, call, retry_on: rest.extract(py)? }),
        })
    });
    made.map_err(|raised| Error::internal(format!("a pickled function is not what it says: {raised}")))
}

/// A callable that is called on the engine's threads.
struct PyBatchFunction {
    name: String,
    // From a `pyarrow.RecordBatch` to anything with the Arrow C interface, or an iterator of such.
    call: Py<PyAny>,
    retry_on: Option<Py<PyAny>>,
}

impl PyBatchFunction {
    /// What the list of running calls knows this function by.
    fn address(&self) -> usize {
        self.call.as_ptr() as usize
    }

    fn run(&self, py: Python<'_>, batch: RecordBatch, at: BatchPosition) -> PyResult<Outputs> {
        let _running = Running::enter(py, self.address(), at)?;
        let output = self.call.bind(py).call1((batch_to_pyarrow(py, batch)?,))?;
        if output.hasattr(intern!(py, "__next__"))? && !output.hasattr(intern!(py, "__arrow_c_stream__"))? {
            let (name, address, items) = (self.name.clone(), self.address(), output.unbind());
            return Ok(Outputs::Here(Box::new(Yielded { name, address, at, items })));
        }
        Ok(Outputs::one(Ok(to_batch(py, &output)?)))
    }
}

/// What a generator function yields.
struct Yielded {
    name: String,
    address: usize,
    at: BatchPosition,
    items: Py<PyAny>,
}

impl Iterator for Yielded {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        Python::attach(|py| {
            let next = || {
                let _running = Running::enter(py, self.address, self.at)?;
                let next = self.items.bind(py).try_iter()?.next();
                next.map(|item| to_batch(py, &item?)).transpose()
            };
            next().map_err(|exception| failed(py, &self.name, exception, self.at)).transpose()
        })
    }
}

/// Anything with the Arrow C interface as one batch over the same memory.
fn to_batch(py: Python<'_>, output: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let (batches, schema) = output.extract::<AnyRecordBatch>()?.into_table()?.into_inner();
    match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => Ok(kept(py, batch, &output.clone().unbind())),
        Err(batches) => py
            .detach(|| arrow::compute::concat_batches(&schema, &batches))
            .map_err(|error| PyException::new_err(error.to_string())),
    }
}

/// What the user sees: that their function failed, how, and on which rows. The exception itself is the source.
fn failed(py: Python<'_>, name: &str, exception: PyErr, at: BatchPosition) -> Error {
    if !exception.is_instance_of::<PyException>(py) {
        return Error::new(ErrorKind::Cancelled, format!("{name} was stopped")).with_source(exception);
    }
    let class = exception.get_type(py).name().map_or_else(|_| "exception".into(), |name| name.to_string());
    let said = exception.value(py).to_string();
    let message = format!("the function {name:?} raised {class}: {said} ({at})");
    Error::new(ErrorKind::UserFunction, message)
        .with_hint("the exception that follows from it, with its traceback, is the function's own")
        .with_source(exception)
}

/// What an error of [`failed`] is for who decides about it.
fn failure(error: &Error, retry_on: Option<&Py<PyAny>>) -> Failure {
    let exception = std::error::Error::source(error).and_then(|source| source.downcast_ref::<PyErr>());
    let Some(exception) = exception.filter(|_| error.kind() == ErrorKind::UserFunction) else {
        return Failure { kind: FailureKind::Fatal, error: error.to_string(), traceback: None };
    };
    Python::attach(|py| {
        let retry = retry_on.is_some_and(|types| exception.value(py).is_instance(types.bind(py)).unwrap_or(false));
        let class = exception.get_type(py).name().map_or_else(|_| "exception".into(), |name| name.to_string());
        let formatted = || -> PyResult<String> {
            let format = py.import(intern!(py, "traceback"))?.getattr(intern!(py, "format_exception"))?;
            let told = (exception.get_type(py), exception.value(py), exception.traceback(py));
            let lines: Vec<String> = format.call1(told)?.extract()?;
            Ok(lines.concat())
        };
        Failure {
            kind: FailureKind::Raised { retry },
            error: format!("{class}: {}", exception.value(py)),
            traceback: formatted().ok(),
        }
    })
}

impl BatchFunction for PyBatchFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        Python::attach(|py| {
            let outputs = self.run(py, batch, at);
            outputs.unwrap_or_else(|exception| Outputs::one(Err(failed(py, &self.name, exception, at))))
        })
    }

    fn failure(&self, error: &Error) -> Failure {
        failure(error, self.retry_on.as_ref())
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        fingerprint(&self.call)
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Python::attach(|py| pickled(py, &self.name, (HERE, &self.name, self.call.bind(py), &self.retry_on)))
    }

    fn abandoned(&self, at: BatchPosition) {
        abandon(self.address(), at);
    }
}
