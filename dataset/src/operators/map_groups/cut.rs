//! Sorted batches cut into groups: the batches of calls.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat_batches, take};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryReservation, human_readable_size};
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, TryStreamExt};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

use super::{GroupCalls, GroupColumns};
use crate::operators::equal_rows::{is_same, ranges};

/// Cuts a stream; what a group needs while it is gathered and called is reserved.
pub(super) struct Cut {
    pub(super) cutter: Cutter,
    pub(super) reservation: MemoryReservation,
    pub(super) function: String,
    pub(super) groups: Count,
}

impl Cut {
    /// The batches of calls, in the order of the input.
    pub(super) fn over(self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let given: Vec<usize> = (0..self.cutter.columns.given).collect();
        let schema = input.schema().project(&given).map_or_else(|_| input.schema(), Arc::new);
        let output = stream::try_unfold((input, self, false), |(mut input, mut cut, mut ended)| async move {
            // The call before this one is over.
            cut.reservation.try_resize(cut.cutter.bytes())?;
            loop {
                if let Some(call) = cut.cutter.next()? {
                    return Ok::<_, DataFusionError>(Some((call, (input, cut, ended))));
                }
                if ended {
                    return Ok(None);
                }
                match input.try_next().await? {
                    Some(batch) => {
                        cut.groups.add(cut.cutter.push(&batch)?);
                        cut.reserve()?;
                    }
                    None => {
                        ended = true;
                        cut.cutter.finish();
                    }
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, output))
    }

    fn reserve(&mut self) -> Result<()> {
        let bytes = self.cutter.bytes();
        self.reservation.try_resize(bytes).map_err(|refused| {
            let (rows, needs) = (self.cutter.open.rows, human_readable_size(bytes));
            let message = format!("a group of {} has {rows} rows or more, which need {needs}", self.function);
            let hint = "groupby(…).map_batches(…) gives a large group in several batches, and aggregates hold no rows; or \
                        raise memory_limit";
            to_datafusion(Error::new(ErrorKind::MemoryLimit, message).with_hint(hint).with_source(refused))
        })
    }
}

/// Batches go in, sorted by their keys; calls come out.
pub(super) struct Cutter {
    columns: GroupColumns,
    calls: GroupCalls,
    /// The keys of the row that came last.
    last: Option<Vec<ArrayRef>>,
    /// The group that is not known to be complete.
    open: Pieces,
    ready: VecDeque<Pieces>,
}

impl Cutter {
    pub(super) fn new(columns: GroupColumns, calls: GroupCalls) -> Self {
        Self { columns, calls, last: None, open: Pieces::default(), ready: VecDeque::new() }
    }

    /// Takes a batch, and says how many groups begin in it.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<usize> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(0);
        }
        let keys: Vec<ArrayRef> = self.columns.keys.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        let given = batch.project(&(0..self.columns.given).collect::<Vec<_>>())?;
        let goes_on = self.last.as_ref().map_or(Ok(false), |last| is_same(last, 0, &keys, 0))?;
        let ranges = ranges(&keys, rows)?;
        let begun = ranges.len() - usize::from(goes_on);
        for (at, range) in ranges.into_iter().enumerate() {
            if at > 0 || !goes_on {
                self.finish();
            }
            self.open.push(given.slice(range.start, range.len()));
            while let GroupCalls::Rows(most) = self.calls
                && self.open.rows >= most
            {
                self.ready.push_back(self.open.take(most));
            }
        }
        self.open.measure();
        // A copy: a slice would keep the batch.
        let end = UInt64Array::from(vec![rows as u64 - 1]);
        self.last = Some(keys.iter().map(|key| take(key, &end, None)).collect::<Result<_, _>>()?);
        Ok(begun)
    }

    /// The open group is complete.
    pub(super) fn finish(&mut self) {
        let group = std::mem::take(&mut self.open);
        if group.rows > 0 {
            self.ready.push_back(group);
        }
    }

    /// The next call.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.ready.pop_front().map(Pieces::together).transpose()
    }

    /// What the groups over several batches take, and once more for the batches that are made of them.
    fn bytes(&self) -> usize {
        let copied = self.ready.iter().filter(|group| group.batches.len() > 1);
        2 * (self.open.bytes + copied.map(|group| group.bytes).sum::<usize>())
    }
}

/// Rows of one group, in the batches in which they came.
#[derive(Default)]
struct Pieces {
    batches: VecDeque<RecordBatch>,
    rows: usize,
    bytes: usize,
    /// How many of the batches are measured in `bytes`.
    measured: usize,
}

impl Pieces {
    fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.batches.push_back(batch);
    }

    /// Takes the bytes of the batches that came last into account: only those of a group that stays open, for most
    /// groups are slices of a batch and go at once.
    fn measure(&mut self) {
        self.bytes += self.batches.iter().skip(self.measured).map(bytes).sum::<usize>();
        self.measured = self.batches.len();
    }

    /// The first `rows` rows, of which there are as many.
    fn take(&mut self, rows: usize) -> Self {
        let mut taken = Self::default();
        while taken.rows < rows
            && let Some(batch) = self.batches.pop_front()
        {
            let missing = rows - taken.rows;
            if batch.num_rows() > missing {
                self.batches.push_front(batch.slice(missing, batch.num_rows() - missing));
            }
            taken.push(batch.slice(0, missing.min(batch.num_rows())));
        }
        taken.measure();
        self.rows -= taken.rows;
        (self.bytes, self.measured) = (0, 0);
        self.measure();
        taken
    }

    fn together(self) -> Result<RecordBatch> {
        let batches = Vec::from(self.batches);
        match batches.as_slice() {
            [one] => Ok(one.clone()),
            [first, ..] => Ok(concat_batches(first.schema_ref(), &batches)?),
            [] => datafusion::common::internal_err!("a group has no rows"),
        }
    }
}

fn bytes(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size());
    batch.columns().iter().map(column).sum()
}

/// The rows of the first group of a batch, as far as they stand together: what a function is tried on.
pub(crate) fn first_group(batch: &RecordBatch, columns: &GroupColumns) -> Result<RecordBatch> {
    let mut cutter = Cutter::new(columns.clone(), GroupCalls::Whole);
    cutter.push(batch)?;
    cutter.finish();
    let given: Vec<usize> = (0..columns.given).collect();
    cutter.next()?.map_or_else(|| Ok(RecordBatch::new_empty(Arc::new(batch.schema().project(&given)?))), Ok)
}
