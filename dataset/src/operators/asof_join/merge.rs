//! The merge of two sorted inputs: rows of the right side are passed as the left side's rows go by.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::RowConverter;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use futures::stream;

use super::keys::{Keys, converter};
use super::{AsofStrategy, Matching, Sides, tail};

/// Right batches that may wait until rows that refer to them are put out: more mean that the left side is sparse, and
/// its rows go in smaller batches.
const MOST_HELD: usize = 16;

/// What the merge reports to.
pub(super) struct Accounts {
    reservation: MemoryReservation,
    baseline: BaselineMetrics,
}

impl Accounts {
    pub(super) fn new(context: &TaskContext, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let consumer = MemoryConsumer::new(format!("AsofJoinExec[{partition}]"));
        Self {
            reservation: consumer.register(context.memory_pool()),
            baseline: BaselineMetrics::new(metrics, partition),
        }
    }
}

/// The left rows, each with its right row or nulls.
pub(super) fn merge(
    inputs: Sides<SendableRecordBatchStream>,
    keys: Sides<Vec<usize>>,
    matching: Matching,
    schema: SchemaRef,
    accounts: Accounts,
) -> Result<SendableRecordBatchStream> {
    let right_schema = inputs.right.schema();
    let nullable = tail(&schema, right_schema.fields().len());
    let nulls = nullable.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let merge = Merge {
        nulls: RecordBatch::try_new_with_options(Arc::clone(&nullable), nulls, &options)?,
        right: Right {
            // The two sides have the same types, so that one converter does for both.
            converter: converter(&right_schema, &keys.right)?,
            schema: nullable,
            input: inputs.right,
            keys: keys.right,
            held: VecDeque::new(),
            dropped: 0,
            is_over: false,
            reservation: accounts.reservation,
        },
        behind: Cursor::default(),
        ahead: Cursor::default(),
        passed: None,
        left: inputs.left,
        left_keys: keys.left,
        current: None,
        matching,
        schema: Arc::clone(&schema),
        baseline: accounts.baseline,
    };
    let output = stream::try_unfold(merge, |mut merge| async move {
        let batch = merge.next().await?;
        Ok(batch.map(|batch| (batch, merge)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, output)))
}

/// A row of the right side: its batch, counted from the first one, and its place there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    batch: usize,
    row: usize,
}

/// The right input, and those of its batches that rows may yet be matched with.
struct Right {
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    keys: Vec<usize>,
    converter: Option<RowConverter>,
    held: VecDeque<(RecordBatch, Keys)>,
    /// Batches before the first one that is held.
    dropped: usize,
    is_over: bool,
    reservation: MemoryReservation,
}

impl Right {
    /// Moves on to a row with keys, from this one on; `None` at the end.
    async fn seek(&mut self, mut at: Cursor) -> Result<Option<Cursor>> {
        loop {
            match self.held.get(at.batch - self.dropped) {
                Some((batch, keys)) if at.row < batch.num_rows() => {
                    if !keys.is_missing(at.row) {
                        return Ok(Some(at));
                    }
                    at.row += 1;
                }
                Some(_) => at = Cursor { batch: at.batch + 1, row: 0 },
                None if self.is_over => return Ok(None),
                None => self.load().await?,
            }
        }
    }

    async fn load(&mut self) -> Result<()> {
        match self.input.try_next().await? {
            Some(batch) => {
                let keys = Keys::new(&batch, &self.keys, self.converter.as_ref())?;
                self.reservation.try_grow(batch.get_array_memory_size() + keys.memory())?;
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
                self.held.push_back((batch, keys));
            }
            None => self.is_over = true,
        }
        Ok(())
    }

    /// Lets go of the batches before this one.
    fn drop_before(&mut self, batch: usize) {
        while self.dropped < batch {
            if let Some((batch, keys)) = self.held.pop_front() {
                self.reservation.shrink(batch.get_array_memory_size() + keys.memory());
            }
            self.dropped += 1;
        }
    }

    fn keys(&self, at: Cursor) -> Option<&Keys> {
        self.held.get(at.batch - self.dropped).map(|(_, keys)| keys)
    }
}

/// A left batch that is being matched, from this row on.
struct Current {
    batch: RecordBatch,
    keys: Keys,
    row: usize,
}

struct Merge {
    left: SendableRecordBatchStream,
    left_keys: Vec<usize>,
    right: Right,
    current: Option<Current>,
    /// The first right row that is not behind the left one, and the last one that is.
    behind: Cursor,
    passed: Option<Cursor>,
    /// The first right row that is ahead.
    ahead: Cursor,
    matching: Matching,
    nulls: RecordBatch,
    schema: SchemaRef,
    baseline: BaselineMetrics,
}

impl Merge {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => loop {
                let Some(batch) = self.left.try_next().await? else {
                    self.baseline.done();
                    return Ok(None);
                };
                if batch.num_rows() > 0 {
                    let keys = Keys::new(&batch, &self.left_keys, self.right.converter.as_ref())?;
                    break Current { batch, keys, row: 0 };
                }
            },
        };
        let (first, mut picks) = (current.row, Vec::new());
        while current.row < current.batch.num_rows() && (picks.is_empty() || self.right.held.len() <= MOST_HELD) {
            let pick = match current.keys.is_missing(current.row) {
                true => None,
                false => self.matched(&current.keys, current.row).await?,
            };
            // Place 0 is that of the nulls.
            picks.push(pick.map_or((0, 0), |at| (at.batch - self.right.dropped + 1, at.row)));
            current.row += 1;
        }
        let left = current.batch.slice(first, picks.len());
        let output = self.output(&left, &picks)?;
        self.right.drop_before(self.oldest());
        if current.row < current.batch.num_rows() {
            self.current = Some(current);
        }
        self.baseline.record_output(output.num_rows());
        Ok(Some(output))
    }

    fn output(&self, left: &RecordBatch, picks: &[(usize, usize)]) -> Result<RecordBatch> {
        let mut batches = vec![&self.nulls];
        batches.extend(self.right.held.iter().map(|(batch, _)| batch));
        let right = interleave_record_batch(&batches, picks)?;
        let columns = [left.columns(), right.columns()].concat();
        let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The first right batch that a later row may be matched with.
    fn oldest(&self) -> usize {
        let behind = self.passed.unwrap_or(self.behind).batch.min(self.behind.batch);
        match self.matching.strategy {
            AsofStrategy::Backward => behind,
            AsofStrategy::Forward => self.ahead.batch,
            AsofStrategy::Nearest => behind.min(self.ahead.batch),
        }
    }

    /// The right row of a left one.
    async fn matched(&mut self, left: &Keys, row: usize) -> Result<Option<Cursor>> {
        let looks_back = self.matching.strategy != AsofStrategy::Forward;
        let looks_ahead = self.matching.strategy != AsofStrategy::Backward;
        let before = if looks_back { self.last_behind(left, row).await? } else { None };
        let after = if looks_ahead { self.first_ahead(left, row).await? } else { None };
        let distance = |at: Cursor| self.right.keys(at).map(|keys| keys.distance(at.row, left, row));
        let found = match (before, after) {
            (Some(before), Some(after)) => match (distance(before), distance(after)) {
                (Some(back), Some(on)) if !back.is_within(on) => Some(after),
                _ => Some(before),
            },
            (before, after) => before.or(after),
        };
        let near = |at: &Cursor| match (self.matching.tolerance, distance(*at)) {
            (Some(tolerance), Some(distance)) => distance.is_within(tolerance),
            _ => true,
        };
        Ok(found.filter(near))
    }

    async fn last_behind(&mut self, left: &Keys, row: usize) -> Result<Option<Cursor>> {
        while let Some(at) = self.right.seek(self.behind).await? {
            self.behind = at;
            let order = self.right.keys(at).map_or(Ordering::Greater, |keys| keys.compare(at.row, left, row));
            if order.is_gt() || (order.is_eq() && !self.matching.allow_exact_matches) {
                break;
            }
            self.passed = Some(at);
            self.behind.row += 1;
        }
        Ok(self.passed.filter(|at| self.is_of_group(*at, left, row)))
    }

    async fn first_ahead(&mut self, left: &Keys, row: usize) -> Result<Option<Cursor>> {
        while let Some(at) = self.right.seek(self.ahead).await? {
            self.ahead = at;
            let order = self.right.keys(at).map_or(Ordering::Greater, |keys| keys.compare(at.row, left, row));
            if order.is_gt() || (order.is_eq() && self.matching.allow_exact_matches) {
                return Ok(Some(at).filter(|at| self.is_of_group(*at, left, row)));
            }
            self.ahead.row += 1;
        }
        Ok(None)
    }

    fn is_of_group(&self, at: Cursor, left: &Keys, row: usize) -> bool {
        self.right.keys(at).is_some_and(|keys| keys.same_group(at.row, left, row))
    }
}
