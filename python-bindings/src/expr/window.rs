//! `Window` and frames as Python writes them; what they mean is decided in `sheaf::expr::Window`.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sheaf::expr::{Window, lit};

use super::operand::{Columns, SortKeys, scalar};
use super::text::text;
use crate::errors::IntoPyResult;

/// A frame: its unit, and how far it reaches from the current row; `None` is all the way.
pub(crate) struct Frame {
    units: WindowFrameUnits,
    start: WindowFrameBound,
    end: WindowFrameBound,
}

impl<'a, 'py> FromPyObject<'a, 'py> for Frame {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let parts: PyResult<(String, Bound<'py, PyAny>, Bound<'py, PyAny>)> = value.extract();
        let (unit, start, end) = parts.map_err(|_| {
            PyTypeError::new_err(
                "a frame is (unit, start, end), such as (\"rows\", -2, 0): negative before the current row, None \
                 without end",
            )
        })?;
        let units = match unit.to_ascii_lowercase().as_str() {
            "rows" => WindowFrameUnits::Rows,
            "range" => WindowFrameUnits::Range,
            "groups" => WindowFrameUnits::Groups,
            _ => return Err(PyValueError::new_err(format!("{unit:?} is no unit of a frame: rows, range or groups"))),
        };
        Self::of(units, &start, &end)
    }
}

impl Frame {
    fn of(units: WindowFrameUnits, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { units, start: bound(start, units, true)?, end: bound(end, units, false)? })
    }
}

fn bound(value: &Bound<'_, PyAny>, units: WindowFrameUnits, start: bool) -> PyResult<WindowFrameBound> {
    if value.is_none() {
        let unbounded = if units == WindowFrameUnits::Range { ScalarValue::Null } else { ScalarValue::UInt64(None) };
        return Ok(if start { WindowFrameBound::Preceding(unbounded) } else { WindowFrameBound::Following(unbounded) });
    }
    let negative = is_negative(value)?;
    let distance = value.call_method0("__abs__")?;
    let distance = match (units, scalar(&distance)?) {
        (WindowFrameUnits::Range, ScalarValue::DurationMicrosecond(Some(time))) => interval(time),
        (WindowFrameUnits::Range, distance) => distance,
        (_, ScalarValue::Int64(Some(rows))) => ScalarValue::UInt64(Some(rows.unsigned_abs())),
        _ => return Err(PyTypeError::new_err("a frame of rows or groups reaches a whole number of them")),
    };
    if !value.is_truthy()? {
        return Ok(WindowFrameBound::CurrentRow);
    }
    Ok(if negative { WindowFrameBound::Preceding(distance) } else { WindowFrameBound::Following(distance) })
}

/// A time span as days and the rest of one: dates know no other distance.
fn interval(microseconds: i64) -> ScalarValue {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    // Python's time spans are less than a thousand million days.
    let days = i32::try_from(microseconds / DAY).unwrap_or(i32::MAX);
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, days, microseconds % DAY * 1_000)))
}

/// Whether a number or a time span points back.
fn is_negative(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.call_method0("__abs__")?.ne(value)
}

/// Which rows around each row an aggregate or a window function looks at, for ``Expr.over`` and ``Dataset.window``.
///
/// Each method gives a new window. Frames are negative before the current row, ``None`` without end. Without a frame,
/// the rows up to the current one and its equals count, or where there is no order the whole partition.
///
/// >>> import sheaf as sf
/// >>> sf.Window().partition_by("k").order_by("t").rows_between(-2, 0)
/// Window(PARTITION BY k ORDER BY t ASC ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)
#[pyclass(name = "Window", module = "sheaf", frozen)]
#[derive(Clone)]
pub(crate) struct PyWindow {
    pub(crate) inner: Window,
}

impl PyWindow {
    fn framed(&self, units: WindowFrameUnits, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        let frame = Frame::of(units, start, end)?;
        self.with(start.py(), Some(frame))
    }

    fn with(&self, py: Python<'_>, frame: Option<Frame>) -> PyResult<Self> {
        let inner = self.inner.clone();
        let inner = match frame {
            Some(frame) => inner.between(frame.units, frame.start, frame.end).py(py)?,
            None => inner,
        };
        Ok(Self { inner })
    }
}

#[pymethods]
impl PyWindow {
    #[new]
    fn new() -> Self {
        Self { inner: Window::new() }
    }

    /// The rows of each value of these columns by themselves.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.Window().partition_by("k", "j")
    /// Window(PARTITION BY k, j)
    #[pyo3(signature = (*args))]
    fn partition_by(&self, args: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let keys: Columns = one_or_all(args).extract()?;
        Ok(Self { inner: self.inner.clone().partition_by(keys.0) })
    }

    /// The rows in the order of these columns.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.Window().order_by("t", sf.col("x").desc())
    /// Window(ORDER BY t ASC, x DESC)
    #[pyo3(signature = (*args))]
    fn order_by(&self, args: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let keys: SortKeys = one_or_all(args).extract()?;
        Ok(Self { inner: self.inner.clone().order_by(keys.0) })
    }

    /// A frame by positions.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.Window().order_by("t").rows_between(None, 0)
    /// Window(ORDER BY t ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    #[pyo3(signature = (start, end))]
    fn rows_between(&self, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.framed(WindowFrameUnits::Rows, start, end)
    }

    /// A frame by the values of the one column that orders the rows: numbers, or time spans for dates and times.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.Window().order_by("t").range_between(-5, 5)
    /// Window(ORDER BY t ASC RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING)
    #[pyo3(signature = (start, end))]
    fn range_between(&self, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.framed(WindowFrameUnits::Range, start, end)
    }

    /// A frame by groups of rows that are equal in the order.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.Window().order_by("t").groups_between(-1, 0)
    /// Window(ORDER BY t ASC GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)
    #[pyo3(signature = (start, end))]
    fn groups_between(&self, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.framed(WindowFrameUnits::Groups, start, end)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let call = text(&self.inner.over(count(lit(1))).py(py)?);
        let shown = call.split_once(" OVER (").map_or(call.as_str(), |(_, window)| window);
        Ok(format!("Window({}", if shown.is_empty() { ")" } else { shown }))
    }
}

/// The window with a frame, as `Dataset.window` is told one.
#[pyfunction]
pub(crate) fn framed(py: Python<'_>, window: PyRef<'_, PyWindow>, frame: Frame) -> PyResult<PyWindow> {
    window.with(py, Some(frame))
}

/// What `over` was told: a window, or what one is made of.
pub(crate) fn window_of(
    py: Python<'_>,
    partition_by: Option<WindowOrColumns>,
    order_by: Option<SortKeys>,
    frame: Option<Frame>,
) -> PyResult<Window> {
    let columns = match partition_by {
        Some(WindowOrColumns::Window(_)) if order_by.is_some() || frame.is_some() => {
            return Err(PyValueError::new_err(
                "a Window has its order and its frame already: give the Window alone, or partition_by, order_by and \
                 frame",
            ));
        }
        Some(WindowOrColumns::Window(window)) => return Ok(window),
        Some(WindowOrColumns::Columns(columns)) => columns,
        None => Vec::new(),
    };
    let window = Window::new().partition_by(columns).order_by(order_by.map_or_else(Vec::new, |keys| keys.0));
    Ok(PyWindow { inner: window }.with(py, frame)?.inner)
}

/// A window, or the columns that partition one.
pub(crate) enum WindowOrColumns {
    Window(Window),
    Columns(Vec<sheaf::expr::Expr>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for WindowOrColumns {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match value.cast::<PyWindow>() {
            Ok(window) => Ok(Self::Window(window.get().inner.clone())),
            Err(_) => value.extract::<Columns>().map(|columns| Self::Columns(columns.0)),
        }
    }
}

/// The arguments, or the list that is the only one.
fn one_or_all<'py>(args: &Bound<'py, PyTuple>) -> Bound<'py, PyAny> {
    match args.len() {
        1 => args.get_item(0).unwrap_or_else(|_| args.clone().into_any()),
        _ => args.clone().into_any(),
    }
}
