//! Arguments of verbs, told to the engine: columns by name or expression, sort keys, kinds of join.

use datafusion::common::ScalarValue;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3_arrow::PyDataType;
use sheaf::dataset::JoinType;
use sheaf::expr::{Expr, SortExpr, col};
use sheaf::{Error, Result};

use crate::expr::operand::{Operand, scalar};
use crate::expr::text::output_name;
use crate::expr::types::TypeArgument;
use crate::expr::{PyExpr, PySortKey};

/// A column: a name taken as it is written, or an expression.
pub(crate) struct ColumnArg(pub(crate) Expr);

impl<'py> FromPyObject<'_, 'py> for ColumnArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = value.extract::<String>() {
            return Ok(Self(col(name)));
        }
        match value.cast::<PyExpr>() {
            Ok(expr) => Ok(Self(expr.get().inner.clone())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a column is a name or an expression such as sf.col(\"a\") + 1, not {}",
                value.get_type().name()?
            ))),
        }
    }
}

/// A column of a result: an expression has the name that its text gives it.
pub(crate) struct OutputArg(Expr);

impl<'py> FromPyObject<'_, 'py> for OutputArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.cast::<PyExpr>() {
            Ok(expr) => {
                let expr = &expr.get().inner;
                Ok(Self(match expr {
                    Expr::Alias(_) | Expr::Column(_) => expr.clone(),
                    unnamed => unnamed.clone().alias(output_name(unnamed)),
                }))
            }
            Err(_) => value.extract::<ColumnArg>().map(|column| Self(column.0)),
        }
    }
}

/// A column, or a value that is the same in every row. A string is the name of a column.
pub(crate) struct ValueArg(pub(crate) Expr);

impl<'py> FromPyObject<'_, 'py> for ValueArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() || value.is_instance_of::<PyExpr>() {
            return value.extract::<ColumnArg>().map(|column| Self(column.0));
        }
        value.extract::<Operand>().map(|value| Self(value.0))
    }
}

/// A value, as one of the engine's.
pub(crate) struct ScalarArg(pub(crate) ScalarValue);

impl<'py> FromPyObject<'_, 'py> for ScalarArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        scalar(&value).map(Self)
    }
}

/// A sort key: a column with whether it descends and whether nulls come first, or `expr.asc()` and `expr.desc()`, whose
/// own order goes before.
pub(crate) struct SortArg(pub(crate) SortExpr);

impl<'py> FromPyObject<'_, 'py> for SortArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (key, descending, nulls_first): (Bound<'py, PyAny>, bool, bool) = value.extract()?;
        match key.cast::<PySortKey>() {
            Ok(key) => Ok(Self(key.get().inner.clone())),
            Err(_) => Ok(Self(key.extract::<ColumnArg>()?.0.sort(!descending, nulls_first))),
        }
    }
}

/// An expression under a name, as keyword arguments give it.
#[pyfunction]
pub(crate) fn named(name: String, column: ValueArg) -> PyExpr {
    PyExpr { inner: column.0.alias(name) }
}

/// A type as users name it, as a `pyarrow.DataType`.
#[pyfunction]
pub(crate) fn data_type(py: Python<'_>, dtype: TypeArgument) -> PyResult<Bound<'_, PyAny>> {
    PyDataType::new(dtype.0).into_pyarrow(py)
}

/// The expressions of the columns of a result.
pub(crate) fn exprs(columns: Vec<OutputArg>) -> Vec<Expr> {
    columns.into_iter().map(|column| column.0).collect()
}

/// Borrowed names, as the verbs take them.
pub(crate) fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The kind of join of this name; `None` for a cross join.
pub(crate) fn join_type(how: &str) -> Result<Option<JoinType>> {
    Ok(Some(match how {
        "inner" => JoinType::Inner,
        "left" | "left_outer" => JoinType::Left,
        "right" | "right_outer" => JoinType::Right,
        "outer" | "full" | "full_outer" => JoinType::Full,
        "semi" | "left_semi" => JoinType::LeftSemi,
        "anti" | "left_anti" => JoinType::LeftAnti,
        "right_semi" => JoinType::RightSemi,
        "right_anti" => JoinType::RightAnti,
        "cross" => return Ok(None),
        _ => {
            return Err(Error::invalid(format!("there is no join {how:?}")).with_hint(
                "the joins are inner, left, right, outer (or full), semi, anti, right_semi, right_anti and cross",
            ));
        }
    }))
}
