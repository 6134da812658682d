//! A call as a worker is given it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use sheaf::core::client::{Call, Value};
use sheaf::core::ids::Attempt;

use super::Connection;
use super::reference::{bytes_of, hex};
use super::value::to_python;

const FUNCTION: u8 = 0;
const MAKES_ACTOR: u8 = 1;
const METHOD: u8 = 2;

/// A call that this worker runs.
#[pyclass(module = "sheaf._sheaf", name = "Call", frozen)]
pub(crate) struct PyCall {
    pub(super) attempt: Attempt,
    client: Connection,
    #[pyo3(get)]
    kind: u8,
    #[pyo3(get)]
    name: String,
    #[pyo3(get)]
    function_id: Py<PyBytes>,
    function: Option<Value>,
    #[pyo3(get)]
    method: Option<String>,
    #[pyo3(get)]
    actor_id: Option<Py<PyBytes>>,
    #[pyo3(get)]
    data: Py<PyAny>,
    #[pyo3(get)]
    buffers: Py<PyAny>,
    #[pyo3(get)]
    needs: Py<PyList>,
    #[pyo3(get)]
    num_returns: u32,
    #[pyo3(get)]
    streams: bool,
    #[pyo3(get)]
    concurrency: u32,
    #[pyo3(get)]
    gpu_ids: Vec<u32>,
    #[pyo3(get)]
    extra: Py<PyBytes>,
}

impl PyCall {
    pub(super) fn new(py: Python<'_>, call: Call, client: &Connection) -> PyResult<Self> {
        let arguments = to_python(py, &call.arguments)?;
        let needs = PyList::empty(py);
        for need in &call.needs {
            needs.append(to_python(py, need)?)?;
        }
        let (kind, actor) = match (&call.actor, call.makes_actor) {
            (Some((actor, _)), _) => (METHOD, Some(*actor)),
            (None, Some(_)) => (MAKES_ACTOR, Some(call.attempt.task.result(0))),
            (None, None) => (FUNCTION, None),
        };
        let function_id = call.function.as_ref().map_or([0; 20], |(object, _)| bytes_of(*object));
        Ok(Self {
            attempt: call.attempt,
            client: Connection::clone(client),
            kind,
            name: call.work.name,
            function_id: PyBytes::new(py, &function_id).unbind(),
            function: call.function.map(|(_, value)| value),
            method: call.actor.map(|(_, method)| method),
            actor_id: actor.map(|actor| PyBytes::new(py, &bytes_of(actor)).unbind()),
            data: arguments.get_item(1)?.unbind(),
            buffers: arguments.get_item(2)?.unbind(),
            needs: needs.unbind(),
            num_returns: call.returns,
            streams: call.streams,
            concurrency: call.makes_actor.unwrap_or(1),
            gpu_ids: call.gpus,
            extra: PyBytes::new(py, &call.work.extra).unbind(),
        })
    }
}

#[pymethods]
impl PyCall {
    #[getter]
    fn task_id(&self) -> String {
        hex(&bytes_of(self.attempt.task.result(0))[..16])
    }

    /// The pickled function or class, for whoever has not loaded it before.
    #[getter]
    fn function<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.function.as_ref().map(|value| to_python(py, value)).transpose()
    }

    /// From 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// Whether it is to stop.
    fn is_cancelled(&self) -> bool {
        self.client.is_stopped(self.attempt)
    }
}
