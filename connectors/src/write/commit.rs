//! The node that commits: gathers the files that were written, publishes them in one step, and yields one row that
//! says what was written. When anything fails before that, or the query is dropped, the files are removed.

use std::fmt;
use std::sync::Arc;

use arrow::array::{StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sheaf_core::{Error, ErrorKind, Result};

use crate::error::{from_datafusion, to_datafusion};
use crate::manifest::ManifestFile;
use crate::write::files::{WriteFilesExec, from_batch, write_empty};
use crate::write::job::{Begun, Job, Undo};
use crate::write::options::WriteMode;
use crate::write::publish::{Published, publish};

/// Files that are looked for at once.
const LOOKS_AT_ONCE: usize = 32;

/// Publishes the files that its input has written, in one step.
#[derive(Debug)]
pub struct CommitExec {
    input: Arc<dyn ExecutionPlan>,
    job: Arc<Job>,
    /// Whether the files are written in other processes, for a write with the same `shared_id`.
    is_elsewhere: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CommitExec {
    /// Commits what the [`WriteFilesExec`] in `input` writes.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let files = WriteFilesExec::find(&input).ok_or_else(|| Error::internal("a commit without a write"))?;
        let job = Arc::clone(files.job());
        Ok(Self::over(input, job, false))
    }

    /// Commits what others write, of whose files `input` has a row each.
    pub(crate) fn elsewhere(input: Arc<dyn ExecutionPlan>, job: Arc<Job>) -> Self {
        Self::over(input, job, true)
    }

    fn over(input: Arc<dyn ExecutionPlan>, job: Arc<Job>, is_elsewhere: bool) -> Self {
        let input: Arc<dyn ExecutionPlan> = match input.output_partitioning().partition_count() {
            1 => input,
            _ => Arc::new(CoalescePartitionsExec::new(input)),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(summary_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, job, is_elsewhere, properties, metrics }
    }
}

impl DisplayAs for CommitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.job.target.single_file { "file" } else { "folder" };
        write!(f, "CommitExec: {kind}={}, mode={}", self.job.target.text, self.job.options.mode.name())
    }
}

impl ExecutionPlan for CommitExec {
    fn name(&self) -> &'static str {
        "CommitExec"
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
        // What is below writes rows in the order they come in.
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) if self.is_elsewhere => {
                Ok(Arc::new(Self::elsewhere(input, Arc::new(self.job.fresh()))))
            }
            (Some(input), true) => Ok(Arc::new(Self::new(input).map_err(to_datafusion)?)),
            _ => Err(DataFusionError::Internal("CommitExec has one input".into())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("CommitExec has no partition {partition}")));
        }
        self.job.run().map_err(to_datafusion)?;
        let (input, job, metrics) = (Arc::clone(&self.input), Arc::clone(&self.job), self.metrics.clone());
        let commit = async move {
            let undo = Undo::new(Arc::clone(&job));
            let result = match job.begin().await {
                Ok(Begun::Go) => gather_and_publish(&job, input, context, &metrics, undo).await,
                begun => {
                    undo.disarm();
                    begun.map(|_| Vec::new())
                }
            };
            summary(&job, &result.map_err(to_datafusion)?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(summary_schema(), futures::stream::once(commit).boxed())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

async fn gather_and_publish(
    job: &Arc<Job>,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    metrics: &ExecutionPlanMetricsSet,
    undo: Undo,
) -> Result<Vec<ManifestFile>> {
    let gathered = gather(job, input, context).await;
    // From here on it is the task that publishes which removes what was made: what it makes the data must stay.
    undo.disarm();
    let files = match gathered {
        Ok(files) => files,
        Err(error) => {
            job.roll_back().await;
            let job = Arc::clone(job);
            tokio::spawn(async move { job.remove_late().await });
            return Err(error);
        }
    };
    if files.is_empty() {
        return Ok(files);
    }
    let time = MetricBuilder::new(metrics).subset_time("commit_time", 0);
    let timer = time.timer();
    // A task of its own: a query that is dropped at this moment must not leave half a commit behind.
    let publishing = {
        let (job, files) = (Arc::clone(job), files.clone());
        tokio::spawn(async move { publish(&job, files).await })
    };
    let published = publishing
        .await
        .map_err(|error| Error::internal(format!("the commit stopped: {error}")).with_source(error))??;
    timer.done();
    Ok(match published {
        Published::Yes => files,
        Published::Skipped => Vec::new(),
    })
}

/// Runs the writers and collects the files that they finished, in the order of their names.
async fn gather(job: &Arc<Job>, input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Vec<ManifestFile>> {
    let mut files = Vec::new();
    let mut batches = input.execute(0, Arc::clone(&context)).map_err(from_datafusion)?;
    while let Some(batch) = batches.next().await {
        from_batch(&batch.map_err(from_datafusion)?, &mut files)?;
    }
    if job.options.shared_id.is_some() {
        check_that_they_are_here(job, &files).await?;
    }
    // Appending nothing adds nothing; anything else has a schema to show.
    if files.is_empty() && !job.target.single_file && job.options.mode != WriteMode::Append {
        files = write_empty(job, &context).await?;
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Files that other machines have written are here only where the folder is the same one there.
async fn check_that_they_are_here(job: &Job, files: &[ManifestFile]) -> Result<()> {
    let paths: Vec<Path> = files.iter().map(|file| job.absolute(&file.path)).collect::<Result<_>>()?;
    let looks = paths.into_iter().map(|path| {
        let (store, text) = (Arc::clone(&job.target.store), job.target.text.clone());
        async move {
            let Err(object_store::Error::NotFound { .. }) = store.head(&path).await else { return Ok(()) };
            let why = format!("{text} has {path} on the node that wrote it, and not here");
            Err(Error::new(ErrorKind::NotFound, why)
                .with_hint("the path has to lead to the same folder on all nodes; object stores do"))
        }
    });
    futures::stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(LOOKS_AT_ONCE).try_collect().await
}

/// The columns of the one row that a write yields: `files`, `rows`, `bytes` and `path`.
pub(crate) fn summary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("files", DataType::UInt64, false),
        Field::new("rows", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("path", DataType::Utf8, false),
    ]))
}

fn summary(job: &Job, files: &[ManifestFile]) -> EngineResult<RecordBatch> {
    let one = |number: u64| Arc::new(UInt64Array::from(vec![number]));
    let rows = files.iter().filter_map(|file| file.rows).sum();
    let bytes = files.iter().map(|file| file.size).sum();
    let path = Arc::new(StringArray::from(vec![job.target.text.as_str()]));
    Ok(RecordBatch::try_new(summary_schema(), vec![one(files.len() as u64), one(rows), one(bytes), path])?)
}
