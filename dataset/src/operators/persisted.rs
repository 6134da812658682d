//! `PersistedTable`: rows that a session keeps, in memory while nobody else needs it and on disk else, with the
//! partitions, and the order in them, of the plan that they came from.

pub(crate) mod rows;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, PlanProperties};
use futures::stream;

use super::extent::KeyExtent;
use super::pruned;
use rows::Found;
pub(crate) use rows::{Rows, Writer};

/// The table: a scan of it has the rows' own partitions and tells what is known of them.
#[derive(Debug)]
pub(crate) struct PersistedTable {
    rows: Arc<Rows>,
    properties: Arc<PlanProperties>,
    extent: Option<KeyExtent>,
}

impl PersistedTable {
    /// An empty table for the rows of this plan; they come by [`Self::rows`].
    pub(crate) fn of(plan: &dyn ExecutionPlan, runtime: &RuntimeEnv) -> Self {
        let known = plan.properties();
        let properties = PlanProperties::new(
            known.equivalence_properties().clone(),
            known.partitioning.clone(),
            EmissionType::Incremental,
            known.boundedness,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let rows = Rows::new(plan.schema(), known.partitioning.partition_count(), runtime);
        Self { rows, properties: Arc::new(properties), extent: None }
    }

    /// With what is known of the keys of its rows once all have come.
    pub(crate) fn with_extent(self, extent: Option<KeyExtent>) -> Self {
        Self { extent, ..self }
    }

    /// A table of rows that are there, of which no more is known than their partitions.
    pub(crate) fn with_rows(schema: SchemaRef, partitions: &[Vec<RecordBatch>], runtime: &RuntimeEnv) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let rows = Rows::new(schema, partitions.len(), runtime);
        for (partition, batches) in partitions.iter().enumerate() {
            let mut writer = None;
            for batch in batches {
                if let Some(batch) = rows.keep(partition, batch)? {
                    rows.store(partition, &batch, &mut writer)?;
                }
            }
        }
        Ok(Self { rows, properties: Arc::new(properties), extent: None })
    }

    pub(crate) fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// All batches, partition after partition; it may wait for a disk.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..self.rows.partitions()).flat_map(|partition| self.batches_of(partition))
    }

    /// The batches of one partition; it may wait for a disk.
    pub(crate) fn batches_of(&self, partition: usize) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..).map_while(move |number| self.rows.find(partition, number)).map(|found| match found {
            Found::Batch(batch) => Ok(batch),
            Found::OnDisk(stored) => stored.read(),
        })
    }
}

#[async_trait]
impl TableProvider for PersistedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.rows.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![pruned::support(&self.properties.partitioning); filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (rows, properties) = (Arc::clone(&self.rows), Arc::clone(&self.properties));
        let extent = self.extent.clone();
        let left = pruned::left(rows.schema(), &properties.partitioning, extent.as_ref(), state, filters)?;
        let metrics = ExecutionPlanMetricsSet::new();
        let all: Arc<dyn ExecutionPlan> = Arc::new(PersistedExec { rows, left, extent, properties, metrics });
        match projection {
            None => Ok(all),
            Some(columns) => {
                let columns = ProjectionExprs::from_indices(columns, self.rows.schema());
                Ok(Arc::new(ProjectionExec::try_new(columns.iter().cloned(), all)?))
            }
        }
    }
}

/// The operator: gives the batches of each partition in order, and reads those that are on disk one at a time. A partition
/// that no row is wanted of stays, and is empty.
#[derive(Debug)]
pub(crate) struct PersistedExec {
    rows: Arc<Rows>,
    left: Vec<bool>,
    extent: Option<KeyExtent>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for PersistedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersistedExec: partitions={}", self.left.len())?;
        match self.left.iter().filter(|left| **left).count() {
            all if all == self.left.len() => Ok(()),
            left => write!(f, ", read={left}"),
        }
    }
}

impl PersistedExec {
    /// Between which values its keys lie.
    pub(crate) fn extent(&self) -> Option<&KeyExtent> {
        self.extent.as_ref()
    }

    /// Whether a row is wanted of this partition.
    fn is_left(&self, partition: usize) -> bool {
        self.left.get(partition).copied().unwrap_or(true)
    }
}

impl ExecutionPlan for PersistedExec {
    fn name(&self) -> &'static str {
        "PersistedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { plan_err!("PersistedExec has no input") }
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if !self.is_left(partition) {
            return Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())));
        }
        let rows = Arc::clone(&self.rows);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = stream::try_unfold((rows, baseline, 0), move |(rows, baseline, number)| async move {
            let batch = match rows.find(partition, number) {
                None => return Ok(None),
                Some(Found::Batch(batch)) => batch,
                Some(Found::OnDisk(stored)) => {
                    let read = SpawnedTask::spawn_blocking(move || stored.read());
                    read.await.map_err(|error| DataFusionError::External(error.into()))??
                }
            };
            baseline.record_output(batch.num_rows());
            Ok(Some((batch, (rows, baseline, number + 1))))
        });
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches)))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let asked = |at: &usize| self.is_left(*at) && args.partition().is_none_or(|partition| partition == *at);
        let sizes = (0..self.left.len()).filter(asked).map(|at| self.rows.size(Some(at)));
        let (rows, bytes) = sizes.fold((0, 0), |(rows, bytes), (more_rows, more)| (rows + more_rows, bytes + more));
        let mut known = Statistics::new_unknown(&self.schema());
        known.num_rows = Precision::Exact(rows);
        known.total_byte_size = Precision::Inexact(bytes);
        Ok(Arc::new(known))
    }
}
