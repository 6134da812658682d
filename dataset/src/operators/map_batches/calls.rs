//! The calls of a user's function: for each partition in order, one after the other.
//!
//! A call may take microseconds or hours. A thread of the engine must not wait in a long one, and handing a short one
//! to a thread of its own, and the result back, costs more than the call: it moves the batch from core to core and
//! wakes two threads. So a partition whose last call was short makes the next one where it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, TryStreamExt};
use parking_lot::Mutex;
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

use super::conform::conform;
use super::{BatchFunction, BatchPosition};

/// After a call shorter than this, the next one is made on the engine's own thread.
const SHORT: Duration = Duration::from_millis(2);

/// The calls of a function that run on the engine's own threads, by their positions.
#[derive(Clone)]
pub(crate) struct Inline {
    function: Arc<dyn BatchFunction>,
    running: Arc<Mutex<Vec<BatchPosition>>>,
}

impl Inline {
    pub(crate) fn of(function: &Arc<dyn BatchFunction>) -> Self {
        Self { function: Arc::clone(function), running: Arc::default() }
    }

    /// Tells the function that nobody waits for these calls. The others are told when their stream is dropped; these
    /// keep it from being dropped.
    pub(crate) fn abandon(&self) {
        for at in self.running.lock().iter() {
            self.function.abandoned(*at);
        }
    }
}

/// Calls the function on a thread that may block, so that the engine's threads go on with other partitions.
///
/// # Errors
/// The function's own, and [`ErrorKind::UserFunction`] when it panicked.
pub(crate) async fn call_blocking(
    function: &Arc<dyn BatchFunction>,
    batch: RecordBatch,
    at: BatchPosition,
) -> sheaf_core::Result<RecordBatch> {
    let mut waiting = Waiting { function, at, over: false };
    let called = Arc::clone(function);
    let output = tokio::task::spawn_blocking(move || call(&*called, batch, at)).await;
    waiting.over = true;
    output.unwrap_or_else(|error| Err(panicked(function.name(), at, &error.to_string())))
}

/// Whoever waits for a call: gone before the call is over, it tells the function.
struct Waiting<'a> {
    function: &'a Arc<dyn BatchFunction>,
    at: BatchPosition,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.function.abandoned(self.at);
        }
    }
}

/// One call here; a panic is an error of the function.
fn call(function: &dyn BatchFunction, batch: RecordBatch, at: BatchPosition) -> sheaf_core::Result<RecordBatch> {
    catch_unwind(AssertUnwindSafe(|| function.call(batch, at))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(panicked(function.name(), at, text.unwrap_or("no message")))
    })
}

fn panicked(function: &str, at: BatchPosition, said: &str) -> Error {
    Error::new(ErrorKind::UserFunction, format!("{function} panicked at {at}: {said}"))
}

/// The calls of one partition.
pub(crate) struct Calls {
    pub(crate) function: Arc<dyn BatchFunction>,
    pub(crate) schema: SchemaRef,
    pub(crate) next: BatchPosition,
    /// Whether the last call was short.
    pub(crate) is_short: bool,
    pub(crate) inline: Inline,
    pub(crate) baseline: BaselineMetrics,
    pub(crate) time: Time,
}

impl Calls {
    /// The function over each batch.
    pub(crate) fn over(self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let output = stream::try_unfold((input, self), |(mut input, mut calls)| async move {
            let Some(batch) = input.try_next().await? else {
                calls.baseline.done();
                return Ok(None);
            };
            let output = calls.call(batch).await.map_err(to_datafusion)?;
            Ok::<_, DataFusionError>(Some((output, (input, calls))))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, output))
    }

    async fn call(&mut self, batch: RecordBatch) -> sheaf_core::Result<RecordBatch> {
        let (at, rows) = (self.next, batch.num_rows());
        self.next = BatchPosition { batch: at.batch + 1, row: at.row + rows, ..at };
        let start = Instant::now();
        let output = match self.is_short {
            true => self.call_inline(batch, at),
            false => call_blocking(&self.function, batch, at).await,
        };
        let took = start.elapsed();
        self.is_short = took < SHORT;
        self.time.add_duration(took);
        let output = conform(output?, &self.schema, self.function.name(), at)?;
        self.baseline.record_output(output.num_rows());
        Ok(output)
    }

    fn call_inline(&self, batch: RecordBatch, at: BatchPosition) -> sheaf_core::Result<RecordBatch> {
        self.inline.running.lock().push(at);
        let output = call(&*self.function, batch, at);
        self.inline.running.lock().retain(|running| *running != at);
        output
    }
}
