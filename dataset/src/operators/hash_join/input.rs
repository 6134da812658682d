//! `HeldInput`: one input of a hash join, held so that another plan can go on with it.
//!
//! `FeedExec` gives the input to the hash join; `ReplayExec` gives it to the plan that takes the join's place, from
//! the first row, by repeating what the join has read and then reading on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::stream::Stream;
use parking_lot::Mutex;

/// One input of a hash join, partition by partition.
pub(super) struct HeldInput {
    plan: Arc<dyn ExecutionPlan>,
    partitions: Vec<Arc<Mutex<Held>>>,
}

/// One partition of an input.
#[derive(Default)]
struct Held {
    /// `None` before the first use, and after the input has been taken from the join.
    stream: Option<SendableRecordBatchStream>,
    /// What the join has read; `None` when it need not be repeated.
    read: Option<Vec<RecordBatch>>,
    was_read: bool,
    has_failed: bool,
    has_ended: bool,
    /// The input belongs to the plan that took the join's place.
    is_taken: bool,
}

impl HeldInput {
    /// Holds `plan`; with `record`, what the join reads of it can be repeated.
    pub(super) fn new(plan: &Arc<dyn ExecutionPlan>, record: bool) -> Self {
        let held = || Held { read: record.then(Vec::new), ..Held::default() };
        let partitions = 0..plan.output_partitioning().partition_count();
        Self { plan: Arc::clone(plan), partitions: partitions.map(|_| Arc::new(Mutex::new(held()))).collect() }
    }

    /// The partition of this input that the join's `partition` reads: a whole build side has one for all.
    pub(super) fn index(&self, partition: usize) -> usize {
        partition.min(self.partitions.len().saturating_sub(1))
    }

    /// Whether the join has asked for a row of this partition.
    pub(super) fn was_read(&self, partition: usize) -> bool {
        self.partitions.get(partition).is_none_or(|held| held.lock().was_read)
    }

    /// What the join has read so far and can be repeated, of all partitions.
    pub(super) fn read(&self) -> Vec<RecordBatch> {
        let read = |held: &Arc<Mutex<Held>>| held.lock().read.clone().unwrap_or_default();
        self.partitions.iter().flat_map(read).collect()
    }

    /// Whether the input itself came to an error.
    pub(super) fn has_failed(&self, partition: usize) -> bool {
        self.partitions.get(partition).is_none_or(|held| held.lock().has_failed)
    }

    /// Lets go of what is held: the join does not need it any more, and no other plan will.
    pub(super) fn release(&self, partition: usize) {
        if let Some(held) = self.partitions.get(self.index(partition)) {
            let mut held = held.lock();
            held.read = None;
            held.stream = None;
            held.has_ended = true;
        }
    }

    fn held(&self, partition: usize) -> Result<&Arc<Mutex<Held>>> {
        match self.partitions.get(partition) {
            Some(held) => Ok(held),
            None => internal_err!("the input of a join has no partition {partition}"),
        }
    }

    fn feed(&self, partition: usize, context: Arc<TaskContext>) -> Result<Arc<Mutex<Held>>> {
        let held = self.held(partition)?;
        let mut state = held.lock();
        if state.stream.is_none() && !state.is_taken {
            state.stream = Some(self.plan.execute(partition, context)?);
        }
        Ok(Arc::clone(held))
    }

    fn take(&self, partition: usize, context: &Arc<TaskContext>) -> Result<ReplayStream> {
        let mut state = self.held(partition)?.lock();
        if std::mem::replace(&mut state.is_taken, true) {
            return internal_err!("partition {partition} of a join's input was taken twice");
        }
        let rest = match state.stream.take() {
            Some(_) if state.has_ended => Box::pin(EmptyRecordBatchStream::new(self.plan.schema())),
            Some(stream) => stream,
            None => self.plan.execute(partition, Arc::clone(context))?,
        };
        // Nobody accounts for what is repeated: it is a quarter of the memory at the most (build sides count twice and
        // may take half), the sorts that it goes to count every batch twice, and they need what they can have.
        let read = state.read.take().unwrap_or_default().into();
        Ok(ReplayStream { schema: self.plan.schema(), read, rest })
    }
}

impl fmt::Debug for HeldInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldInput").field("plan", &self.plan.name()).finish_non_exhaustive()
    }
}

/// Gives a held input to the hash join.
#[derive(Debug)]
pub(super) struct FeedExec {
    input: Arc<HeldInput>,
    /// The build side, on the probe side's feed: once the join reads the probe side, nothing can be repeated.
    build: Option<Arc<HeldInput>>,
}

impl FeedExec {
    pub(super) fn new(input: Arc<HeldInput>, build: Option<Arc<HeldInput>>) -> Self {
        Self { input, build }
    }
}

impl DisplayAs for FeedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedExec")
    }
}

impl ExecutionPlan for FeedExec {
    fn name(&self) -> &'static str {
        "FeedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input.plan]
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("the inputs of a running join are not replaced")
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = self.input.feed(partition, context)?;
        let build = self.build.clone();
        Ok(Box::pin(FeedStream { schema: self.schema(), held, build, partition }))
    }
}

struct FeedStream {
    schema: SchemaRef,
    held: Arc<Mutex<Held>>,
    build: Option<Arc<HeldInput>>,
    partition: usize,
}

impl Stream for FeedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // One reader at a time: the lock is never waited for.
        let mut held = this.held.lock();
        if !held.was_read {
            held.was_read = true;
            if let Some(build) = this.build.take() {
                build.release(this.partition);
            }
        }
        if held.has_ended {
            return Poll::Ready(None);
        }
        let Some(stream) = &mut held.stream else { return Poll::Ready(None) };
        let item = ready!(stream.as_mut().poll_next(context));
        match &item {
            Some(Ok(batch)) => {
                if let Some(read) = &mut held.read {
                    read.push(batch.clone());
                }
            }
            Some(Err(_)) => held.has_failed = true,
            None => held.has_ended = true,
        }
        Poll::Ready(item)
    }
}

impl RecordBatchStream for FeedStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Gives a held input, from its first row, to the plan that takes the join's place.
#[derive(Debug)]
pub(super) struct ReplayExec {
    input: Arc<HeldInput>,
    properties: Arc<PlanProperties>,
}

impl ReplayExec {
    pub(super) fn new(input: Arc<HeldInput>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.plan.schema()),
            Partitioning::UnknownPartitioning(input.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ReplayExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayExec")
    }
}

impl ExecutionPlan for ReplayExec {
    fn name(&self) -> &'static str {
        "ReplayExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// None: the input belongs to the hash join's plan, where it is shown.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(self.input.take(partition, &context)?))
    }
}

struct ReplayStream {
    schema: SchemaRef,
    read: VecDeque<RecordBatch>,
    rest: SendableRecordBatchStream,
}

impl Stream for ReplayStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(batch) = self.read.pop_front() {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.rest.as_mut().poll_next(context)
    }
}

impl RecordBatchStream for ReplayStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
