//! Coroutine functions: their calls run on an event loop of the run's own, many at once, and no thread waits for them.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use sheaf::dataset::operators::map_batches::{Failure, RunStart};
use sheaf::dataset::{BatchFunction, BatchPosition, Outputs};
use sheaf::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::{failed, failure, to_batch};
use crate::convert::batch_to_pyarrow;
use crate::pickles::pickled;

/// The function; each run has a [`Loop`].
pub(super) struct LoopFunction {
    name: String,
    /// The function as its user wrote it.
    call: Py<PyAny>,
    /// Makes a loop: an object with `submit(batch, reply)` and `close()`.
    open: Py<PyAny>,
    at_once: usize,
    retry_on: Arc<Py<PyAny>>,
}

impl LoopFunction {
    pub(super) fn new(name: String, call: Py<PyAny>, open: Py<PyAny>, at_once: usize, retry_on: Py<PyAny>) -> Self {
        Self { name, call, open, at_once, retry_on: Arc::new(retry_on) }
    }
}

/// The loop of one run. It is closed, and what runs on it cancelled, when the run is over.
struct Loop {
    name: String,
    submits: Py<PyAny>,
    at_once: usize,
    retry_on: Arc<Py<PyAny>>,
}

impl BatchFunction for LoopFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, _batch: RecordBatch, at: BatchPosition) -> Outputs {
        let error = Error::internal(format!("{} was called at {at} before its run had begun", self.name));
        Outputs::Elsewhere(stream::iter([Err(error)]).boxed())
    }

    fn elsewhere(&self) -> Option<usize> {
        Some(self.at_once)
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        super::fingerprint(&self.call)
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Python::attach(|py| {
            let rest = (self.open.bind(py), self.at_once, self.retry_on.bind(py));
            pickled(py, &self.name, (super::LOOP, &self.name, self.call.bind(py), rest))
        })
    }

    fn begin(&self, _run: RunStart) -> Result<Option<Arc<dyn BatchFunction>>> {
        let opened = Python::attach(|py| self.open.call0(py));
        let submits = opened.map_err(|exception| {
            Error::new(ErrorKind::UserFunction, format!("no event loop could be started for {}", self.name))
                .with_source(exception)
        })?;
        let retry_on = Arc::clone(&self.retry_on);
        Ok(Some(Arc::new(Loop { name: self.name.clone(), submits, at_once: self.at_once, retry_on })))
    }
}

type Answer = Result<Vec<RecordBatch>>;

/// What the loop calls when a call has ended.
#[pyclass(frozen)]
struct Reply {
    name: String,
    at: BatchPosition,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

#[pymethods]
impl Reply {
    /// The results, or the exception that there is instead.
    fn __call__(&self, py: Python<'_>, results: Vec<Bound<'_, PyAny>>, exception: Option<Bound<'_, PyAny>>) {
        let answer = match exception {
            Some(exception) => Err(PyErr::from_value(exception)),
            None => results.iter().map(|output| to_batch(py, output)).collect(),
        };
        let answer = answer.map_err(|exception| failed(py, &self.name, exception, self.at));
        if let Some(sender) = self.answer.lock().take() {
            // Nobody waits where the run has ended meanwhile.
            let _ = sender.send(answer);
        }
    }
}

impl Loop {
    fn submit(&self, batch: RecordBatch, at: BatchPosition) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        Python::attach(|py| {
            let reply = Reply { name: self.name.clone(), at, answer: Mutex::new(Some(sender)) };
            let submitted = Py::new(py, reply).and_then(|reply| {
                let batch = batch_to_pyarrow(py, batch)?;
                let told = self.submits.call_method1(py, intern!(py, "submit"), (batch, &reply));
                if let Err(exception) = told {
                    let exception = exception.into_value(py).into_bound(py).into_any();
                    reply.get().__call__(py, Vec::new(), Some(exception));
                }
                Ok(())
            });
            // Without it the answer is lost, which whoever waits for it is told.
            drop(submitted);
        });
        receiver
    }
}

impl BatchFunction for Loop {
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, batch: RecordBatch, at: BatchPosition) -> Outputs {
        let answer = self.submit(batch, at).map(move |answer| {
            let lost = |_| Err(Error::internal(format!("the event loop did not answer ({at})")));
            let outputs = answer.unwrap_or_else(lost);
            stream::iter(outputs.map_or_else(|error| vec![Err(error)], |all| all.into_iter().map(Ok).collect()))
        });
        Outputs::Elsewhere(answer.flatten_stream().boxed())
    }

    fn elsewhere(&self) -> Option<usize> {
        Some(self.at_once)
    }

    fn failure(&self, error: &Error) -> Failure {
        failure(error, Some(&self.retry_on))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        Python::try_attach(|py| {
            if let Err(error) = self.submits.call_method0(py, intern!(py, "close")) {
                error.write_unraisable(py, None);
            }
        });
    }
}
