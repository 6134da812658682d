//! Batches of the size that a function asked for.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};

/// Rows of a call when no batch size is given, at the most. Threads that call Python wait for its lock, and to wait
/// costs about as much as a hundred thousand rows of NumPy: with 256 K rows a call, the sum of 100 M numbers takes a
/// quarter longer. With 4 MiB of numbers or more, where NumPy asks for huge pages, it takes a tenth longer again.
const AUTO_BATCH_ROWS: usize = 500_000;
/// Bytes of such a call, at the most.
const AUTO_BATCH_BYTES: usize = 16 << 20;
/// The calls of all threads take this share of the memory limit at the most, and a function may copy what it gets
/// several times.
const AUTO_BATCH_SHARE: usize = 64;
/// What a value without a fixed width counts for.
const TEXT_BYTES: usize = 32;

/// What of the memory limit is for one of so many calls at once.
pub(super) fn memory_of_one(context: &TaskContext, calls: usize) -> usize {
    match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(bytes) => bytes / calls.max(1),
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// Rows of a call over rows of this schema when no batch size is given.
pub(super) fn auto_batch_rows(schema: &Schema, memory: usize) -> usize {
    let width = |field: &FieldRef| field.data_type().primitive_width().unwrap_or(TEXT_BYTES);
    let row: usize = schema.fields().iter().map(width).sum();
    (AUTO_BATCH_BYTES.min(memory / AUTO_BATCH_SHARE) / row.max(1)).min(AUTO_BATCH_ROWS)
}

/// Rows of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallRows {
    /// All calls but a partition's last have as many.
    Exactly(usize),
    /// At most as many, and fewer where that spares a copy, but not many fewer.
    About(usize),
    /// As many as have these bytes, about; one at the least.
    Bytes(usize),
}

impl CallRows {
    /// Rows of a call at the most, given what waits.
    fn most(self, waiting: &Gathered) -> usize {
        match self {
            Self::Exactly(rows) | Self::About(rows) => rows,
            Self::Bytes(bytes) => {
                let share = bytes as f64 / waiting.bytes.max(1) as f64;
                ((waiting.rows as f64 * share) as usize).max(1)
            }
        }
    }

    fn least(self, waiting: &Gathered) -> usize {
        match self {
            Self::Exactly(_) | Self::Bytes(_) => self.most(waiting),
            Self::About(rows) => rows / 2,
        }
    }

    fn is_enough(self, waiting: &Gathered) -> bool {
        match self {
            Self::Exactly(_) | Self::About(_) => waiting.rows >= self.least(waiting),
            Self::Bytes(bytes) => waiting.bytes >= bytes,
        }
    }
}

/// The same rows in batches for calls. Rows that lie in one batch are not copied.
pub(super) fn rebatch(input: SendableRecordBatchStream, rows: CallRows) -> SendableRecordBatchStream {
    let schema = input.schema();
    let output =
        stream::try_unfold((input, Gathered::default(), false), move |(mut input, mut gathered, ended)| async move {
            let mut ended = ended;
            while !ended && !gathered.is_tail && !rows.is_enough(&gathered) {
                match input.next().await.transpose()? {
                    Some(batch) => gathered.push(batch, rows),
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
    /// Their bytes, about; counted where calls are of so many.
    bytes: usize,
    /// Rows of the batch that came last.
    last: usize,
    /// Whether what waits is the end of a row group that a scan has cut into calls: to put it together with the next
    /// one would copy that, and all that follow.
    is_tail: bool,
}

impl Gathered {
    fn push(&mut self, batch: RecordBatch, rows: CallRows) {
        if batch.num_rows() == 0 {
            return;
        }
        if let CallRows::About(most) = rows {
            self.is_tail = self.batches.is_empty() && self.last == most && batch.num_rows() < most;
            self.last = batch.num_rows();
        }
        if let CallRows::Bytes(_) = rows {
            self.bytes += shown_bytes(&batch);
        }
        self.rows += batch.num_rows();
        self.batches.push_back(batch);
    }

    /// How many rows the next call has: those of the first batch when they are enough, since they need no copy.
    fn next_rows(&self, rows: CallRows) -> usize {
        let first = self.batches.front().map_or(0, RecordBatch::num_rows);
        let most = rows.most(self);
        if self.is_tail || first >= rows.least(self) { first.min(most) } else { most }
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
        let (taken, were) = (rows - missing, self.rows);
        self.rows -= taken;
        // As if all rows were as wide: what is left is counted again as it is joined by others.
        self.bytes -= (self.bytes as f64 * (taken as f64 / were.max(1) as f64)) as usize;
        self.is_tail = false;
        match pieces.as_slice() {
            [] => Ok(None),
            [piece] => Ok(Some(piece.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &pieces)?)),
        }
    }
}

/// Bytes of the rows that a batch shows, which may be a slice of larger buffers.
fn shown_bytes(batch: &RecordBatch) -> usize {
    let shown = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            views.len() * size_of::<u128>() + views.total_buffer_bytes_used()
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            views.len() * size_of::<u128>() + views.total_buffer_bytes_used()
        }
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    batch.columns().iter().map(shown).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::Field;

    use super::*;

    /// What calls get of batches of so many rows, and whether each is a batch as it came.
    async fn calls(batches: &[usize], rows: CallRows) -> Vec<(usize, bool)> {
        let batch = |rows: usize| {
            let numbers = Int64Array::from_iter_values(0..rows as i64);
            RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap()
        };
        let batches: Vec<_> = batches.iter().map(|rows| batch(*rows)).collect();
        let start = |batch: &RecordBatch| batch.column(0).to_data().buffers()[0].as_ptr();
        let known: Vec<_> = batches.iter().map(start).collect();
        let input = stream::iter(batches.clone().into_iter().map(Ok));
        let input = Box::pin(RecordBatchStreamAdapter::new(batches[0].schema(), input));
        let output: Vec<_> = rebatch(input, rows).map(|batch| batch.unwrap()).collect().await;
        output.iter().map(|batch| (batch.num_rows(), known.contains(&start(batch)))).collect()
    }

    #[tokio::test]
    async fn the_end_of_a_row_group_is_a_call_and_costs_no_copy() {
        let group = [500, 500, 48, 500, 500, 48];
        let whole: Vec<_> = group.iter().map(|rows| (*rows, true)).collect();
        assert_eq!(calls(&group, CallRows::About(500)).await, whole);
        let small = [40; 30];
        let about = calls(&small, CallRows::About(500)).await;
        let sizes: Vec<_> = about.iter().map(|(rows, _)| *rows).collect();
        assert_eq!(sizes, [280, 280, 280, 280, 80], "small batches are put together");
        let exact = calls(&group, CallRows::Exactly(500)).await;
        assert_eq!(exact.iter().map(|(rows, _)| *rows).collect::<Vec<_>>(), [500, 500, 500, 500, 96]);
        let bytes = calls(&group, CallRows::Bytes(800)).await;
        let sizes: Vec<_> = bytes.iter().map(|(rows, _)| *rows).collect();
        assert_eq!(
            (sizes.iter().sum::<usize>(), sizes[..20].iter().all(|rows| *rows == 100)),
            (2096, true),
            "{sizes:?}"
        );
        let wide = calls(&[3, 3], CallRows::Bytes(1)).await;
        assert_eq!(wide.iter().map(|(rows, _)| *rows).collect::<Vec<_>>(), [1; 6], "a row is not cut");
    }

    #[test]
    fn calls_are_large_unless_rows_are_wide_or_memory_is_short() {
        let numbers = |columns: usize| {
            Schema::new((0..columns).map(|i| Field::new(format!("c{i}"), DataType::Int64, true)).collect::<Vec<_>>())
        };
        let text = Schema::new(vec![Field::new("s", DataType::Utf8View, true)]);
        assert_eq!(auto_batch_rows(&numbers(1), usize::MAX), AUTO_BATCH_ROWS);
        assert_eq!(auto_batch_rows(&text, 64 << 20), (1 << 20) / TEXT_BYTES);
        assert_eq!(auto_batch_rows(&numbers(100), usize::MAX), AUTO_BATCH_BYTES / 800);
        assert_eq!(auto_batch_rows(&numbers(1), 64 << 20), (1 << 20) / 8, "a 64th of 64 MiB");
        assert_eq!(auto_batch_rows(&Schema::empty(), usize::MAX), AUTO_BATCH_ROWS, "no columns, no width");
    }
}
