//! Rows that follow each other and have equal keys: how operators find the groups of sorted rows.
//!
//! Nulls are equal, and floats as their bits: what comes here has one zero and one NaN where that counts.

use std::ops::Range;

use arrow::array::{ArrayRef, make_comparator};
use arrow::compute::{SortOptions, partition};
use arrow::datatypes::DataType;
use datafusion::error::Result;

/// Runs of rows that follow each other and have the same keys.
pub(crate) fn ranges(keys: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    let keys: Vec<ArrayRef> = keys.iter().filter(|key| !key.data_type().is_null()).cloned().collect();
    if keys.is_empty() {
        return Ok(std::iter::once(0..rows).collect());
    }
    if keys.iter().all(|key| !is_nested(key.data_type())) {
        return Ok(partition(&keys)?.ranges());
    }
    let mut ranges = Vec::new();
    let mut start = 0;
    let comparators = keys.iter().map(|key| make_comparator(key, key, SortOptions::default()));
    let comparators = comparators.collect::<Result<Vec<_>, _>>()?;
    for row in 1..rows {
        if comparators.iter().any(|compare| compare(row - 1, row).is_ne()) {
            ranges.push(start..row);
            start = row;
        }
    }
    ranges.push(start..rows);
    Ok(ranges)
}

/// Arrow's partitions are of flat values alone.
fn is_nested(key: &DataType) -> bool {
    match key {
        DataType::Dictionary(_, values) => is_nested(values),
        other => other.is_nested(),
    }
}

/// Whether a row of one batch has the keys of a row of another.
pub(crate) fn is_same(left: &[ArrayRef], at: usize, right: &[ArrayRef], other: usize) -> Result<bool> {
    for (left, right) in left.iter().zip(right).filter(|(key, _)| !key.data_type().is_null()) {
        if make_comparator(left, right, SortOptions::default())?(at, other).is_ne() {
            return Ok(false);
        }
    }
    Ok(true)
}
