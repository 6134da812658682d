//! The keys of a batch, in the form in which an as-of join compares them.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;

/// How far apart two values are: in the steps of whole numbers, dates and timestamps, or as floats are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// Steps of the column's type.
    Whole(i128),
    /// Of columns of floats.
    Float(f64),
}

impl Distance {
    /// Whether it is at most the other.
    pub(super) fn is_within(self, other: Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one <= other,
            (one, other) => one.as_float() <= other.as_float(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
    fn as_float(self) -> f64 {
        match self {
            Self::Whole(steps) => steps as f64,
            Self::Float(value) => value,
        }
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(steps) => write!(f, "{steps}"),
            Self::Float(value) => write!(f, "{value}"),
        }
    }
}

/// The column along which rows are near.
enum Line {
    Whole(Int64Array),
    Decimal(Decimal128Array),
    Float(Float64Array),
}

impl Line {
    fn new(column: &ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Decimal128(_, _) => Self::Decimal(column.as_primitive::<Decimal128Type>().clone()),
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().clone()),
            DataType::Date32 => {
                let days = cast(column, &DataType::Int32)?;
                Self::Whole(cast(&days, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            _ => Self::Whole(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        })
    }

    fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Whole(values) => values.is_null(row),
            Self::Decimal(values) => values.is_null(row),
            Self::Float(values) => values.is_null(row) || values.value(row).is_nan(),
        }
    }

    fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.value(row).cmp(&other.value(other_row)),
            (Self::Decimal(one), Self::Decimal(other)) => one.value(row).cmp(&other.value(other_row)),
            // No NaN comes here, and 0.0 equals -0.0.
            (Self::Float(one), Self::Float(other)) => {
                one.value(row).partial_cmp(&other.value(other_row)).unwrap_or(Ordering::Equal)
            }
            _ => Ordering::Equal,
        }
    }

    fn distance(&self, row: usize, other: &Self, other_row: usize) -> Distance {
        match (self, other) {
            (Self::Float(one), Self::Float(other)) => Distance::Float((one.value(row) - other.value(other_row)).abs()),
            (Self::Decimal(one), Self::Decimal(other)) => {
                Distance::Whole(one.value(row).saturating_sub(other.value(other_row)).saturating_abs())
            }
            (Self::Whole(one), Self::Whole(other)) => {
                Distance::Whole((i128::from(one.value(row)) - i128::from(other.value(other_row))).abs())
            }
            _ => Distance::Whole(0),
        }
    }
}

/// The keys of a batch.
pub(super) struct Keys {
    /// The columns that are equal, where there are any.
    groups: Option<Rows>,
    nulls: Option<NullBuffer>,
    line: Line,
}

impl Keys {
    /// The columns at these places of the batch; the last is the one along which rows are near.
    pub(super) fn new(batch: &RecordBatch, columns: &[usize], converter: Option<&RowConverter>) -> Result<Self> {
        let (line, groups) = match columns.split_last() {
            Some((line, groups)) => (Line::new(batch.column(*line))?, groups),
            None => return datafusion::common::internal_err!("an as-of join has a key"),
        };
        let groups: Vec<ArrayRef> = groups.iter().map(|column| batch.column(*column).clone()).collect();
        let nulls =
            groups.iter().fold(None, |nulls, group| NullBuffer::union(nulls.as_ref(), group.logical_nulls().as_ref()));
        let groups = converter.map(|converter| converter.convert_columns(&groups)).transpose()?;
        Ok(Self { groups, nulls, line })
    }

    /// Whether a key of the row is null or no number: such a row matches nothing.
    pub(super) fn is_missing(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) || self.line.is_missing(row)
    }

    pub(super) fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        self.compare_groups(row, other, other_row).then_with(|| self.line.compare(row, &other.line, other_row))
    }

    pub(super) fn same_group(&self, row: usize, other: &Self, other_row: usize) -> bool {
        self.compare_groups(row, other, other_row).is_eq()
    }

    fn compare_groups(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        match (&self.groups, &other.groups) {
            (Some(one), Some(other)) => one.row(row).cmp(&other.row(other_row)),
            _ => Ordering::Equal,
        }
    }

    pub(super) fn distance(&self, row: usize, other: &Self, other_row: usize) -> Distance {
        self.line.distance(row, &other.line, other_row)
    }

    pub(super) fn memory(&self) -> usize {
        self.groups.as_ref().map_or(0, Rows::size)
    }
}

/// What turns the columns that are equal into bytes that compare as they do; `None` when there are none.
///
/// # Errors
/// A type that has no order.
pub(super) fn converter(batch: &arrow::datatypes::Schema, columns: &[usize]) -> Result<Option<RowConverter>> {
    let groups = columns.split_last().map_or(&[][..], |(_, groups)| groups);
    if groups.is_empty() {
        return Ok(None);
    }
    let fields = groups.iter().map(|column| SortField::new(batch.field(*column).data_type().clone()));
    Ok(Some(RowConverter::new(fields.collect())?))
}
