//! `RecordEpochExec`: gives the rows of its input as they come, and records them on the way.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::{StreamExt, try_unfold};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::ResultExt;
use tokio::sync::OnceCell;

use super::folder::{Attempt, EpochsFolder};
use super::{properties, under};
use crate::operators::recorded::SegmentWriter;

/// The operator. To the optimizer it is a leaf: rules that look at what stands on it must not change what is recorded.
#[derive(Debug)]
pub(crate) struct RecordEpochExec {
    folder: Arc<EpochsFolder>,
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    /// Whether it shows its input.
    open: bool,
    /// One for all partitions of a run.
    attempt: Arc<OnceCell<Attempt>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RecordEpochExec {
    pub(crate) fn new(folder: Arc<EpochsFolder>, input: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Self {
        let properties = properties(&schema, input.output_partitioning().partition_count());
        let (attempt, metrics) = (Arc::default(), ExecutionPlanMetricsSet::new());
        Self { folder, input, schema, open: false, attempt, properties, metrics }
    }

    /// The same operator for those who run it and tell of it: with its input. None where that is shown already.
    pub(crate) fn opened(&self) -> Option<Self> {
        (!self.open).then(|| self.over(Arc::clone(&self.input), true))
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>, open: bool) -> Self {
        Self { open, ..Self::new(Arc::clone(&self.folder), input, Arc::clone(&self.schema)) }
    }
}

impl DisplayAs for RecordEpochExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordEpochExec: folder={}", self.folder.root())
    }
}

impl ExecutionPlan for RecordEpochExec {
    fn name(&self) -> &'static str {
        "RecordEpochExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.open.then_some(&self.input).into_iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; usize::from(self.open)]
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty(), self.open) {
            (None, ..) if !self.open => Ok(self),
            (Some(input), true, true) => Ok(Arc::new(self.over(input, true))),
            _ => plan_err!("RecordEpochExec has one input"),
        }
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.over(reset_plan_states(Arc::clone(&self.input))?, self.open)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let recording = Recording {
            input: self.input.execute(partition, context)?,
            folder: Arc::clone(&self.folder),
            attempt: Arc::clone(&self.attempt),
            partition,
            partitions: self.input.output_partitioning().partition_count(),
            schema: self.schema(),
            writer: None,
            baseline: BaselineMetrics::new(&self.metrics, partition),
        };
        let batches = try_unfold(recording, |mut recording| async move {
            Ok(recording.next().await?.map(|batch| (batch, recording)))
        });
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches)))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A partition that is recorded.
struct Recording {
    input: SendableRecordBatchStream,
    folder: Arc<EpochsFolder>,
    attempt: Arc<OnceCell<Attempt>>,
    partition: usize,
    partitions: usize,
    schema: SchemaRef,
    writer: Option<SegmentWriter>,
    baseline: BaselineMetrics,
}

impl Recording {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.input.next().await.transpose()?;
        let batch = batch.map(|batch| under(&self.schema, &batch)).transpose()?;
        let recorded = self.record(batch.as_ref()).await;
        recorded.with_context(|| format!("caching an epoch in /{}", self.folder.root())).map_err(to_datafusion)?;
        if let Some(batch) = &batch {
            self.baseline.record_output(batch.num_rows());
        }
        Ok(batch)
    }

    /// Records a batch, or the end.
    async fn record(&mut self, batch: Option<&RecordBatch>) -> sheaf_core::Result<()> {
        let attempt = self.attempt.get_or_try_init(|| self.folder.begin(self.partitions)).await?;
        let new = || attempt.writer(self.partition, Arc::clone(&self.schema));
        let mut writer = self.writer.take().unwrap_or_else(new);
        match batch {
            Some(batch) => writer.write(self.partition, batch).await.map(|()| self.writer = Some(writer)),
            None => attempt.done(self.partition, writer.finish().await?).await,
        }
    }
}
