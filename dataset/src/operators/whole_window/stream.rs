//! The rows of one partition of the operator: each window partition is read once to compute and once to put out.
//!
//! Batches of a partition that is not over wait, on disk where memory is short. Most partitions are over before their
//! batch is, and then nothing waits.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{ScalarValue, internal_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use futures::TryStreamExt;
use parking_lot::Mutex;

use super::calls::{Arguments, Call, State};
use crate::operators::equal_rows::{is_same, ranges};
use crate::operators::persisted::rows::{Found, Rows, Writer};

/// What goes through the operator.
pub(super) struct Windowed {
    pub(super) input: SendableRecordBatchStream,
    pub(super) schema: SchemaRef,
    pub(super) calls: Arc<[Call]>,
    pub(super) keys: Arc<[Arc<dyn PhysicalExpr>]>,
    pub(super) open: Open,
    pub(super) waiting: Waiting,
    pub(super) has_ended: bool,
}

/// The partition that is not known to be over.
pub(super) struct Open {
    /// The keys of the row that came last.
    last: Option<Vec<ArrayRef>>,
    states: Option<Vec<State>>,
    reservation: MemoryReservation,
}

/// Batches that are not put out, and the results that are known for them.
pub(super) struct Waiting {
    rows: Arc<Rows>,
    writer: Arc<Mutex<Option<Writer>>>,
    /// How the rows of each batch lie in partitions.
    batches: VecDeque<Pieces>,
    /// The number of the first batch that waits.
    first: usize,
    /// The results of partitions that are over, from the first one that a waiting batch has rows of.
    results: VecDeque<Vec<ScalarValue>>,
    /// The number of that partition.
    first_result: usize,
    /// How many partitions are over.
    over: usize,
}

struct Pieces {
    /// The number of the partition of the first rows; the pieces after it are of the partitions after it.
    partition: usize,
    ranges: Vec<Range<usize>>,
}

impl Open {
    pub(super) fn new(reservation: MemoryReservation) -> Self {
        Self { last: None, states: None, reservation }
    }
}

impl Waiting {
    pub(super) fn new(rows: Arc<Rows>) -> Self {
        let (batches, results) = (VecDeque::new(), VecDeque::new());
        Self { rows, writer: Arc::default(), batches, first: 0, results, first_result: 0, over: 0 }
    }
}

impl Windowed {
    /// The next batch with its results.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.waiting.ready(&self.schema).await? {
                return Ok(Some(batch));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.input.try_next().await? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let pieces = self.compute(&batch)?;
                    self.waiting.push(batch, pieces).await?;
                }
                None => {
                    self.has_ended = true;
                    self.close()?;
                }
            }
        }
    }

    /// Takes a batch into account, and says which of its rows are of which partition.
    fn compute(&mut self, batch: &RecordBatch) -> Result<Pieces> {
        let rows = batch.num_rows();
        let keys = self.keys.iter().map(|key| key.evaluate(batch)?.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let arguments = self.calls.iter().map(|call| call.arguments(batch)).collect::<Result<Vec<_>>>()?;
        let goes_on = self.open.last.as_ref().map_or(Ok(false), |last| is_same(last, 0, &keys, 0))?;
        let ranges = ranges(&keys, rows)?;
        let mut first = self.waiting.over;
        for (at, range) in ranges.iter().enumerate() {
            if at > 0 || !goes_on {
                self.close()?;
                if at == 0 {
                    first = self.waiting.over;
                }
                self.open.states = Some(self.calls.iter().map(Call::start).collect::<Result<_>>()?);
            }
            self.update(&arguments, range)?;
        }
        // A copy: a slice would keep the batch.
        let end = UInt64Array::from(vec![rows as u64 - 1]);
        self.open.last = Some(keys.iter().map(|key| take(key, &end, None)).collect::<Result<_, _>>()?);
        self.open.reservation.try_resize(self.open.states.iter().flatten().map(State::size).sum())?;
        Ok(Pieces { partition: first, ranges })
    }

    fn update(&mut self, arguments: &[Arguments], range: &Range<usize>) -> Result<()> {
        for ((call, state), arguments) in self.calls.iter().zip(self.open.states.iter_mut().flatten()).zip(arguments) {
            call.update(state, arguments, range.start, range.len())?;
        }
        Ok(())
    }

    /// The open partition is over, if there is one.
    fn close(&mut self) -> Result<()> {
        if let Some(mut states) = self.open.states.take() {
            let states = self.calls.iter().zip(&mut states);
            self.waiting.results.push_back(states.map(|(call, state)| call.finish(state)).collect::<Result<_>>()?);
            self.waiting.over += 1;
        }
        Ok(())
    }
}

impl Waiting {
    async fn push(&mut self, batch: RecordBatch, pieces: Pieces) -> Result<()> {
        self.batches.push_back(pieces);
        let Some(batch) = self.rows.keep(0, &batch)? else { return Ok(()) };
        let (rows, writer) = (Arc::clone(&self.rows), Arc::clone(&self.writer));
        blocking(move || rows.store(0, &batch, &mut writer.lock())).await
    }

    /// The first batch, if all of its partitions are over.
    async fn ready(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let is_over = |pieces: &mut Pieces| pieces.partition + pieces.ranges.len() <= self.over;
        let Some(pieces) = self.batches.pop_front_if(is_over) else { return Ok(None) };
        let found = self.rows.take(0, self.first).ok_or_else(|| internal_datafusion_err!("a batch is gone"))?;
        self.first += 1;
        let batch = match found {
            Found::Batch(batch) => batch,
            Found::OnDisk(stored) => blocking(move || stored.read()).await?,
        };
        self.results.drain(..pieces.partition - self.first_result);
        self.first_result = pieces.partition;
        let mut columns = batch.columns().to_vec();
        for call in 0..schema.fields().len() - batch.num_columns() {
            columns.push(self.column(call, &pieces, batch.num_rows())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?))
    }

    /// The results of a call, each for the rows of its partition.
    fn column(&self, call: usize, pieces: &Pieces, rows: usize) -> Result<ArrayRef> {
        let results = self.results.iter().take(pieces.ranges.len()).map(|results| results[call].clone());
        let results: Vec<ScalarValue> = results.collect();
        if let [result] = results.as_slice() {
            return result.to_array_of_size(rows);
        }
        let lengths = pieces.ranges.iter().zip(0_u32..);
        let places = lengths.flat_map(|(range, place)| std::iter::repeat_n(place, range.len()));
        Ok(take(&ScalarValue::iter_to_array(results)?, &UInt32Array::from_iter_values(places), None)?)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    SpawnedTask::spawn_blocking(work).await.map_err(|error| DataFusionError::External(error.into()))?
}
