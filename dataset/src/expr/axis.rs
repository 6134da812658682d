//! `Axis`: the column that orders rows, counted in the steps that its type can tell apart: whole numbers, days, or the
//! unit of a timestamp. Windows along it are exact: that an end is left out means one step less.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast};
use sheaf_core::{Error, ErrorKind, Result};

use super::col;
use super::span::{DAY, SECOND, Span};

/// A column that orders rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    name: String,
    data_type: DataType,
}

impl Axis {
    /// # Errors
    /// [`ErrorKind::TypeMismatch`] for a column that has no steps.
    pub(crate) fn new(name: &str, data_type: &DataType) -> Result<Self> {
        match data_type {
            DataType::Date32 | DataType::Timestamp(_, _) => {}
            other if other.is_integer() => {}
            other => {
                let message = format!("windows go along whole numbers, dates or timestamps, and {name:?} is {other}");
                return Err(Error::new(ErrorKind::TypeMismatch, message)
                    .with_hint("cast it, as with col(\"x\").cast(\"timestamp[us]\")"));
            }
        }
        Ok(Self { name: name.into(), data_type: data_type.clone() })
    }

    /// The column.
    pub(crate) fn column(&self) -> Expr {
        col(&self.name)
    }

    /// The column as a key of an order, along which a frame may reach any number of steps.
    pub(crate) fn key(&self) -> Expr {
        match self.data_type {
            DataType::UInt64 | DataType::Int64 => self.column(),
            _ if self.data_type.is_integer() => cast(self.column(), DataType::Int64),
            _ => self.column(),
        }
    }

    /// The column as a count of steps.
    pub(crate) fn steps(&self, of: Expr) -> Expr {
        match self.data_type {
            DataType::Date32 => cast(cast(of, DataType::Int32), DataType::Int64),
            _ => cast(of, DataType::Int64),
        }
    }

    /// A count of steps as a value of the column's type.
    pub(crate) fn value(&self, steps: Expr) -> Expr {
        match self.data_type {
            DataType::Date32 => cast(cast(steps, DataType::Int32), DataType::Date32),
            _ => cast(steps, self.data_type.clone()),
        }
    }

    /// The column's type.
    pub(crate) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether it has a calendar.
    pub(crate) fn is_time(&self) -> bool {
        !self.data_type.is_integer()
    }

    /// Nanoseconds of a step; 0 for whole numbers.
    fn step(&self) -> i64 {
        match self.data_type {
            DataType::Date32 => DAY,
            DataType::Timestamp(TimeUnit::Second, _) => SECOND,
            DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
            _ => 0,
        }
    }

    /// How many steps a span has; `None` for months, which have no one length.
    ///
    /// # Errors
    /// [`ErrorKind::TypeMismatch`] for a span of another kind than the column, or between its steps.
    pub(crate) fn count(&self, span: Span) -> Result<Option<i64>> {
        let nanos = match (span, self.is_time()) {
            (Span::Steps(steps), false) => return Ok(Some(steps)),
            (Span::Months(_), true) => return Ok(None),
            (Span::Time(nanos), true) => Some(nanos),
            (Span::Weeks(weeks), true) => weeks.checked_mul(7 * DAY),
            _ => None,
        };
        match nanos {
            Some(nanos) if nanos % self.step() == 0 => Ok(Some(nanos / self.step())),
            _ => {
                let (name, data_type) = (&self.name, &self.data_type);
                let message = format!("the span {span} is no whole number of steps of {name:?}, which is {data_type}");
                Err(Error::new(ErrorKind::TypeMismatch, message).with_hint(
                    "dates take whole days, timestamps what their unit can tell, and whole numbers an int or \"3i\"",
                ))
            }
        }
    }

    /// So many steps as the distance of a frame.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is too far.
    pub(crate) fn distance(&self, steps: i64) -> Result<ScalarValue> {
        let days = |days| Ok(IntervalMonthDayNano::new(0, days, 0));
        let interval = match self.data_type {
            DataType::Date32 => i32::try_from(steps).map_or_else(|_| Err(too_far()), days)?,
            DataType::Timestamp(_, _) => {
                IntervalMonthDayNano::new(0, 0, steps.checked_mul(self.step()).ok_or_else(too_far)?)
            }
            _ => return Ok(ScalarValue::Int64(Some(steps))),
        };
        Ok(ScalarValue::IntervalMonthDayNano(Some(interval)))
    }

    /// So many months, less so many steps, as the distance of a frame.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is too far.
    pub(crate) fn months(&self, months: i64, less: i64) -> Result<ScalarValue> {
        let months = i32::try_from(months).map_err(|_| too_far())?;
        let interval = match (&self.data_type, self.distance(-less)?) {
            (_, ScalarValue::IntervalMonthDayNano(Some(rest))) => {
                IntervalMonthDayNano::new(months, rest.days, rest.nanoseconds)
            }
            _ => return Err(too_far()),
        };
        Ok(ScalarValue::IntervalMonthDayNano(Some(interval)))
    }
}

fn too_far() -> Error {
    Error::invalid("the span is longer than a window can reach")
}
