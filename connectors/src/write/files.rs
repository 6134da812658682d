//! The node that writes: each input partition encodes its rows into files of its own and uploads them as it goes. It
//! yields one row for each finished file; [`super::commit::CommitExec`] above it makes them the data.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements,
    Partitioning, PhysicalExpr, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use sheaf_core::{Error, Result};

use crate::error::{from_datafusion, to_datafusion};
use crate::manifest::ManifestFile;
use crate::write::job::{Begun, Job};
use crate::write::open_files::{OpenFiles, WriteMetrics};
use crate::write::partition::{Partitioner, empty_folder};

/// Writes its input into files, one or more for each partition.
#[derive(Debug)]
pub struct WriteFilesExec {
    input: Arc<dyn ExecutionPlan>,
    job: Arc<Job>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// The order that the rows had when the write was planned: the files keep it.
    order: Option<LexOrdering>,
}

impl WriteFilesExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, job: Arc<Job>) -> Self {
        let order = input.output_ordering().cloned();
        Self::ordered(input, job, order)
    }

    fn ordered(input: Arc<dyn ExecutionPlan>, job: Arc<Job>, order: Option<LexOrdering>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, job, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new(), order }
    }

    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The write that a plan does, found below the nodes that only gather its partitions.
    pub(crate) fn find(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        match (plan.as_ref() as &dyn Any).downcast_ref::<Self>() {
            Some(found) => Some(found),
            None => match plan.children()[..] {
                [child] => Self::find(child),
                _ => None,
            },
        }
    }
}

impl DisplayAs for WriteFilesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFilesExec: format={}", self.job.options.format)?;
        match self.job.options.partition_by.as_slice() {
            [] => Ok(()),
            columns => write!(f, ", partition_by=[{}]", columns.join(", ")),
        }
    }
}

impl ExecutionPlan for WriteFilesExec {
    fn name(&self) -> &'static str {
        "WriteFilesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Rows are written in the order they come in.
        vec![true]
    }

    /// One file has one writer, and the optimizer may neither spread its rows nor drop their sort.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![match self.job.target.single_file {
            true => Distribution::SinglePartition,
            false => Distribution::UnspecifiedDistribution,
        }])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// A new node is a new write: file names are used once.
    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::ordered(input, Arc::new(self.job.fresh()), self.order.clone()))),
            _ => Err(DataFusionError::Internal("WriteFilesExec has one input".into())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let input = Arc::clone(&self.input);
        let job = Arc::clone(&self.job);
        let metrics = WriteMetrics::new(&self.metrics, partition);
        let write = async move {
            let open = OpenFiles::new(Arc::clone(&job), context.memory_pool(), metrics, partition);
            let files = match job.begin().await.map_err(to_datafusion)? {
                Begun::Skip => Vec::new(),
                // The input starts only now: nothing is read for a write that is refused.
                Begun::Go => write(&job, input.execute(partition, context)?, open).await.map_err(to_datafusion)?,
            };
            to_batch(&files)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::once(write).boxed())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

async fn write(job: &Job, mut input: SendableRecordBatchStream, mut open: OpenFiles) -> Result<Vec<ManifestFile>> {
    let by = &job.options.partition_by;
    let mut partitioner = match by.is_empty() {
        true => None,
        false => Some(Partitioner::new(&job.schema, by)?),
    };
    if job.target.single_file {
        open.begin("").await?;
    }
    while let Some(batch) = input.next().await {
        let batch = batch.map_err(from_datafusion)?;
        if batch.num_rows() == 0 {
            continue;
        }
        match &mut partitioner {
            None => open.write("", &batch).await?,
            Some(partitioner) => {
                for (folder, part) in partitioner.split(&batch)? {
                    open.write(&folder, &part).await?;
                }
            }
        }
        open.account().await?;
    }
    open.finish().await
}

/// Writes the one file of a dataset without rows, which keeps its schema.
pub(crate) async fn write_empty(job: &Arc<Job>, context: &TaskContext) -> Result<Vec<ManifestFile>> {
    let metrics = WriteMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let mut open = OpenFiles::new(Arc::clone(job), context.memory_pool(), metrics, 0);
    open.begin(&empty_folder(&job.options.partition_by)).await?;
    open.finish().await
}

/// The columns of what [`WriteFilesExec`] yields.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
    ]))
}

fn to_batch(files: &[ManifestFile]) -> EngineResult<RecordBatch> {
    let paths: StringArray = files.iter().map(|file| Some(file.path.as_str())).collect();
    let rows: UInt64Array = files.iter().map(|file| file.rows).collect();
    let bytes: UInt64Array = files.iter().map(|file| Some(file.size)).collect();
    Ok(RecordBatch::try_new(schema(), vec![Arc::new(paths), Arc::new(rows), Arc::new(bytes)])?)
}

/// What [`WriteFilesExec`] yields, as files again.
pub(crate) fn from_batch(batch: &RecordBatch, into: &mut Vec<ManifestFile>) -> Result<()> {
    let columns = batch.columns();
    let paths = columns.first().and_then(|column| column.as_any().downcast_ref::<StringArray>());
    let rows = columns.get(1).and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
    let sizes = columns.get(2).and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
    let (Some(paths), Some(rows), Some(sizes)) = (paths, rows, sizes) else {
        return Err(Error::internal("a write's list of files has other columns than it should"));
    };
    for at in 0..paths.len() {
        let path = paths.value(at).to_string();
        into.push(ManifestFile { path, size: sizes.value(at), rows: Some(rows.value(at)) });
    }
    Ok(())
}
