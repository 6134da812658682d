//! The ordered rows, cut into runs with margins.

use std::collections::VecDeque;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::TryStreamExt;

use super::{Cut, Margin};
use crate::operators::map_batches::BatchPosition;

/// A run of rows with its margins.
pub(super) struct Run {
    pub(super) batch: RecordBatch,
    /// Rows of the margin before the run.
    pub(super) skipped: usize,
    /// Rows of the run.
    pub(super) kept: usize,
    pub(super) at: BatchPosition,
}

/// The input, of which those batches are held that a run may yet look back on. Rows are counted from the first one.
pub(super) struct Rows {
    input: SendableRecordBatchStream,
    on: Option<usize>,
    cut: Cut,
    held: VecDeque<(RecordBatch, Option<Int64Array>)>,
    /// The first row that is held, and the one after the last.
    first: usize,
    end: usize,
    is_over: bool,
    /// Where the next run starts, and how many there were.
    next: usize,
    runs: usize,
    reservation: MemoryReservation,
}

impl Rows {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        on: Option<usize>,
        cut: Cut,
        reservation: MemoryReservation,
    ) -> Self {
        let held = VecDeque::new();
        Self { input, on, cut, held, first: 0, end: 0, is_over: false, next: 0, runs: 0, reservation }
    }

    /// The next run; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Run>> {
        let start = self.next;
        let end = self.load_until(start.saturating_add(self.cut.run)).await?;
        if end == start {
            return Ok(None);
        }
        let from = match (self.cut.before, self.step(start)) {
            (Margin::Rows(rows), _) => start.saturating_sub(rows),
            (Margin::Steps(steps), Some(step)) => self.first_from(step.saturating_sub(steps)).min(start),
            // Rows without a value are near none.
            (Margin::Steps(_), None) => start,
        };
        self.drop_before(from);
        let to = match (self.cut.after, self.step(end - 1)) {
            (Margin::Rows(rows), _) => self.load_until(end.saturating_add(rows)).await?,
            (Margin::Steps(steps), Some(step)) => self.load_past(step.saturating_add(steps)).await?.max(end),
            (Margin::Steps(_), None) => end,
        };
        let at = BatchPosition { partition: 0, batch: self.runs, row: from };
        (self.next, self.runs) = (end, self.runs + 1);
        Ok(Some(Run { batch: self.between(from, to)?, skipped: start - from, kept: end - start, at }))
    }

    /// Loads rows until this one; which is the last in any case.
    async fn load_until(&mut self, row: usize) -> Result<usize> {
        while self.end < row && !self.is_over {
            self.load().await?;
        }
        Ok(self.end.min(row))
    }

    /// Loads all rows up to this step, and says which row follows them.
    async fn load_past(&mut self, step: i64) -> Result<usize> {
        while !self.is_over && self.step(self.end - 1).is_some_and(|last| last <= step) {
            self.load().await?;
        }
        Ok(self.first_from(step.saturating_add(1)))
    }

    async fn load(&mut self) -> Result<()> {
        let Some(batch) = self.input.try_next().await? else {
            self.is_over = true;
            return Ok(());
        };
        if batch.num_rows() > 0 {
            let counts_steps =
                [self.cut.before, self.cut.after].iter().any(|margin| matches!(margin, Margin::Steps(_)));
            let steps = self.on.filter(|_| counts_steps).map(|on| steps(&batch, on)).transpose()?;
            self.reservation.try_grow(batch.get_array_memory_size())?;
            self.end += batch.num_rows();
            self.held.push_back((batch, steps));
        }
        Ok(())
    }

    /// The step of a row that is held; `None` for one without a value.
    fn step(&self, row: usize) -> Option<i64> {
        let mut first = self.first;
        for (batch, steps) in &self.held {
            if row < first + batch.num_rows() {
                let steps = steps.as_ref()?;
                return row.checked_sub(first).filter(|row| steps.is_valid(*row)).map(|row| steps.value(row));
            }
            first += batch.num_rows();
        }
        None
    }

    /// The first row that is held and not before this step; rows without a value are the last.
    fn first_from(&self, step: i64) -> usize {
        let before = |steps: &Int64Array| {
            let values = &steps.values()[..steps.len() - steps.null_count()];
            values.partition_point(|value| *value < step)
        };
        self.first + self.held.iter().filter_map(|(_, steps)| steps.as_ref()).map(before).sum::<usize>()
    }

    fn between(&self, from: usize, to: usize) -> Result<RecordBatch> {
        let (mut first, mut parts) = (self.first, Vec::new());
        for (batch, _) in &self.held {
            let end = first + batch.num_rows();
            let (start, stop) = (from.max(first), to.min(end));
            if start < stop {
                parts.push(batch.slice(start - first, stop - start));
            }
            first = end;
        }
        match parts.as_slice() {
            [one] => Ok(one.clone()),
            parts => Ok(concat_batches(&self.input.schema(), parts)?),
        }
    }

    fn drop_before(&mut self, row: usize) {
        while let Some((batch, _)) = self.held.front() {
            if self.first + batch.num_rows() > row {
                break;
            }
            self.first += batch.num_rows();
            self.reservation.shrink(batch.get_array_memory_size());
            self.held.pop_front();
        }
    }
}

/// The column that orders the rows, in steps.
fn steps(batch: &RecordBatch, on: usize) -> Result<Int64Array> {
    let column = batch.column(on);
    let whole = match column.data_type() {
        DataType::Date32 => cast(&cast(column, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(column, &DataType::Int64)?,
    };
    Ok(whole.as_primitive::<Int64Type>().clone())
}
