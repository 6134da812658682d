//! `RecordedExec`: an exchange whose rows lie in a job's folder before anybody sees them.
//!
//! Each partition of its input is a task. A task writes its rows to a file (`recorded/segments`), and the file is
//! recorded (`recorded/records`); only when all tasks of the stage are recorded do its readers begin. So whatever was
//! read of a stage can be read again, by this process or by the next attempt at the job, whether or not the stage would
//! make the same rows once more. A task that is recorded does not run again.
//!
//! The idea is that of a materialized exchange (blocking stages: Zaharia et al., «Resilient Distributed Datasets», NSDI
//! 2012, and before it `MapReduce`), here for one process that may be killed.

mod records;
mod segments;

use std::fmt;
use std::sync::Arc;

use datafusion::common::plan_err;
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time};
use datafusion::physical_plan::repartition::{BatchPartitioner, RepartitionExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::future::{BoxFuture, FutureExt, Shared, TryFutureExt};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::Error;

pub(crate) use records::{Records, TaskOutput};
pub(crate) use segments::{SegmentWriter, read as read_segments};

/// The outputs of a stage, or why there are none.
type Outputs = std::result::Result<Arc<Vec<TaskOutput>>, Arc<DataFusionError>>;

/// Records its input, and gives what is recorded.
pub(crate) struct RecordedExec {
    stage: Stage,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    // One run for all readers; each waits for it.
    outputs: Mutex<Option<Shared<BoxFuture<'static, Outputs>>>>,
}

#[derive(Debug, Clone)]
struct Stage {
    input: Arc<dyn ExecutionPlan>,
    /// How rows are dealt out; without it each task's rows are a partition.
    partitioning: Option<Partitioning>,
    number: usize,
    /// Whether its tasks count only all together: they may share something, as the rows of a build side.
    whole: bool,
    records: Records,
}

impl RecordedExec {
    /// Records the partitions of `input` as they are.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, number: usize, whole: bool, records: &Records) -> Self {
        let properties = Arc::clone(input.properties());
        Self::of(Stage { input, partitioning: None, number, whole, records: records.clone() }, properties)
    }

    /// Records what an exchange would deal out, in its stead.
    pub(crate) fn exchange(exchange: &RepartitionExec, number: usize, whole: bool, records: &Records) -> Self {
        let input = Arc::clone(exchange.input());
        let partitioning = Some(exchange.partitioning().clone());
        let properties = Arc::clone(exchange.properties());
        Self::of(Stage { input, partitioning, number, whole, records: records.clone() }, properties)
    }

    fn of(stage: Stage, properties: Arc<PlanProperties>) -> Self {
        Self { stage, properties, metrics: ExecutionPlanMetricsSet::new(), outputs: Mutex::new(None) }
    }

    /// The one run of the stage, which ends when the last who waits for it goes.
    fn outputs(&self, context: Arc<TaskContext>) -> Shared<BoxFuture<'static, Outputs>> {
        let start = || {
            let run = self.stage.clone().run(context, self.metrics.clone());
            let outputs = SpawnedTask::spawn(run).map(|ended| match ended {
                Ok(outputs) => outputs.map(Arc::new).map_err(|error| Arc::new(to_datafusion(error))),
                Err(error) => Err(Arc::new(to_datafusion(Error::internal(format!("a stage stopped: {error}"))))),
            });
            outputs.boxed().shared()
        };
        self.outputs.lock().get_or_insert_with(start).clone()
    }
}

impl Stage {
    /// Runs the tasks that are not recorded yet.
    async fn run(
        self,
        context: Arc<TaskContext>,
        metrics: ExecutionPlanMetricsSet,
    ) -> sheaf_core::Result<Vec<TaskOutput>> {
        let tasks = self.input.output_partitioning().partition_count();
        let mut outputs = match self.whole {
            true => match self.records.whole(self.number).await? {
                Some(outputs) => return Ok(outputs),
                None => vec![None; tasks],
            },
            false => self.records.tasks(self.number, tasks).await?,
        };
        let found = outputs.iter().flatten().count();
        MetricBuilder::new(&metrics).global_counter("recorded_tasks").add(found);
        let mut running = JoinSet::new();
        for task in (0..tasks).filter(|task| outputs[*task].is_none()) {
            let (stage, context, metrics) = (self.clone(), Arc::clone(&context), metrics.clone());
            running.spawn(async move { Ok((task, stage.task(task, tasks, context, &metrics).await?)) });
        }
        while let Some(ended) = running.join_next().await {
            let ended: sheaf_core::Result<_> =
                ended.map_err(|error| Error::internal(format!("a task stopped: {error}")))?;
            let (task, output) = ended?;
            outputs[task] = Some(output);
        }
        let outputs = outputs.into_iter().flatten().collect();
        if self.whole { self.records.record_whole(self.number, outputs).await } else { Ok(outputs) }
    }

    async fn task(
        self,
        task: usize,
        tasks: usize,
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> sheaf_core::Result<TaskOutput> {
        let Records { store, folder, .. } = &self.records;
        let file = self.records.rows_file(self.number, task);
        let mut writer = SegmentWriter::new(store, folder, file, self.input.schema());
        let mut partitioner = match self.partitioning.clone() {
            Some(partitioning) => {
                let partitioner = BatchPartitioner::try_new(partitioning, Time::new(), task, tasks);
                Some(partitioner.map_err(from_datafusion)?)
            }
            None => None,
        };
        let baseline = BaselineMetrics::new(metrics, task);
        let mut batches = self.input.execute(task, context).map_err(from_datafusion)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            baseline.record_output(batch.num_rows());
            match &mut partitioner {
                None => writer.write(task, &batch).await?,
                Some(partitioner) => {
                    let parts: Result<Vec<_>> = partitioner.partition_iter(batch).and_then(Iterator::collect);
                    for (partition, part) in parts.map_err(from_datafusion)? {
                        writer.write(partition, &part).await?;
                    }
                }
            }
        }
        let output = writer.finish().await?;
        match self.whole {
            true => Ok(output),
            false => self.records.record(self.number, task, output).await,
        }
    }
}

impl fmt::Debug for RecordedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedExec").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl DisplayAs for RecordedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordedExec: stage={}", self.stage.number)?;
        if let Some(partitioning) = &self.stage.partitioning {
            write!(f, ", partitioning={partitioning}")?;
        }
        if self.stage.whole { f.write_str(", whole") } else { Ok(()) }
    }
}

impl ExecutionPlan for RecordedExec {
    fn name(&self) -> &'static str {
        "RecordedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.stage.input]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                Ok(Arc::new(Self::of(Stage { input, ..self.stage.clone() }, Arc::clone(&self.properties))))
            }
            _ => plan_err!("RecordedExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let outputs = self.outputs(context);
        let Records { store, folder, .. } = self.stage.records.clone();
        let rows = outputs
            .map_err(DataFusionError::Shared)
            .map_ok(move |outputs| segments::read(store, &folder, &outputs, partition).map_err(to_datafusion));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten_stream())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
