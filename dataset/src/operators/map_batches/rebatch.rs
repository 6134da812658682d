//! Batches of the size that a function asked for.

use std::collections::VecDeque;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};

/// Rows of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallRows {
    /// All calls but a partition's last have as many.
    Exactly(usize),
    /// At most as many, and fewer where that spares a copy, but not many fewer.
    About(usize),
}

impl CallRows {
    fn most(self) -> usize {
        let (Self::Exactly(rows) | Self::About(rows)) = self;
        rows
    }

    fn least(self) -> usize {
        match self {
            Self::Exactly(rows) => rows,
            Self::About(rows) => rows / 2,
        }
    }
}

/// The same rows in batches for calls. Rows that lie in one batch are not copied.
pub(super) fn rebatch(input: SendableRecordBatchStream, rows: CallRows) -> SendableRecordBatchStream {
    let schema = input.schema();
    let output =
        stream::try_unfold((input, Gathered::default(), false), move |(mut input, mut gathered, ended)| async move {
            let mut ended = ended;
            while !ended && gathered.rows < rows.least() {
                match input.next().await.transpose()? {
                    Some(batch) => gathered.push(batch),
                    None => ended = true,
                }
            }
            let next = gathered.take(gathered.next_rows(rows))?;
            Ok::<_, DataFusionError>(next.map(|batch| (batch, (input, gathered, ended))))
        });
    Box::pin(RecordBatchStreamAdapter::new(schema, output))
}

/// Batches that wait to be as many rows as a call has.
#[derive(Default)]
struct Gathered {
    batches: VecDeque<RecordBatch>,
    rows: usize,
}

impl Gathered {
    fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.batches.push_back(batch);
        }
    }

    /// How many rows the next call has: those of the first batch when they are enough, since they need no copy.
    fn next_rows(&self, rows: CallRows) -> usize {
        let first = self.batches.front().map_or(0, RecordBatch::num_rows);
        if first >= rows.least() { first.min(rows.most()) } else { rows.most() }
    }

    /// The first `rows` rows, or all that there are.
    fn take(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        let mut pieces = Vec::new();
        let mut missing = rows;
        while missing > 0
            && let Some(batch) = self.batches.pop_front()
        {
            let piece = batch.slice(0, missing.min(batch.num_rows()));
            if piece.num_rows() < batch.num_rows() {
                self.batches.push_front(batch.slice(missing, batch.num_rows() - missing));
            }
            missing -= piece.num_rows();
            pieces.push(piece);
        }
        self.rows -= rows - missing;
        match pieces.as_slice() {
            [] => Ok(None),
            [piece] => Ok(Some(piece.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &pieces)?)),
        }
    }
}
