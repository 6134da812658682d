//! Datasets, grouped datasets and expressions as bytes for other processes, with the functions of Python in them.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sheaf::connectors::read::FileFilter;
use sheaf::dataset::aggregates::UserAggregate;
use sheaf::dataset::codec::{expr_from_bytes as read_expr, expr_to_bytes};
use sheaf::dataset::{BatchFunction, FunctionDecoder};
use sheaf::expr::ArrayFunction;
use sheaf::{Error, Result};

use crate::dataset::{PyDataset, PyGroupedDataset};
use crate::errors::{IntoPyResult, user_exception};
use crate::expr::{PyArrayFunction, PyExpr};
use crate::map_batches;
use crate::parts;
use crate::pickles::unpickled;
use crate::read::PyFileFilter;
use crate::session::PySession;
use crate::user_aggregate::PyUserAggregate;

/// Makes Python's functions of their pickles.
pub(crate) struct Unpickled;

impl FunctionDecoder for Unpickled {
    fn batches(&self, bytes: &[u8]) -> Result<Arc<dyn BatchFunction>> {
        map_batches::remade(unpickled(bytes)?)
    }

    fn array(&self, bytes: &[u8]) -> Result<Arc<dyn ArrayFunction>> {
        let (name, call) = unpickled(bytes)?;
        Ok(Arc::new(PyArrayFunction { name, call }))
    }

    fn aggregate(&self, bytes: &[u8]) -> Result<Arc<dyn UserAggregate>> {
        let (name, start) = unpickled(bytes)?;
        Ok(Arc::new(PyUserAggregate { name, start }))
    }

    fn files(&self, bytes: &[u8]) -> Result<Arc<dyn FileFilter>> {
        let (call,) = unpickled(bytes)?;
        Ok(Arc::new(PyFileFilter(call)))
    }

    fn table(&self, bytes: &[u8]) -> Result<Arc<dyn TableProvider>> {
        parts::remade(unpickled(bytes)?)
    }

    fn cause_of(&self, error: &Error) -> Option<Vec<u8>> {
        Python::try_attach(|py| {
            let exception = user_exception(py, error)?;
            let told = py.import(intern!(py, "sheaf._functions.causes")).and_then(|module| {
                module
                    .call_method1(intern!(py, "told"), (exception.value(py), exception.traceback(py)))?
                    .extract::<Option<Vec<u8>>>()
            });
            told.ok().flatten()
        })
        .flatten()
    }

    fn with_cause(&self, error: Error, cause: &[u8]) -> Error {
        let read = |py: Python<'_>| {
            let module = py.import(intern!(py, "sheaf._functions.causes"))?;
            module.call_method1(intern!(py, "read"), (PyBytes::new(py, cause),)).map(PyErr::from_value)
        };
        match Python::try_attach(read) {
            Some(Ok(exception)) => error.with_source(exception),
            _ => error,
        }
    }
}

#[pymethods]
impl PyDataset {
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.inner.to_bytes()).py(py)?;
        Ok(PyBytes::new(py, &bytes))
    }
}

#[pymethods]
impl PyGroupedDataset {
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.inner.to_bytes()).py(py)?;
        Ok(PyBytes::new(py, &bytes))
    }
}

#[pymethods]
impl PySession {
    fn dataset_from_bytes(&self, py: Python<'_>, data: Cow<'_, [u8]>) -> PyResult<PyDataset> {
        let session = self.open(py)?;
        py.detach(|| session.dataset_from_bytes(&data, &Unpickled)).map(PyDataset::from).py(py)
    }

    fn grouped_from_bytes(&self, py: Python<'_>, data: Cow<'_, [u8]>) -> PyResult<PyGroupedDataset> {
        let session = self.open(py)?;
        py.detach(|| session.grouped_from_bytes(&data, &Unpickled)).map(PyGroupedDataset::from).py(py)
    }
}

#[pymethods]
impl PyExpr {
    /// Expressions pickle, with the functions that they call.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let bytes = py.detach(|| expr_to_bytes(&self.inner)).py(py)?;
        let load = py.import(intern!(py, "sheaf._sheaf"))?.getattr(intern!(py, "expr_from_bytes"))?;
        Ok((load, (PyBytes::new(py, &bytes),)))
    }

    /// An expression never changes: a copy is itself.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }
}

/// The expression of these bytes.
#[pyfunction]
pub(crate) fn expr_from_bytes(py: Python<'_>, data: Cow<'_, [u8]>) -> PyResult<PyExpr> {
    py.detach(|| read_expr(&data, &Unpickled)).map(PyExpr::from).py(py)
}
