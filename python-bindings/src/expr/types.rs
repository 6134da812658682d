//! Types as Python names them: a type of PyArrow or NumPy, a class of Python, or text.

use std::str::FromStr;

use arrow::datatypes::DataType;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3_arrow::PyDataType;

/// A type given as `pyarrow.DataType`, `numpy.dtype`, a class such as `int` or `datetime.date`, or text such as
/// `"int64"`, `"timestamp[us]"` or `"decimal(12, 2)"`.
pub(crate) struct TypeArgument(pub(crate) DataType);

impl<'a, 'py> FromPyObject<'a, 'py> for TypeArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return from_text(value.py(), &text.extract::<String>()?).map(Self);
        }
        if let Some(found) = value.cast::<PyType>().ok().map(|class| from_class(&class)).transpose()?.flatten() {
            return Ok(Self(found));
        }
        if value.hasattr(intern!(value.py(), "__arrow_c_schema__"))? {
            return Ok(Self(value.extract::<PyDataType>()?.into_inner()));
        }
        from_numpy(&value).map(Self)
    }
}

fn from_class(class: &Bound<'_, PyType>) -> PyResult<Option<DataType>> {
    use arrow::datatypes::TimeUnit::Microsecond;
    let name = class.fully_qualified_name()?.to_string();
    Ok(Some(match name.as_str() {
        "bool" => DataType::Boolean,
        "int" => DataType::Int64,
        "float" => DataType::Float64,
        "str" => DataType::Utf8,
        "bytes" => DataType::Binary,
        "datetime.datetime" => DataType::Timestamp(Microsecond, None),
        "datetime.date" => DataType::Date32,
        "datetime.time" => DataType::Time64(Microsecond),
        "datetime.timedelta" => DataType::Duration(Microsecond),
        "decimal.Decimal" => {
            return Err(PyTypeError::new_err(
                "a decimal type needs precision and scale: pyarrow.decimal128(12, 2), or \"decimal(12, 2)\"",
            ));
        }
        _ => return Ok(None),
    }))
}

fn from_numpy(value: &Bound<'_, PyAny>) -> PyResult<DataType> {
    let py = value.py();
    let found = py.import(intern!(py, "pyarrow"))?.call_method1(intern!(py, "from_numpy_dtype"), (value,));
    found.and_then(|found| found.extract::<PyDataType>()).map(PyDataType::into_inner).map_err(|cause| {
        let error = PyTypeError::new_err(format!(
            "{value} is not a type: give a pyarrow.DataType, a name such as \"int64\", or a class such as float"
        ));
        error.set_cause(py, Some(cause));
        error
    })
}

/// Text: PyArrow's names, SQL's most used ones, decimals with precision and scale, then Arrow's own spelling.
fn from_text(py: Python<'_>, text: &str) -> PyResult<DataType> {
    let name = text.trim().to_ascii_lowercase();
    if let Some(found) = decimal(&name).or_else(|| zoned(text.trim())).or_else(|| from_sql(&name)) {
        return Ok(found);
    }
    let aliased = py.import(intern!(py, "pyarrow"))?.call_method1(intern!(py, "type_for_alias"), (&name,));
    if let Ok(found) = aliased {
        return Ok(found.extract::<PyDataType>()?.into_inner());
    }
    DataType::from_str(text.trim()).map_err(|_| {
        PyValueError::new_err(format!(
            "unknown type {text:?}: say for example \"int64\", \"float32\", \"string\", \"date32\", \
             \"timestamp[us, tz=UTC]\" or \"decimal(12, 2)\", or give a pyarrow.DataType"
        ))
    })
}

fn from_sql(name: &str) -> Option<DataType> {
    use arrow::datatypes::TimeUnit::Microsecond;
    Some(match name {
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" | "long" => DataType::Int64,
        "real" => DataType::Float32,
        "boolean" => DataType::Boolean,
        "text" | "varchar" | "str" => DataType::Utf8,
        "bytes" | "bytea" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(Microsecond),
        "timestamp" | "datetime" => DataType::Timestamp(Microsecond, None),
        "duration" => DataType::Duration(Microsecond),
        _ => return None,
    })
}

/// `decimal(precision, scale)`, also spelled `decimal128(…)` and `numeric(…)`.
fn decimal(name: &str) -> Option<DataType> {
    let (word, rest) = name.split_once('(')?;
    let (precision, scale) = rest.strip_suffix(')')?.split_once(',').unwrap_or((rest.strip_suffix(')')?, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    match word.trim() {
        "decimal256" => Some(DataType::Decimal256(precision, scale)),
        "decimal" | "decimal128" | "numeric" if precision <= 38 => Some(DataType::Decimal128(precision, scale)),
        "decimal" | "numeric" => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// `timestamp[unit, tz=zone]`. Zones keep their upper case.
fn zoned(text: &str) -> Option<DataType> {
    use arrow::datatypes::TimeUnit;
    let (unit, zone) = text.strip_prefix("timestamp[")?.strip_suffix(']')?.split_once(',')?;
    let unit = match unit.trim() {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => return None,
    };
    Some(DataType::Timestamp(unit, Some(zone.trim().strip_prefix("tz=")?.into())))
}
