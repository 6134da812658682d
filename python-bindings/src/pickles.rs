//! Datasets and expressions as bytes for other processes, and the functions of Python in them as `cloudpickle` writes
//! them: what `__main__` defines goes along by value, what can be imported by its name.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::BoundObject;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sheaf::connectors::read::FileFilter;
use sheaf::dataset::aggregates::UserAggregate;
use sheaf::dataset::codec::{expr_from_bytes as read_expr, expr_to_bytes};
use sheaf::dataset::{BatchFunction, FunctionDecoder};
use sheaf::expr::ArrayFunction;
use sheaf::{Error, ErrorKind, Result};

use crate::dataset::{PyDataset, PyGroupedDataset};
use crate::errors::IntoPyResult;
use crate::expr::{PyArrayFunction, PyExpr};
use crate::map_batches;
use crate::read::PyFileFilter;
use crate::session::PySession;
use crate::user_aggregate::PyUserAggregate;

/// What a function is made of, as bytes.
pub(crate) fn pickled<'py, T>(py: Python<'py>, name: &str, made_of: T) -> Result<Vec<u8>>
where
    T: IntoPyObject<'py, Target = PyTuple>,
    T::Error: Into<PyErr>,
{
    let pickled = || -> PyResult<Vec<u8>> {
        let made_of = made_of.into_pyobject(py).map_err(Into::into)?.into_bound();
        let module = py.import(intern!(py, "sheaf.cloudpickle"))?;
        module.call_method1(intern!(py, "dumps"), (made_of,))?.extract()
    };
    pickled().map_err(|raised| {
        Error::new(ErrorKind::UserFunction, format!("the function {name:?} cannot be pickled: {raised}"))
            .with_hint("let it make locks, connections and files where it is called: in the __init__ of a class")
            .with_source(raised)
    })
}

/// Makes functions of what [`pickled`] gave.
pub(crate) struct Unpickled;

impl Unpickled {
    fn of<T>(bytes: &[u8]) -> Result<T>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
    {
        Python::attach(|py| {
            let loaded = || -> PyResult<T> {
                let loads = py.import(intern!(py, "pickle"))?.getattr(intern!(py, "loads"))?;
                loads.call1((PyBytes::new(py, bytes),))?.extract()
            };
            loaded().map_err(|raised| {
                Error::new(ErrorKind::UserFunction, format!("a function of the dataset cannot be unpickled: {raised}"))
                    .with_hint("this process needs the modules that the function uses, in the same versions")
                    .with_source(raised)
            })
        })
    }
}

impl FunctionDecoder for Unpickled {
    fn batches(&self, bytes: &[u8]) -> Result<Arc<dyn BatchFunction>> {
        map_batches::remade(Self::of(bytes)?)
    }

    fn array(&self, bytes: &[u8]) -> Result<Arc<dyn ArrayFunction>> {
        let (name, call) = Self::of(bytes)?;
        Ok(Arc::new(PyArrayFunction { name, call }))
    }

    fn aggregate(&self, bytes: &[u8]) -> Result<Arc<dyn UserAggregate>> {
        let (name, start) = Self::of(bytes)?;
        Ok(Arc::new(PyUserAggregate { name, start }))
    }

    fn files(&self, bytes: &[u8]) -> Result<Arc<dyn FileFilter>> {
        let (call,) = Self::of(bytes)?;
        Ok(Arc::new(PyFileFilter(call)))
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
