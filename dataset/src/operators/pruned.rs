//! Which partitions of kept rows can have rows that filters leave, as their ranges tell.

use std::collections::HashSet;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column as ColumnName, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Partitioning, RangePartitioning};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use super::extent::KeyExtent;

/// What a table of such partitions does with a filter.
pub(crate) fn support(partitioning: &Partitioning) -> TableProviderFilterPushDown {
    match partitioning {
        Partitioning::Range(_) => TableProviderFilterPushDown::Inexact,
        _ => TableProviderFilterPushDown::Unsupported,
    }
}

/// Which partitions can have rows that the filters leave; `extent` has the bounds at the two ends, where they are known.
pub(crate) fn left(
    schema: &SchemaRef,
    partitioning: &Partitioning,
    extent: Option<&KeyExtent>,
    state: &dyn Session,
    filters: &[Expr],
) -> Result<Vec<bool>> {
    let (Partitioning::Range(range), Some(filter)) = (partitioning, conjunction(filters.iter().cloned())) else {
        return Ok(vec![true; partitioning.partition_count()]);
    };
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(SchemaRef::clone(schema))?)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(SchemaRef::clone(schema)).try_build(filter)?;
    predicate.prune(&Bounds { range, extent })
}

/// The bounds of the ranges, as statistics of the partitions.
struct Bounds<'a> {
    range: &'a RangePartitioning,
    extent: Option<&'a KeyExtent>,
}

impl Bounds<'_> {
    /// The bounds of each partition of the column, lower and upper; null where there is none.
    fn of(&self, column: &ColumnName) -> Option<(Vec<ScalarValue>, Vec<ScalarValue>)> {
        let [key] = self.range.ordering().as_ref() else { return None };
        let index = key.expr.downcast_ref::<Column>().filter(|key| key.name() == column.name())?.index();
        if key.options.descending {
            return None;
        }
        let splits = self.range.split_points().iter().map(|split| split.values().first().cloned());
        let splits = splits.collect::<Option<Vec<_>>>()?;
        let ends = self.extent.and_then(|extent| extent.at(index)?.ends.clone());
        // Where NaN and the two zeros lie in the order is not where filters look for them.
        let ends = ends.filter(|(least, _)| !least.data_type().is_floating());
        let (least, greatest) = match (ends, splits.first()) {
            (Some((least, greatest)), _) => (least, greatest),
            (None, Some(split)) => {
                let none = ScalarValue::try_new_null(&split.data_type()).ok()?;
                (none.clone(), none)
            }
            (None, None) => return None,
        };
        let lower = std::iter::once(least).chain(splits.iter().cloned()).collect();
        Some((lower, splits.into_iter().chain([greatest]).collect()))
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        ScalarValue::iter_to_array(self.of(column)?.0).ok()
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        ScalarValue::iter_to_array(self.of(column)?.1).ok()
    }

    fn num_containers(&self) -> usize {
        self.range.partition_count()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
