//! `Extent`: between which two values those of a key lie. DataFusion's ranges have the bounds between partitions, and none
//! at their two ends; rows that a session keeps are looked at as they come, and then both are known.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Partitioning, RangePartitioning};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::concat::ConcatExec;
use super::kept::KeptExec;
use super::partition::{GatherExec, PartitionExec, ascending};
use super::persisted::PersistedExec;

/// Bounds of all values of a column, and whether there are nulls among them. Rows that are left out later change nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extent {
    /// The least and the greatest value, in total order; none where no value is known to be there.
    pub(crate) ends: Option<(ScalarValue, ScalarValue)>,
    pub(crate) has_nulls: bool,
}

impl Extent {
    /// Of no row.
    pub(crate) const EMPTY: Self = Self { ends: None, has_nulls: false };

    /// Of values that ascend, with nulls at their end. Nothing for values that are not so.
    fn of_sorted(values: &dyn Array) -> Result<Option<Self>> {
        let has_nulls = values.logical_null_count() > 0;
        let Some(last) = (values.len() - values.logical_null_count()).checked_sub(1) else {
            return Ok(Some(Self { ends: None, has_nulls }));
        };
        let least = ScalarValue::try_from_array(values, 0)?;
        let greatest = ScalarValue::try_from_array(values, last)?;
        let is_known = !least.is_null() && !greatest.is_null() && least <= greatest;
        Ok(is_known.then_some(Self { ends: Some((least, greatest)), has_nulls }))
    }

    /// Of these rows and those of another; nothing where their values do not compare.
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        let ends = match (self.ends, other.ends) {
            (Some((least, greatest)), Some((other_least, other_greatest))) => {
                let is_less = other_least.partial_cmp(&least)? == Ordering::Less;
                let is_greater = other_greatest.partial_cmp(&greatest)? == Ordering::Greater;
                let least = if is_less { other_least } else { least };
                Some((least, if is_greater { other_greatest } else { greatest }))
            }
            (ends, None) | (None, ends) => ends,
        };
        Some(Self { ends, has_nulls: self.has_nulls || other.has_nulls })
    }
}

/// The extent of the column by which rows are partitioned in ranges, as these rows come.
#[derive(Debug, Clone)]
pub(crate) struct KeyExtent {
    column: usize,
    /// Nothing once a batch came that says nothing.
    extent: Option<Extent>,
}

impl KeyExtent {
    /// Of a plan that is partitioned so, before its first row.
    pub(crate) fn of(plan: &dyn ExecutionPlan) -> Option<Self> {
        let (column, _) = sorted_ranges(plan)?;
        Some(Self { column, extent: Some(Extent::EMPTY) })
    }

    /// With the rows of a batch of one of the plan's partitions.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(known) = self.extent.take()
            && let Some(more) = Extent::of_sorted(batch.column(self.column))?
        {
            self.extent = known.and(more);
        }
        Ok(())
    }

    /// The extent of this column, if it is the key.
    pub(crate) fn at(&self, column: usize) -> Option<&Extent> {
        self.extent.as_ref().filter(|_| column == self.column)
    }
}

/// The column that a plan's partitions are ranges of, and the ranges: of one column, ascending with nulls at the end of the
/// last, each partition sorted by it. So [`crate::Dataset::set_index`] makes them.
pub(crate) fn sorted_ranges(plan: &dyn ExecutionPlan) -> Option<(usize, &RangePartitioning)> {
    let properties = plan.properties();
    let Partitioning::Range(range) = &properties.partitioning else { return None };
    let [key] = range.ordering().as_ref() else { return None };
    let column = key.expr.downcast_ref::<Column>()?.index();
    let is_sorted = key.options == ascending()
        && properties.eq_properties.ordering_satisfy(range.ordering().clone()).unwrap_or(false);
    is_sorted.then_some((column, range))
}

/// The extent of a column of a plan whose rows are some of those that a session keeps.
pub(crate) fn extent(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Option<Extent> {
    if let Some(kept) = plan.downcast_ref::<KeptExec>() {
        return kept.extent()?.at(column).cloned();
    }
    if let Some(persisted) = plan.downcast_ref::<PersistedExec>() {
        return persisted.extent()?.at(column).cloned();
    }
    if let Some(concat) = plan.downcast_ref::<ConcatExec>() {
        return concat.extent_of(column).cloned();
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = projection.expr().get(column)?.expr.downcast_ref::<Column>()?;
        return extent(projection.input(), below.index());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let below = match filter.projection() {
            Some(columns) => *columns.get(column)?,
            None => column,
        };
        return extent(filter.input(), below);
    }
    match plan.children().as_slice() {
        [input] if plan.is::<GatherExec>() || plan.is::<PartitionExec>() => extent(input, column),
        _ => None,
    }
}
