//! The calls of a user's function: for each partition in order, one after the other.
//!
//! A call may take microseconds or hours. A thread of the engine must not wait in a long one, and handing a short one
//! to a thread of its own, and the result back, costs more than the call: it moves the batch from core to core and
//! wakes two threads. So a partition whose last call was short makes the next one where it is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{BaselineMetrics, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

use super::MapBatchesExec;
use super::conform::conform;
use super::function::{BatchFunction, BatchPosition, Outputs};
use super::running::Partition;

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

/// The results of a call that are still to come.
type Rest = Box<dyn Iterator<Item = sheaf_core::Result<RecordBatch>> + Send>;

/// Tells the functions in a plan that nobody waits for the calls which run on the engine's own threads.
pub(crate) fn abandon(plan: &Arc<dyn ExecutionPlan>) {
    if let Some(exec) = plan.downcast_ref::<MapBatchesExec>() {
        exec.inline.abandon();
    }
    plan.children().into_iter().for_each(abandon);
}

/// The first result of a call, made on a thread that may block, so that the engine's threads go on with other
/// partitions; `None` where there is none.
///
/// # Errors
/// The function's own, and [`ErrorKind::UserFunction`] when it panicked.
pub(crate) async fn first_output(
    function: &Arc<dyn BatchFunction>,
    batch: RecordBatch,
    at: BatchPosition,
) -> sheaf_core::Result<Option<RecordBatch>> {
    let mut waiting = Waiting::of(function, at);
    let called = Arc::clone(function);
    let first = blocking(function, at, move || match call(&*called, batch, at) {
        Outputs::Here(mut outputs) => First::Is(next_of(called.name(), &mut outputs, at)),
        Outputs::Elsewhere(outputs) => First::Comes(outputs),
    });
    let first = match first.await? {
        First::Is(first) => first.transpose(),
        First::Comes(mut outputs) => outputs.try_next().await,
    };
    waiting.over = true;
    first
}

enum First {
    Is(Option<sheaf_core::Result<RecordBatch>>),
    Comes(BoxStream<'static, sheaf_core::Result<RecordBatch>>),
}

/// All that a call makes, as one batch, made on a thread that may block.
///
/// # Errors
/// As [`first_output`]; [`ErrorKind::UserFunction`] where it makes nothing at all.
pub(crate) async fn call_blocking(
    function: &Arc<dyn BatchFunction>,
    batch: RecordBatch,
    at: BatchPosition,
) -> sheaf_core::Result<RecordBatch> {
    let mut waiting = Waiting::of(function, at);
    let called = Arc::clone(function);
    let made = blocking(function, at, move || match call(&*called, batch, at) {
        Outputs::Here(outputs) => Made::Are(all_of(called.name(), outputs, at)),
        Outputs::Elsewhere(outputs) => Made::Come(outputs),
    });
    let made = match made.await? {
        Made::Are(made) => made,
        Made::Come(outputs) => outputs.try_collect().await,
    };
    waiting.over = true;
    let made = made?;
    let Some(first) = made.first() else {
        let message = format!("{} made nothing of its batch ({at})", function.name());
        return Err(Error::new(ErrorKind::UserFunction, message).with_hint("let it yield at least one batch of a call"));
    };
    concat_batches(&first.schema(), &made).map_err(|error| {
        let message = format!("{} made batches that do not fit together ({at}): {error}", function.name());
        Error::new(ErrorKind::UserFunction, message)
    })
}

enum Made {
    Are(sheaf_core::Result<Vec<RecordBatch>>),
    Come(BoxStream<'static, sheaf_core::Result<RecordBatch>>),
}

/// All results of a call.
pub(super) fn all_of(function: &str, mut outputs: Rest, at: BatchPosition) -> sheaf_core::Result<Vec<RecordBatch>> {
    std::iter::from_fn(|| next_of(function, &mut outputs, at)).collect()
}

/// The next result; a panic is an error of the function, and none follows an error.
fn next_of(function: &str, outputs: &mut Rest, at: BatchPosition) -> Option<sheaf_core::Result<RecordBatch>> {
    let next = catch_unwind(AssertUnwindSafe(|| outputs.next()));
    let next = next.unwrap_or_else(|panic| Some(Err(panicked(function, at, panic_text(&*panic)))));
    if matches!(next, Some(Err(_))) {
        *outputs = Box::new(std::iter::empty());
    }
    next
}

/// One call here; a panic is an error of the function.
pub(super) fn call(function: &dyn BatchFunction, batch: RecordBatch, at: BatchPosition) -> Outputs {
    catch_unwind(AssertUnwindSafe(|| function.call(batch, at))).unwrap_or_else(|panic| {
        let error = panicked(function.name(), at, panic_text(&*panic));
        match function.elsewhere() {
            None => Outputs::one(Err(error)),
            Some(_) => Outputs::Elsewhere(stream::iter([Err(error)]).boxed()),
        }
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn panicked(function: &str, at: BatchPosition, said: &str) -> Error {
    Error::new(ErrorKind::UserFunction, format!("{function} panicked at {at}: {said}"))
}

/// Work of the function's on a thread that may block.
async fn blocking<T: Send + 'static>(
    function: &Arc<dyn BatchFunction>,
    at: BatchPosition,
    work: impl FnOnce() -> T + Send + 'static,
) -> sheaf_core::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| panicked(function.name(), at, &error.to_string()))
}

/// Whoever waits for a call: gone before the call is over, it tells the function.
struct Waiting {
    function: Arc<dyn BatchFunction>,
    at: BatchPosition,
    over: bool,
}

impl Waiting {
    fn of(function: &Arc<dyn BatchFunction>, at: BatchPosition) -> Self {
        Self { function: Arc::clone(function), at, over: false }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.function.abandoned(self.at);
        }
    }
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
    /// The part in a run that it has to tell of its end, where there is one.
    pub(crate) partition: Option<Partition>,
}

impl Calls {
    /// The function over each batch.
    pub(crate) fn over(self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let output = match self.function.elsewhere() {
            None => self.here(input).boxed(),
            Some(at_once) => self.elsewhere(input, at_once.max(1)).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, output))
    }

    /// One call after the other, each to its end.
    fn here(self, input: SendableRecordBatchStream) -> impl stream::Stream<Item = Result<RecordBatch>> + Send {
        let start = (input, self, None::<(Rest, BatchPosition)>);
        stream::try_unfold(start, |(mut input, mut calls, mut current)| async move {
            loop {
                let (made, rest) = match current.take() {
                    Some((rest, at)) => calls.next_output(rest, at).await,
                    None => {
                        let Some(batch) = input.try_next().await? else {
                            calls.end().await?;
                            return Ok(None);
                        };
                        calls.first_output(batch).await
                    }
                }
                .map_err(to_datafusion)?;
                current = rest;
                if let Some((output, at)) = made {
                    let output = calls.made(output, at)?;
                    return Ok::<_, DataFusionError>(Some((output, (input, calls, current))));
                }
            }
        })
    }

    /// Some calls at once; their results are in their order.
    fn elsewhere(
        self,
        input: SendableRecordBatchStream,
        at_once: usize,
    ) -> impl stream::Stream<Item = Result<RecordBatch>> + Send {
        let start = (input.fuse(), self, VecDeque::<Underway>::new(), false);
        stream::try_unfold(start, move |(mut input, mut calls, mut underway, mut ended)| async move {
            loop {
                let may_call = !ended && underway.len() < at_once;
                let front = underway.front_mut();
                if front.is_none() && !may_call {
                    calls.end().await?;
                    return Ok(None);
                }
                let output = tokio::select! {
                    biased;
                    output = next_output_of(front) => output,
                    batch = input.next(), if may_call => {
                        match batch.transpose()? {
                            Some(batch) => underway.push_back(calls.begin(batch)),
                            None => ended = true,
                        }
                        continue;
                    }
                };
                match output {
                    Some(output) => {
                        let at = underway.front().map_or(calls.next, |call| call.waiting.at);
                        let output = calls.made(output.map_err(to_datafusion)?, at)?;
                        return Ok::<_, DataFusionError>(Some((output, (input, calls, underway, ended))));
                    }
                    None => {
                        if let Some(mut call) = underway.pop_front() {
                            call.waiting.over = true;
                            calls.time.add_duration(call.since.elapsed());
                        }
                    }
                }
            }
        })
    }

    fn begin(&mut self, batch: RecordBatch) -> Underway {
        let at = self.advance(&batch);
        let (waiting, since) = (Waiting::of(&self.function, at), Instant::now());
        let outputs = match call(&*self.function, batch, at) {
            Outputs::Elsewhere(outputs) => outputs,
            Outputs::Here(outputs) => stream::iter(outputs).boxed(),
        };
        Underway { waiting, since, outputs }
    }

    /// The position of a batch; the next one comes after it.
    fn advance(&mut self, batch: &RecordBatch) -> BatchPosition {
        let at = self.next;
        self.next = BatchPosition { batch: at.batch + 1, row: at.row + batch.num_rows(), ..at };
        at
    }

    async fn first_output(&mut self, batch: RecordBatch) -> sheaf_core::Result<Step> {
        let at = self.advance(&batch);
        let function = Arc::clone(&self.function);
        self.step(at, move || {
            let mut rest = match call(&*function, batch, at) {
                Outputs::Here(outputs) => outputs,
                Outputs::Elsewhere(outputs) => Box::new(futures::executor::block_on_stream(outputs)),
            };
            (next_of(function.name(), &mut rest, at), rest)
        })
        .await
    }

    async fn next_output(&mut self, mut rest: Rest, at: BatchPosition) -> sheaf_core::Result<Step> {
        let function = Arc::clone(&self.function);
        self.step(at, move || (next_of(function.name(), &mut rest, at), rest)).await
    }

    /// Some work of the function's: here after a short one, else on a thread that may block.
    async fn step(
        &mut self,
        at: BatchPosition,
        work: impl FnOnce() -> (Option<sheaf_core::Result<RecordBatch>>, Rest) + Send + 'static,
    ) -> sheaf_core::Result<Step> {
        let start = Instant::now();
        let (output, rest) = if self.is_short {
            self.inline.running.lock().push(at);
            let done = work();
            self.inline.running.lock().retain(|running| *running != at);
            done
        } else {
            let mut waiting = Waiting::of(&self.function, at);
            let done = blocking(&self.function, at, work).await;
            waiting.over = true;
            done?
        };
        let took = start.elapsed();
        self.is_short = took < SHORT;
        self.time.add_duration(took);
        let output = output.transpose()?;
        // Most calls have one result: that nothing follows it need not be asked for.
        let rest = (output.is_some() && rest.size_hint().1 != Some(0)).then_some((rest, at));
        Ok((output.map(|output| (output, at)), rest))
    }

    fn made(&self, output: RecordBatch, at: BatchPosition) -> Result<RecordBatch> {
        let output = conform(output, &self.schema, self.function.name(), at).map_err(to_datafusion)?;
        self.baseline.record_output(output.num_rows());
        Ok(output)
    }

    async fn end(&mut self) -> Result<()> {
        self.baseline.done();
        match &self.partition {
            Some(partition) => partition.complete().await.map_err(to_datafusion),
            None => Ok(()),
        }
    }
}

/// What was made, if anything, and what is to come of the same call.
type Step = (Option<(RecordBatch, BatchPosition)>, Option<(Rest, BatchPosition)>);

/// A call that runs elsewhere.
struct Underway {
    waiting: Waiting,
    since: Instant,
    outputs: BoxStream<'static, sheaf_core::Result<RecordBatch>>,
}

async fn next_output_of(call: Option<&mut Underway>) -> Option<sheaf_core::Result<RecordBatch>> {
    match call {
        Some(call) => call.outputs.next().await,
        None => std::future::pending().await,
    }
}
