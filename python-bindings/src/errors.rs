//! Errors of the engine, raised as the exceptions of `sheaf.errors`: one class for each kind.

use std::error::Error as StdError;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use sheaf::Error;

/// The exception for an error. An exception of the user's own that lies under it becomes its cause; one that is to
/// end the program, such as `KeyboardInterrupt`, comes out as it is.
pub(crate) fn to_py(py: Python<'_>, error: &Error) -> PyErr {
    let cause = user_exception(py, error);
    if let Some(stop) = cause.as_ref().filter(|cause| !cause.is_instance_of::<PyException>(py)) {
        return stop.clone_ref(py);
    }
    let built = build(py, error).unwrap_or_else(|failed| failed);
    if cause.is_some() {
        built.set_cause(py, cause);
    }
    built
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let make = py.import(intern!(py, "sheaf.errors"))?.getattr(intern!(py, "_of_kind"))?;
    let exception = make.call1((error.kind().name(), error.to_string(), error.hint()))?;
    Ok(PyErr::from_value(exception))
}

/// The exception that a user's function raised, if that is what the error came from.
pub(crate) fn user_exception(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(exception) = inner.downcast_ref::<PyErr>() {
            return Some(exception.clone_ref(py));
        }
        cause = inner.source();
    }
    None
}

/// Turns results of the engine into results of Python.
pub(crate) trait IntoPyResult<T> {
    /// The same, with the error as an exception.
    fn py(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPyResult<T> for sheaf::Result<T> {
    fn py(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| to_py(py, &error))
    }
}
