//! Whether one key is on so many of the rows at hand that a merge should not keep the rows of one key.

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExprRef;

/// Rows that are counted, evenly spread: a key on one of 16 rows is on 4,096 of them, give or take a few dozen.
const SAMPLE_ROWS: usize = 1 << 16;
/// A key is heavy when one of so many rows has it. What is at hand is a quarter of the memory at the most.
const HEAVY: usize = 16;
/// So few rows fit anyhow.
const FEW_ROWS: usize = 4;

/// Whether one of 16 rows has the same `keys` (nulls are a key, for a merge keeps them too).
pub(super) fn has_heavy_key(batches: &[RecordBatch], keys: &[PhysicalExprRef]) -> Result<bool> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let step = rows.div_ceil(SAMPLE_ROWS).max(1);
    let (mut counts, mut hashes, mut next) = (HashMap::<u64, usize>::new(), Vec::new(), 0);
    for batch in batches {
        let rows = batch.num_rows();
        let columns: Vec<_> = keys.iter().map(|key| key.evaluate(batch)?.into_array(rows)).collect::<Result<_>>()?;
        hashes.clear();
        hashes.resize(rows, 0);
        create_hashes(&columns, &RandomState::with_seed(0), &mut hashes)?;
        while let Some(hash) = hashes.get(next) {
            *counts.entry(*hash).or_default() += 1;
            next += step;
        }
        next -= rows;
    }
    let sampled = rows.div_ceil(step);
    Ok(counts.values().any(|&count| count > FEW_ROWS && count * HEAVY >= sampled))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::physical_expr::expressions::Column;

    use super::*;

    fn heavy(keys: impl Iterator<Item = Option<i64>>) -> bool {
        let keys: Vec<_> = keys.collect();
        let batch = |keys: &[Option<i64>]| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter(keys.iter().copied()));
            RecordBatch::try_from_iter_with_nullable([("k", column, true)]).unwrap()
        };
        // Batches of odd sizes, some smaller than the step of the sample.
        let mut batches = Vec::new();
        let mut rest = keys.as_slice();
        for size in [7, 8_191, 1, 0, 3].into_iter().cycle() {
            let (first, last) = rest.split_at(size.min(rest.len()));
            batches.push(batch(first));
            rest = last;
            if rest.is_empty() {
                break;
            }
        }
        has_heavy_key(&batches, &[Arc::new(Column::new("k", 0))]).unwrap()
    }

    #[test]
    fn a_key_on_many_rows_is_heavy_wherever_they_are() {
        for rows in [1_000, 100_000, 700_000] {
            assert!(!heavy((0..rows).map(Some)), "{rows} keys");
            assert!(!heavy((0..rows).map(|row| Some(row % 40))), "even keys, {rows} rows");
            assert!(heavy((0..rows).map(|row| if row % 10 == 0 { Some(row) } else { Some(7) })));
            assert!(heavy((0..rows).map(|row| if row < rows / 8 { Some(7) } else { Some(row) })), "at the start");
            assert!(heavy((0..rows).map(|row| if row > rows / 8 * 7 { None } else { Some(row) })), "nulls at the end");
        }
        assert!(!heavy((0..FEW_ROWS as i64).map(|_| Some(1))), "a few rows fit anyhow");
    }
}
