//! What may stand beside an expression: another expression, or a value of Python that becomes a constant.

use datafusion::common::ScalarValue;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};
use pyo3_arrow::PyArray;
use sheaf::expr::{Expr, SortExpr, col};

use super::{PyExpr, PySortKey};

/// An operand: an expression, or a value as a constant. A string is a value.
pub(crate) struct Operand(pub(crate) Expr);

impl<'a, 'py> FromPyObject<'a, 'py> for Operand {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(expr) = value.cast::<PyExpr>() {
            return Ok(Self(expr.get().inner.clone()));
        }
        Ok(Self(Expr::Literal(scalar(&value)?, None)))
    }
}

/// Columns: names and expressions, one or a sequence of them. A string is the name of a column.
pub(crate) struct Columns(pub(crate) Vec<Expr>);

impl<'a, 'py> FromPyObject<'a, 'py> for Columns {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        one_or_many(&value, column).map(Self)
    }
}

/// Keys of a sort: names, expressions (ascending, nulls last) and sort keys, one or a sequence of them.
pub(crate) struct SortKeys(pub(crate) Vec<SortExpr>);

impl<'a, 'py> FromPyObject<'a, 'py> for SortKeys {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let key = |value: &Bound<'_, PyAny>| match value.cast::<PySortKey>() {
            Ok(key) => Ok(key.get().inner.clone()),
            Err(_) => column(value).map(|expr| expr.sort(true, false)),
        };
        one_or_many(&value, key).map(Self)
    }
}

fn column(value: &Bound<'_, PyAny>) -> PyResult<Expr> {
    if let Ok(expr) = value.cast::<PyExpr>() {
        return Ok(expr.get().inner.clone());
    }
    match value.cast::<PyString>() {
        Ok(name) => Ok(col(name.extract::<String>()?)),
        Err(_) => Err(PyTypeError::new_err(format!(
            "a column is a name or an expression, not a value of type {}",
            value.get_type().name()?
        ))),
    }
}

fn one_or_many<T>(value: &Bound<'_, PyAny>, one: impl Fn(&Bound<'_, PyAny>) -> PyResult<T>) -> PyResult<Vec<T>> {
    let single = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyExpr>()
        || value.is_instance_of::<PySortKey>()
        || value.try_iter().is_err();
    if single {
        return Ok(vec![one(value)?]);
    }
    value.try_iter()?.map(|item| one(&item?)).collect()
}

/// The constant that a value of Python stands for. What Python itself has no type for goes through PyArrow: dates,
/// times, decimals, bytes, lists, structs, and the scalars of NumPy, pandas and PyArrow.
pub(crate) fn scalar(value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    if value.is_none() {
        return Ok(ScalarValue::Null);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(ScalarValue::Boolean(Some(value.is_true())));
    }
    if value.is_instance_of::<PyInt>() {
        return integer(value);
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(ScalarValue::Float64(Some(value.extract()?)));
    }
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(ScalarValue::Utf8(Some(value.extract()?)));
    }
    through_pyarrow(value)
}

fn integer(value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    if let Ok(value) = value.extract::<i64>() {
        return Ok(ScalarValue::Int64(Some(value)));
    }
    value.extract::<u64>().map(|value| ScalarValue::UInt64(Some(value))).map_err(|_| {
        PyOverflowError::new_err(format!("{value} does not fit an integer of 64 bits: give it as a decimal.Decimal"))
    })
}

fn through_pyarrow(value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    let py = value.py();
    let refused = |cause: PyErr| {
        let name = value.get_type().name().map_or_else(|_| "?".to_string(), |name| name.to_string());
        let error = PyTypeError::new_err(format!(
            "a value of type {name} cannot stand in an expression: use an expression such as sf.col(\"x\"), or a \
             number, text, bytes, date, time, decimal, list or dict"
        ));
        error.set_cause(py, Some(cause));
        error
    };
    let pyarrow = py.import(intern!(py, "pyarrow"))?;
    let options = PyDict::new(py);
    let value = if value.is_instance(&pyarrow.getattr(intern!(py, "Scalar"))?)? {
        options.set_item(intern!(py, "type"), value.getattr(intern!(py, "type"))?)?;
        value.call_method0(intern!(py, "as_py"))?
    } else {
        plain_list(value)?.map_or_else(|| value.clone(), Bound::into_any)
    };
    let one = PyList::new(py, [value])?;
    let array = pyarrow.call_method(intern!(py, "array"), (one,), Some(&options)).map_err(refused)?;
    let (array, _) = array.extract::<PyArray>()?.into_inner();
    ScalarValue::try_from_array(&array, 0).map_err(|error| PyTypeError::new_err(error.to_string()))
}

/// A list of the values of a column of another library: `None` when the value is none.
pub(crate) fn plain_list<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = value.py();
    for method in [intern!(py, "to_pylist"), intern!(py, "to_list"), intern!(py, "tolist")] {
        if let Some(method) = value.getattr_opt(method)? {
            return Ok(method.call0()?.cast_into::<PyList>().ok());
        }
    }
    Ok(None)
}
