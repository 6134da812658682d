//! `ReplayEpochExec`: the rows of a whole cache, in the partitions and the order in which they were recorded.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use sheaf_connectors::error::to_datafusion;

use super::folder::{EpochsFolder, Kept};
use super::{properties, under};
use crate::operators::recorded::read_segments;

/// The operator.
#[derive(Debug)]
pub(crate) struct ReplayEpochExec {
    folder: Arc<EpochsFolder>,
    kept: Arc<Kept>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ReplayEpochExec {
    pub(crate) fn new(folder: Arc<EpochsFolder>, kept: Kept, schema: &SchemaRef) -> Self {
        let properties = properties(schema, kept.partitions.len());
        Self { folder, kept: Arc::new(kept), properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for ReplayEpochExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplayEpochExec: folder={}", self.folder.root())
    }
}

impl ExecutionPlan for ReplayEpochExec {
    fn name(&self) -> &'static str {
        "ReplayEpochExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { plan_err!("ReplayEpochExec has no input") }
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(output) = self.kept.partitions.get(partition) else {
            return internal_err!("there is no partition {partition} in the cache");
        };
        let (store, root) = (Arc::clone(self.folder.store()), self.folder.root());
        let batches = read_segments(store, root, std::slice::from_ref(output), partition);
        let (schema, kept) = (self.schema(), Arc::clone(&self.kept));
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = batches.map(move |batch| {
            // The files stay as long as the rows are read.
            let _kept = &kept;
            let batch = under(&schema, &batch.map_err(to_datafusion)?)?;
            baseline.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches)))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// Feeds ask partition by partition, to begin at one. Of the whole nothing is told, as when it was recorded: the
    /// optimizer would choose other sides of joins in later epochs, and so another order of rows.
    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut known = Statistics::new_unknown(&self.schema());
        if let Some(output) = args.partition().and_then(|partition| self.kept.partitions.get(partition)) {
            known.num_rows = Precision::Exact(usize::try_from(output.rows).unwrap_or(usize::MAX));
        }
        Ok(Arc::new(known))
    }
}
