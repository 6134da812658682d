//! `Cut`: batches cut or joined to the number of rows asked for; a batch is copied only where it joins another.

use std::collections::VecDeque;

use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// Batches on their way to the size asked for, or as they come.
#[derive(Debug)]
pub struct Cut {
    rows: Option<usize>,
    waiting: VecDeque<RecordBatch>,
    count: usize,
}

impl Cut {
    /// Nothing yet, on its way to batches of `rows` rows; by default they stay as they come.
    #[must_use]
    pub fn new(rows: Option<usize>) -> Self {
        Self { rows, waiting: VecDeque::new(), count: 0 }
    }

    /// The number of rows asked for.
    #[must_use]
    pub fn rows(&self) -> Option<usize> {
        self.rows
    }

    /// Adds rows.
    pub fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.count += batch.num_rows();
            self.waiting.push_back(batch);
        }
    }

    /// The next whole batch, if there are rows enough.
    ///
    /// # Errors
    /// Where batches cannot be joined: they have different schemas.
    #[expect(clippy::should_implement_trait, reason = "more may come after there was none")]
    pub fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self.rows {
            Some(rows) if self.count >= rows => self.take(rows).map(Some),
            Some(_) => Ok(None),
            None => Ok(self.pop()),
        }
    }

    /// The rows that are left when nothing more comes: fewer than a whole batch.
    ///
    /// # Errors
    /// As [`Cut::next`].
    pub fn rest(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.count == 0 { Ok(None) } else { self.take(self.count).map(Some) }
    }

    fn pop(&mut self) -> Option<RecordBatch> {
        let batch = self.waiting.pop_front()?;
        self.count -= batch.num_rows();
        Some(batch)
    }

    fn take(&mut self, rows: usize) -> Result<RecordBatch, ArrowError> {
        let mut parts = Vec::new();
        let mut missing = rows;
        while missing > 0
            && let Some(batch) = self.pop()
        {
            let taken = missing.min(batch.num_rows());
            if taken < batch.num_rows() {
                let rest = batch.slice(taken, batch.num_rows() - taken);
                self.count += rest.num_rows();
                self.waiting.push_front(rest);
            }
            parts.push(batch.slice(0, taken));
            missing -= taken;
        }
        match parts.as_slice() {
            [whole] => Ok(whole.clone()),
            [first, ..] => concat_batches(first.schema_ref(), &parts),
            [] => Err(ArrowError::ComputeError("there are no rows to cut".into())),
        }
    }
}
