//! `TaskExec`: a task of a stage, as datafusion-distributed's workers are given it.
//!
//! On the wire it is the bytes of the query's logical plan and the number of a stage. A worker makes the stage's plan of
//! them once, as the durable exchange does, and runs it over the boundaries below it.

use std::fmt;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{Count, Label, Metric, MetricValue, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion_distributed::{DistributedTaskContext, NetworkBoundaryExt};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf;
use futures::stream::{AbortHandle, Abortable, BoxStream};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use prost::Message;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};
use tokio::sync::OnceCell;

use super::super::exchange::ExchangeSource;
use super::super::metrics::TaskDone;
use super::super::stages::unplanned;
use super::super::told;
use super::worker::{Running, Tasks};
use crate::operators::without_expressions;

/// The label of a task's metric that says what it did.
const DONE: &str = "done";

/// A task of a stage; which one it is, the context says that it runs in.
pub(super) struct TaskExec {
    stage: usize,
    /// Of the whole query's plan.
    shipped: Bytes,
    /// The boundaries that it reads.
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    /// What makes and runs it, on a node.
    here: Option<Arc<Here>>,
}

type Rows = BoxStream<'static, Result<RecordBatch>>;

/// A task on the node that runs it.
struct Here {
    tasks: Arc<Tasks>,
    begun: OnceCell<()>,
    held: Mutex<Held>,
}

/// What a task holds until its query is over.
#[derive(Default)]
struct Held {
    running: Option<Arc<Running>>,
    /// End its streams.
    streams: Vec<AbortHandle>,
    is_over: bool,
}

impl Here {
    /// A stream that ends with an error when the query is over; nothing begins after that.
    ///
    /// A worker takes the loss of its driver for the end of the query. Whoever still reads then, on a connection that is
    /// there, must not take what has come for all.
    fn until_over(&self, rows: Rows) -> Result<Rows> {
        let (handle, registration) = AbortHandle::new_pair();
        let mut held = self.held.lock();
        if held.is_over {
            return Err(over());
        }
        held.streams.push(handle.clone());
        let is_cut = move |()| ready(handle.is_aborted().then(|| Err(over())));
        Ok(Abortable::new(rows, registration).chain(stream::once(ready(())).filter_map(is_cut)).boxed())
    }

    /// What runs, which `begin` makes once.
    async fn running(&self, begin: impl Future<Output = Result<Running>>) -> Result<Arc<Running>> {
        let begun = async {
            let running = Arc::new(begin.await?);
            let mut held = self.held.lock();
            if !held.is_over {
                held.running = Some(running);
            }
            Ok::<_, DataFusionError>(())
        };
        self.begun.get_or_try_init(|| begun).await?;
        self.held.lock().running.clone().ok_or_else(over)
    }

    /// Lets go of all; what ran.
    fn end(&self) -> Option<Arc<Running>> {
        let mut held = self.held.lock();
        held.is_over = true;
        held.streams.drain(..).for_each(|stream| stream.abort());
        held.running.take()
    }
}

fn over() -> DataFusionError {
    let why = "a task has ended before its rows were read: its driver, or its node, is out of reach";
    told::lost_to_engine(&Error::new(ErrorKind::Io, why))
}

/// A task as it travels.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    stage: usize,
    partitions: usize,
    #[serde(borrow)]
    schema: &'a [u8],
    #[serde(borrow)]
    shipped: &'a [u8],
}

impl TaskExec {
    /// A task that runs this plan, whose inputs are these.
    pub(super) fn new(
        stage: usize,
        plan: &Arc<dyn ExecutionPlan>,
        shipped: Bytes,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Self {
        let partitions = plan.properties().output_partitioning().partition_count();
        Self { stage, shipped, inputs, properties: properties(plan.schema(), partitions), here: None }
    }

    /// The number of its stage.
    pub(super) fn stage(&self) -> usize {
        self.stage
    }

    /// The rows of a partition.
    async fn rows(
        here: Arc<Here>,
        (stage, shipped, inputs): (usize, Bytes, Vec<Arc<dyn ExecutionPlan>>),
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let begin = async {
            let reads = Arc::new(Boundaries(inputs.iter().map(fresh).collect::<Result<_>>()?));
            here.tasks.begin(stage, &shipped, reads, &context).await
        };
        here.running(Box::pin(begin)).await?.execute(partition)
    }
}

/// A boundary with connections of its own: what was asked for and is not read goes with what runs, and not with the task,
/// which is kept for longer.
fn fresh(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let boundary = input.as_network_boundary().ok_or_else(|| unplanned("a boundary is none"))?;
    Ok(boundary.with_input_stage(boundary.input_stage().clone())?)
}

fn panicked() -> DataFusionError {
    to_datafusion(Error::internal("an operator panicked"))
}

fn properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl fmt::Debug for TaskExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskExec").field("stage", &self.stage).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl DisplayAs for TaskExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskExec: stage={}", self.stage)
    }
}

impl ExecutionPlan for TaskExec {
    fn name(&self) -> &'static str {
        "TaskExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    without_expressions!();

    fn with_new_children(self: Arc<Self>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Self { stage, shipped, properties, here, .. } = self.as_ref();
        let (shipped, properties, here) = (shipped.clone(), Arc::clone(properties), here.clone());
        Ok(Arc::new(Self { stage: *stage, shipped, inputs, properties, here }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let here = self
            .here
            .clone()
            .ok_or_else(|| DataFusionError::Internal("a task of a stage runs outside of a worker".to_string()))?;
        let (stage, of) = (self.stage, DistributedTaskContext::from_ctx(&context));
        let (tasks, task) = (Arc::clone(&here.tasks), Arc::clone(&here));
        // It begins now: a worker forgets tasks of which nothing is wanted for ten minutes.
        let part = (stage, self.shipped.clone(), self.inputs.clone());
        let begun = SpawnedTask::spawn(Self::rows(here, part, partition, context));
        let rows = stream::once(async move { begun.join_unwind().await.unwrap_or_else(|_| Err(over())) }).try_flatten();
        // Whoever reads them takes a stream that is dropped for one that has ended.
        let rows = AssertUnwindSafe(rows).catch_unwind().map(|rows| rows.unwrap_or_else(|_| Err(panicked())));
        let rows = rows.map_err(move |error| tasks.told(error, stage, of.task_index, of.task_count));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), task.until_over(rows.boxed())?)))
    }

    /// What it did, once. A worker asks for it when the query is over, and keeps the task for a while after: here it stops,
    /// and what its plan holds goes.
    fn metrics(&self) -> Option<MetricsSet> {
        let running = self.here.as_ref()?.end()?;
        let done: String = running.done().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let (mut metrics, count) = (MetricsSet::new(), Count::new());
        count.add(1);
        let value = MetricValue::Count { name: "tasks".into(), count };
        metrics.push(Arc::new(Metric::new_with_labels(value, None, vec![Label::new(DONE, done)])));
        Some(metrics)
    }
}

/// What a task did, by the metrics of one of its operators.
pub(super) fn done_in(metrics: &MetricsSet) -> Option<TaskDone> {
    let label = metrics.iter().flat_map(|metric| metric.labels()).find(|label| label.name() == DONE)?.value();
    let digits = label.as_bytes().chunks(2);
    let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    TaskDone::from_bytes(&digits.map(byte).collect::<Option<Vec<u8>>>()?)
}

/// The boundaries of a task, as what its plan reads.
#[derive(Debug)]
struct Boundaries(Vec<Arc<dyn ExecutionPlan>>);

impl ExchangeSource for Boundaries {
    fn read(&self, input: usize, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let boundary = self.0.get(input).ok_or_else(|| {
            DataFusionError::Internal(format!("a task reads an input {input} that its stage has not"))
        })?;
        boundary.execute(partition, Arc::clone(context))
    }
}

/// Reads and writes tasks: a driver writes them, and a node that is given how reads them.
pub(super) struct TaskCodec(pub(super) Option<Arc<Tasks>>);

impl fmt::Debug for TaskCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskCodec").field(&self.0.is_some()).finish()
    }
}

impl PhysicalExtensionCodec for TaskCodec {
    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let tasks = self.0.clone().ok_or_else(|| unreadable("it came to a driver"))?;
        let Written { stage, partitions, schema, shipped } =
            postcard::from_bytes(buffer).map_err(|error| unreadable(&error.to_string()))?;
        let schema = protobuf::Schema::decode(schema).map_err(|error| unreadable(&error.to_string()))?;
        let schema = Arc::new(Schema::try_from(&schema)?);
        let here = Here { tasks, begun: OnceCell::new(), held: Mutex::default() };
        Ok(Arc::new(TaskExec {
            stage,
            shipped: Bytes::copy_from_slice(shipped),
            inputs: inputs.to_vec(),
            properties: properties(schema, partitions),
            here: Some(Arc::new(here)),
        }))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(task) = node.downcast_ref::<TaskExec>() else {
            return Err(unreadable(&format!("{} is none", node.name())));
        };
        let schema = protobuf::Schema::try_from(node.schema().as_ref())?.encode_to_vec();
        let partitions = task.properties.output_partitioning().partition_count();
        let written = Written { stage: task.stage, partitions, schema: &schema, shipped: &task.shipped };
        buffer.extend(postcard::to_stdvec(&written).map_err(|error| unreadable(&error.to_string()))?);
        Ok(())
    }
}

fn unreadable(why: &str) -> DataFusionError {
    DataFusionError::Internal(format!("a task of a stage cannot be read or written: {why}"))
}
