//! One execution of a plan: its stream, and what can be told of it while it runs and after.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use futures::StreamExt;
use futures::stream::Stream;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::operators;
use crate::operators::elsewhere::{self, BYTES_SCANNED, ROWS_SCANNED};
use crate::session::Session;

/// Batches that wait between the engine's threads and the reader: enough to hide the hand-over, few enough that a
/// slow reader holds the engine back.
const WAITING_BATCHES: usize = 4;

/// One running execution: a stream of record batches that is produced on the session's threads.
///
/// Dropping it ends the execution; its spill files go with it.
pub struct Run {
    plan: Arc<dyn ExecutionPlan>,
    batches: mpsc::Receiver<Produced>,
    task: AbortHandle,
    started: Instant,
    // Keeps threads and spill folder until the execution is over.
    session: Session,
}

/// What an execution has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunProgress {
    /// The operator nearest to the result that has produced rows: where the work is; on a cluster how many tasks have
    /// ended.
    pub stage: String,
    /// Rows that left the sources.
    pub rows_read: u64,
    /// Bytes that the sources read.
    pub bytes_read: u64,
    /// Rows of the result so far.
    pub rows_out: u64,
    /// Bytes spilled to disk so far.
    pub spilled_bytes: u64,
    /// Rows so far that user functions could not map, and that were left out.
    pub rows_failed: u64,
    /// Since the start.
    pub elapsed: Duration,
}

impl Run {
    /// Starts a physical plan on the session's threads.
    pub(crate) fn start(session: &Session, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::start_with(session, plan, session.context().task_ctx())
    }

    /// As [`Run::start`], with settings of its own.
    pub(crate) fn start_with(session: &Session, plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Self {
        let (sender, batches) = mpsc::channel(WAITING_BATCHES);
        let produce = produce(Arc::clone(&plan), context, sender);
        let task = session.threads().handle().spawn(produce).abort_handle();
        let started = Instant::now();
        Watch::see_now(&plan);
        Self { plan, batches, task, started, session: session.clone() }
    }

    /// The schema of the result.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// How many partitions the result has.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.plan.properties().partitioning.partition_count()
    }

    /// The session that this runs in.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// What went wrong in the plan; nothing follows after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.next_of().await?.map(|(_, batch)| batch))
    }

    /// The next batch with its partition. Partitions take turns as they are ready; each is in order.
    ///
    /// # Errors
    /// As [`Run::next`].
    pub async fn next_of(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        self.batches.recv().await.transpose()
    }

    /// All batches that are left, in the order of their partitions.
    ///
    /// # Errors
    /// What went wrong in the plan.
    pub async fn collect(&mut self) -> Result<Vec<RecordBatch>> {
        let mut all = Vec::new();
        while let Some(next) = self.next_of().await? {
            all.push(next);
        }
        Ok(in_order(all))
    }

    /// The operators that run.
    #[must_use]
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// What has been done so far; cheap enough to ask ten times a second.
    #[must_use]
    pub fn progress(&self) -> RunProgress {
        progress(&self.plan, self.started.elapsed())
    }

    /// Tells the user functions which run now that nobody waits for them; see [`crate::BatchFunction::abandoned`].
    pub fn abandon(&self) {
        operators::abandon(&self.plan);
    }

    /// The plan with each operator's metrics so far.
    #[must_use]
    pub fn stats(&self) -> String {
        stats_of(self.plan.as_ref())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream for Run {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(context).map(|next| next.map(|produced| produced.map(|(_, batch)| batch)))
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

tokio::task_local! {
    static WATCH: Watch;
}

/// A look from outside at a future that runs plans: what the execution that it started last has done.
///
/// Actions such as `count` or a write keep their [`Run`] to themselves; this is how their progress is shown.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Option<Seen>>>);

/// An execution and when it started.
type Seen = (Arc<dyn ExecutionPlan>, Instant);

impl Watch {
    /// The same future, watched.
    pub async fn over<F: Future>(&self, future: F) -> F::Output {
        WATCH.scope(self.clone(), future).await
    }

    /// A future that goes on elsewhere, watched by whoever watches this one.
    pub(crate) fn inherited<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let watch = WATCH.try_with(Self::clone).unwrap_or_default();
        async move { watch.over(future).await }
    }

    /// Watches a plan that begins to run now.
    pub(crate) fn see_now(plan: &Arc<dyn ExecutionPlan>) {
        // Outside of a watched future there is nobody to tell.
        let _ = WATCH.try_with(|watch| watch.see(plan, Instant::now()));
    }

    /// What has been done so far; `None` before anything runs.
    #[must_use]
    pub fn progress(&self) -> Option<RunProgress> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().map(|(plan, started)| progress(plan, started.elapsed()))
    }

    /// Tells the user functions which run now that nobody waits for them; see [`crate::BatchFunction::abandoned`].
    pub fn abandon(&self) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((plan, _)) = &*seen {
            operators::abandon(plan);
        }
    }

    fn see(&self, plan: &Arc<dyn ExecutionPlan>, started: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(plan), started));
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.progress()).finish()
    }
}

/// The operators of a plan with what they did.
pub(crate) fn stats_of(plan: &dyn ExecutionPlan) -> String {
    DisplayableExecutionPlan::with_metrics(plan).indent(true).to_string()
}

/// A batch of the result with its partition, or what ended the run.
type Produced = Result<(usize, RecordBatch)>;

/// Batches in the order of their partitions; within one they are in order already.
pub(crate) fn in_order(mut batches: Vec<(usize, RecordBatch)>) -> Vec<RecordBatch> {
    batches.sort_by_key(|(partition, _)| *partition);
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Sends the batches of all partitions until their end, the first error, or the reader's going.
async fn produce(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, sender: mpsc::Sender<Produced>) {
    let streams = match execute_stream_partitioned(plan, context) {
        Ok(streams) => streams,
        Err(error) => {
            let _ = sender.send(Err(from_datafusion(error))).await;
            return;
        }
    };
    let mut pumps = JoinSet::new();
    for (partition, stream) in streams.into_iter().enumerate() {
        pumps.spawn(pump(partition, stream, sender.clone()));
    }
    while let Some(ended) = pumps.join_next().await {
        match ended {
            Ok(true) => {}
            // The set goes, and with it the partitions that are left.
            Ok(false) => return,
            // A panic in an operator is an error of this run and of nothing else.
            Err(error) => {
                let text = error.try_into_panic().map_or_else(|error| error.to_string(), panic_text);
                let _ = sender.send(Err(Error::internal(format!("an operator panicked: {text}")))).await;
                return;
            }
        }
    }
}

/// Sends the batches of one partition; whether the others may go on.
async fn pump(partition: usize, mut stream: SendableRecordBatchStream, sender: mpsc::Sender<Produced>) -> bool {
    while let Some(batch) = stream.next().await {
        let batch = batch.map(|batch| (partition, batch)).map_err(from_datafusion);
        let last = batch.is_err();
        if sender.send(batch).await.is_err() || last {
            return false;
        }
    }
    true
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "no message".into(), |text| (*text).into()),
    }
}

fn progress(plan: &Arc<dyn ExecutionPlan>, elapsed: Duration) -> RunProgress {
    let mut told = RunProgress {
        stage: String::new(),
        rows_read: 0,
        bytes_read: 0,
        rows_out: 0,
        spilled_bytes: 0,
        rows_failed: 0,
        elapsed,
    };
    told.rows_out = rows(plan.metrics().as_ref());
    visit(plan, &mut told);
    if told.stage.is_empty() {
        told.stage = plan.name().to_string();
    }
    told
}

fn visit(plan: &Arc<dyn ExecutionPlan>, told: &mut RunProgress) {
    let metrics = plan.metrics();
    let out = rows(metrics.as_ref());
    if let Some(there) = metrics.as_ref().and_then(elsewhere::progress) {
        told.stage = there;
    } else if told.stage.is_empty() && out > 0 {
        told.stage = plan.name().to_string();
    }
    if let Some(metrics) = &metrics {
        told.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
        told.rows_failed += operators::map_batches::failed_rows(metrics);
        told.bytes_read += metrics.sum_by_name(BYTES_SCANNED).map_or(0, |value| value.as_usize() as u64);
    }
    if plan.children().is_empty() {
        let elsewhere = metrics.as_ref().and_then(|metrics| metrics.sum_by_name(ROWS_SCANNED));
        told.rows_read += elsewhere.map_or(out, |value| value.as_usize() as u64);
    }
    for child in plan.children() {
        visit(child, told);
    }
}

fn rows(metrics: Option<&MetricsSet>) -> u64 {
    metrics.and_then(MetricsSet::output_rows).unwrap_or(0) as u64
}

/// The error of an execution that its caller gave up.
#[must_use]
pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the execution was stopped before its end")
}
