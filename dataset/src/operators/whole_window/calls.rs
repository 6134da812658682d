//! What is computed over a whole partition: an aggregate, or the value of one of its rows.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::filter;
use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

/// One column that a window adds.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Aggregate {
        function: Arc<AggregateFunctionExpr>,
        filter: Option<Arc<dyn PhysicalExpr>>,
    },
    /// `first_value`, `last_value`, `nth_value`.
    Pick {
        value: Arc<dyn PhysicalExpr>,
        place: Place,
        ignore_nulls: bool,
        field: FieldRef,
    },
}

/// Which row of a partition, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    FromStart(usize),
    FromEnd(usize),
}

/// The values of a call for the rows of one batch.
pub(super) struct Arguments {
    values: Vec<ArrayRef>,
    mask: Option<BooleanArray>,
}

/// What is known of a partition that is not over.
pub(super) enum State {
    Aggregate(Box<dyn Accumulator>),
    Pick { picked: VecDeque<ScalarValue>, seen: usize },
}

impl Call {
    pub(super) fn field(&self) -> FieldRef {
        match self {
            Self::Aggregate { function, .. } => function.field(),
            Self::Pick { field, .. } => Arc::clone(field),
        }
    }

    pub(super) fn aggregate(&self) -> Option<&AggregateFunctionExpr> {
        match self {
            Self::Aggregate { function, .. } => Some(function),
            Self::Pick { .. } => None,
        }
    }

    pub(super) fn arguments(&self, batch: &RecordBatch) -> Result<Arguments> {
        let evaluated = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        match self {
            Self::Aggregate { function, filter } => {
                let values = function.expressions().iter().map(evaluated).collect::<Result<_>>()?;
                let mask = filter.as_ref().map(evaluated).transpose()?;
                let mask = mask.map(|mask| as_boolean_array(&mask).cloned()).transpose()?;
                Ok(Arguments { values, mask })
            }
            Self::Pick { value, .. } => Ok(Arguments { values: vec![evaluated(value)?], mask: None }),
        }
    }

    pub(super) fn start(&self) -> Result<State> {
        Ok(match self {
            Self::Aggregate { function, .. } => State::Aggregate(function.create_accumulator()?),
            Self::Pick { .. } => State::Pick { picked: VecDeque::new(), seen: 0 },
        })
    }

    /// Takes rows of the partition into account.
    pub(super) fn update(&self, state: &mut State, arguments: &Arguments, start: usize, rows: usize) -> Result<()> {
        let Arguments { values, mask } = arguments;
        match (self, state) {
            (Self::Aggregate { .. }, State::Aggregate(accumulator)) => {
                let values = values.iter().map(|values| values.slice(start, rows));
                let values: Vec<ArrayRef> = match mask.as_ref().map(|mask| mask.slice(start, rows)) {
                    Some(mask) => values.map(|values| filter(&values, &mask)).collect::<Result<_, _>>()?,
                    None => values.collect(),
                };
                accumulator.update_batch(&values)
            }
            (Self::Pick { place, ignore_nulls, .. }, State::Pick { picked, seen }) => match values.as_slice() {
                [values] => pick(*place, *ignore_nulls, &values.slice(start, rows), picked, seen),
                _ => internal_err!("a value is picked of one column"),
            },
            _ => internal_err!("a window function has the state of another"),
        }
    }

    /// The value for all rows of the partition.
    pub(super) fn finish(&self, state: &mut State) -> Result<ScalarValue> {
        match (self, state) {
            (Self::Aggregate { .. }, State::Aggregate(accumulator)) => accumulator.evaluate(),
            (Self::Pick { place, field, .. }, State::Pick { picked, .. }) => {
                let found = match place {
                    Place::FromStart(_) => picked.pop_front(),
                    Place::FromEnd(number) if picked.len() == *number => picked.pop_front(),
                    Place::FromEnd(_) => None,
                };
                found.map_or_else(|| ScalarValue::try_new_null(field.data_type()), Ok)
            }
            _ => internal_err!("a window function has the state of another"),
        }
    }
}

impl State {
    /// The bytes that it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Aggregate(accumulator) => accumulator.size(),
            Self::Pick { picked, .. } => picked.iter().map(ScalarValue::size).sum(),
        }
    }
}

/// Keeps the value at the place, or as many of the last values as the place is from the end.
fn pick(
    place: Place,
    ignore_nulls: bool,
    values: &ArrayRef,
    picked: &mut VecDeque<ScalarValue>,
    seen: &mut usize,
) -> Result<()> {
    let nulls = if ignore_nulls { values.logical_nulls() } else { None };
    let count = values.len() - nulls.as_ref().map_or(0, |nulls| nulls.null_count());
    let row_of = |number: usize| match &nulls {
        Some(nulls) => nulls.valid_indices().nth(number),
        None => (number < values.len()).then_some(number),
    };
    let wanted = match place {
        Place::FromStart(number) if *seen < number && number <= *seen + count => number - *seen - 1..number - *seen,
        Place::FromStart(_) => 0..0,
        Place::FromEnd(number) => count.saturating_sub(number)..count,
    };
    *seen += count;
    for row in wanted.filter_map(row_of) {
        picked.push_back(owned(values, row)?);
    }
    if let Place::FromEnd(number) = place {
        picked.drain(..picked.len().saturating_sub(number));
    }
    Ok(())
}

/// One value that does not keep the batch it is of.
fn owned(values: &ArrayRef, row: usize) -> Result<ScalarValue> {
    let row = arrow::compute::take(values, &UInt64Array::from(vec![row as u64]), None)?;
    let mut value = ScalarValue::try_from_array(&row, 0)?;
    value.compact();
    Ok(value)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn picked(place: Place, ignore_nulls: bool, batches: &[&[Option<i64>]]) -> Vec<Option<i64>> {
        let (mut picked, mut seen) = (VecDeque::new(), 0);
        for batch in batches {
            let values: ArrayRef = Arc::new(Int64Array::from(batch.to_vec()));
            pick(place, ignore_nulls, &values, &mut picked, &mut seen).unwrap();
        }
        picked.into_iter().map(|value| i64::try_from(value).ok()).collect()
    }

    #[test]
    fn values_are_picked_over_batches_from_both_ends() {
        let batches: &[&[Option<i64>]] = &[&[None, Some(1)], &[], &[Some(2), None], &[Some(3), None, None]];
        assert_eq!(picked(Place::FromStart(1), false, batches), [None]);
        assert_eq!(picked(Place::FromStart(1), true, batches), [Some(1)]);
        assert_eq!(picked(Place::FromStart(3), true, batches), [Some(3)]);
        assert_eq!(picked(Place::FromStart(4), true, batches), []);
        assert_eq!(picked(Place::FromStart(5), false, batches), [Some(3)]);
        assert_eq!(picked(Place::FromEnd(1), true, batches), [Some(3)]);
        assert_eq!(picked(Place::FromEnd(2), true, batches), [Some(2), Some(3)]);
        assert_eq!(picked(Place::FromEnd(3), false, batches), [Some(3), None, None]);
        assert_eq!(picked(Place::FromEnd(0), false, batches), []);
        assert_eq!(picked(Place::FromStart(0), false, batches), []);
    }
}
