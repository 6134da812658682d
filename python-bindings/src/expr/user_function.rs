//! Python functions inside expressions: `sheaf._functions.expressions` makes them of what users decorate.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_arrow::{PyArray, PyField};
use sheaf::expr::{ArrayFunction, UserFunction};
use sheaf::{Error, ErrorKind, Result};

use super::PyExpr;
use crate::convert::array_to_pyarrow;
use crate::pickles::pickled;

/// A Python callable over arrays, as expressions and SQL call it.
#[pyclass(name = "UserFunction", module = "sheaf._sheaf", frozen)]
pub(crate) struct PyUserFunction {
    name: String,
    pub(crate) function: UserFunction,
}

#[pymethods]
impl PyUserFunction {
    #[new]
    fn new(name: String, call: Py<PyAny>, returns: PyField, deterministic: bool) -> Self {
        let function = Arc::new(PyArrayFunction { name: name.clone(), call });
        Self { name, function: UserFunction::new(function, returns.into_inner(), deterministic) }
    }

    fn __call__(&self, arguments: Vec<PyRef<'_, PyExpr>>) -> PyExpr {
        let arguments = arguments.into_iter().map(|argument| argument.inner.clone()).collect();
        self.function.call(&self.name, arguments).into()
    }
}

pub(crate) struct PyArrayFunction {
    pub(crate) name: String,
    // From a list of `pyarrow.Array` and the number of rows to a `pyarrow.Array`.
    pub(crate) call: Py<PyAny>,
}

impl ArrayFunction for PyArrayFunction {
    fn call(&self, arguments: Vec<ArrayRef>, fields: &[FieldRef], rows: usize) -> Result<ArrayRef> {
        Python::attach(|py| {
            let made = || -> PyResult<ArrayRef> {
                let arrays = PyList::empty(py);
                for (array, field) in arguments.into_iter().zip(fields) {
                    arrays.append(array_to_pyarrow(py, array, field)?)?;
                }
                Ok(self.call.bind(py).call1((arrays, rows))?.extract::<PyArray>()?.into_inner().0)
            };
            made().map_err(|exception| self.failed(py, exception))
        })
    }

    fn to_bytes(&self, _name: &str) -> Result<Vec<u8>> {
        Python::attach(|py| pickled(py, &self.name, (&self.name, self.call.bind(py))))
    }
}

impl PyArrayFunction {
    fn failed(&self, py: Python<'_>, exception: PyErr) -> Error {
        if !exception.is_instance_of::<PyException>(py) {
            return Error::new(ErrorKind::Cancelled, format!("{} was stopped", self.name)).with_source(exception);
        }
        let class = exception.get_type(py).name().map_or_else(|_| "exception".into(), |name| name.to_string());
        let message = format!("the function {:?} raised {class}: {}", self.name, exception.value(py));
        Error::new(ErrorKind::UserFunction, message)
            .with_hint("the exception that follows from it, with its traceback, is the function's own")
            .with_source(exception)
    }
}
