//! Aggregates of the user's: the engine's rows and states, handed to the Python objects that keep the groups' states.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyDataType};
use sheaf::dataset::BatchPosition;
use sheaf::dataset::aggregates::{GroupStates, UserAggregate};
use sheaf::{Error, ErrorKind, Result};

use crate::convert::batch_to_pyarrow;
use crate::interrupt::{Running, abandon};
use crate::pickles::pickled;

/// A function of Python that starts the states of groups, given the type of their results or `None`.
pub(crate) struct PyUserAggregate {
    pub(crate) name: String,
    pub(crate) start: Py<PyAny>,
}

impl UserAggregate for PyUserAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&self, result: &DataType) -> Result<Box<dyn GroupStates>> {
        Python::attach(|py| {
            let result = match result {
                DataType::Null => py.None().into_bound(py),
                known => PyDataType::new(known.clone()).into_pyarrow(py)?,
            };
            self.start.call1(py, (result,))
        })
        .map(|states| {
            let (name, function) = (self.name.clone(), self.address());
            Box::new(PyStates { name, function, states }) as Box<dyn GroupStates>
        })
        .map_err(|exception| Python::attach(|py| failed(py, &self.name, exception)))
    }

    fn abandoned(&self) {
        abandon(self.address(), ANYWHERE);
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        Python::attach(|py| pickled(py, &self.name, (&self.name, self.start.bind(py))))
    }
}

impl PyUserAggregate {
    /// What the list of running calls knows this function by.
    fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }
}

/// The place of a call over the rows of many groups.
const ANYWHERE: BatchPosition = BatchPosition { partition: 0, batch: 0, row: 0 };

struct PyStates {
    name: String,
    function: usize,
    // With the methods `update`, `merge`, `states`, `results` and `forget`.
    states: Py<PyAny>,
}

impl PyStates {
    fn said<T>(&self, call: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<T>) -> Result<T> {
        Python::attach(|py| {
            let told = Running::enter(py, self.function, ANYWHERE).and_then(|_running| call(py, self.states.bind(py)));
            told.map_err(|exception| failed(py, &self.name, exception))
        })
    }

    fn array(&self, method: &str, groups: usize) -> Result<ArrayRef> {
        self.said(|_, states| {
            let (array, _) = states.call_method1(method, (groups,))?.extract::<PyArray>()?.into_inner();
            Ok(array)
        })
    }
}

impl GroupStates for PyStates {
    fn update(&mut self, rows: RecordBatch) -> Result<usize> {
        self.said(|py, states| states.call_method1(intern!(py, "update"), (batch_to_pyarrow(py, rows)?,))?.extract())
    }

    fn merge(&mut self, states: RecordBatch) -> Result<usize> {
        self.said(|py, kept| kept.call_method1(intern!(py, "merge"), (batch_to_pyarrow(py, states)?,))?.extract())
    }

    fn states(&mut self, groups: usize) -> Result<ArrayRef> {
        self.array("states", groups)
    }

    fn results(&mut self, groups: usize) -> Result<ArrayRef> {
        self.array("results", groups)
    }

    fn forget(&mut self, groups: usize) -> Result<usize> {
        self.said(|py, states| states.call_method1(intern!(py, "forget"), (groups,))?.extract())
    }
}

/// What the user sees: that their aggregate failed, and how. The exception itself is the source.
fn failed(py: Python<'_>, name: &str, exception: PyErr) -> Error {
    if !exception.is_instance_of::<PyException>(py) {
        return Error::new(ErrorKind::Cancelled, format!("{name} was stopped")).with_source(exception);
    }
    let class = exception.get_type(py).name().map_or_else(|_| "exception".into(), |name| name.to_string());
    let said = exception.value(py).to_string();
    Error::new(ErrorKind::UserFunction, format!("the aggregate {name:?} raised {class}: {said}"))
        .with_hint("the exception that follows from it, with its traceback, is the aggregate's own")
        .with_source(exception)
}
