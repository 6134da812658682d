//! Batches of the size that a function asked for.

use std::collections::VecDeque;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};

/// The same rows in batches of exactly `rows` rows, but for the last. Rows that lie in one batch are not copied.
pub(super) fn rebatch(input: SendableRecordBatchStream, rows: usize) -> SendableRecordBatchStream {
    let schema = input.schema();
    let output =
        stream::try_unfold((input, Gathered::default(), false), move |(mut input, mut gathered, ended)| async move {
            let mut ended = ended;
            while !ended && gathered.rows < rows {
                match input.next().await.transpose()? {
                    Some(batch) => gathered.push(batch),
                    None => ended = true,
                }
            }
            let next = gathered.take(rows)?;
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
