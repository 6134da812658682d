//! Spans along a column, as Python gives them: text such as `"5d"`, time spans, and numbers.

use datafusion::common::ScalarValue;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};
use sheaf::dataset::{Closed, Label};
use sheaf::expr::Span;
use sheaf::{Error, Result};

use crate::errors::IntoPyResult;
use crate::expr::operand::scalar;

/// A span, and a number as a span of so many whole numbers.
#[derive(Clone, Copy)]
pub(crate) struct SpanArg(pub(crate) Span);

impl<'py> FromPyObject<'_, 'py> for SpanArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return text.extract::<String>()?.parse().map(Self).py(value.py());
        }
        if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
            return Ok(Self(Span::Steps(value.extract()?)));
        }
        let nanos = match scalar(&value)? {
            ScalarValue::DurationSecond(Some(time)) => time.checked_mul(1_000_000_000),
            ScalarValue::DurationMillisecond(Some(time)) => time.checked_mul(1_000_000),
            ScalarValue::DurationMicrosecond(Some(time)) => time.checked_mul(1_000),
            ScalarValue::DurationNanosecond(time) => time,
            _ => None,
        };
        nanos.map(|nanos| Self(Span::Time(nanos))).ok_or_else(|| {
            PyTypeError::new_err(
                "a span is text such as \"5d\", a datetime.timedelta of less than 292 years, or an int",
            )
        })
    }
}

/// Which ends belong to a window.
pub(crate) fn closed(name: &str) -> Result<Closed> {
    Ok(match name {
        "right" => Closed::Right,
        "left" => Closed::Left,
        "both" => Closed::Both,
        "neither" | "none" => Closed::Neither,
        _ => {
            let message =
                format!("a window is closed at \"right\", \"left\", \"both\" or \"neither\", not at {name:?}");
            return Err(Error::invalid(message));
        }
    })
}

/// Which value stands for a window.
pub(crate) fn label(name: &str) -> Result<Label> {
    Ok(match name {
        "left" => Label::Left,
        "right" => Label::Right,
        "datapoint" => Label::Datapoint,
        _ => {
            let message = format!("a window's label is \"left\", \"right\" or \"datapoint\", not {name:?}");
            return Err(Error::invalid(message));
        }
    })
}
