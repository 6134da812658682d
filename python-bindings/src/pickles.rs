//! What Python's functions in plans are made of, as `cloudpickle` writes it: what `__main__` defines goes along by
//! value, what can be imported by its name.

use pyo3::BoundObject;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sheaf::{Error, ErrorKind, Result};

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

/// What [`pickled`] made bytes of.
pub(crate) fn unpickled<T>(bytes: &[u8]) -> Result<T>
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
