//! `KeptExec`: partitions in memory that are as the user chose them, with what is known of them. What `materialize` makes
//! of a plan whose partitions were chosen.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{internal_err, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::common::compute_record_batch_statistics;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics, StatisticsArgs,
};
use futures::TryStreamExt;

use super::extent::KeyExtent;
use super::pruned;

/// Rows in memory, in the partitions of the plan that made them.
#[derive(Debug)]
pub(crate) struct KeptTable {
    schema: SchemaRef,
    partitions: Arc<Vec<Vec<RecordBatch>>>,
    partitioning: Partitioning,
    equivalence: EquivalenceProperties,
    extent: Option<KeyExtent>,
    _reservation: MemoryReservation,
}

impl KeptTable {
    /// The batches that each partition of `plan` gave.
    pub(crate) fn new(
        plan: &Arc<dyn ExecutionPlan>,
        partitions: Vec<Vec<RecordBatch>>,
        reservation: MemoryReservation,
    ) -> Result<Self> {
        let properties = plan.properties();
        let mut extent = KeyExtent::of(plan.as_ref());
        if let Some(extent) = &mut extent {
            partitions.iter().flatten().try_for_each(|batch| extent.add(batch))?;
        }
        Ok(Self {
            schema: plan.schema(),
            partitions: Arc::new(partitions),
            partitioning: properties.partitioning.clone(),
            equivalence: properties.eq_properties.clone(),
            extent,
            _reservation: reservation,
        })
    }

    /// Rows of which no more is known than their partitions.
    pub(crate) fn with_rows(
        schema: SchemaRef,
        partitions: Vec<Vec<RecordBatch>>,
        reservation: MemoryReservation,
    ) -> Self {
        Self {
            partitioning: Partitioning::UnknownPartitioning(partitions.len()),
            equivalence: EquivalenceProperties::new(Arc::clone(&schema)),
            schema,
            partitions: Arc::new(partitions),
            extent: None,
            _reservation: reservation,
        }
    }

    /// The batches of each partition.
    pub(crate) fn partitions(&self) -> &[Vec<RecordBatch>] {
        &self.partitions
    }
}

#[async_trait]
impl TableProvider for KeptTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![pruned::support(&self.partitioning); filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let left = pruned::left(&self.schema, &self.partitioning, self.extent.as_ref(), state, filters)?;
        let exec: Arc<dyn ExecutionPlan> = Arc::new(KeptExec::new(self, left)?);
        let Some(projection) = projection else { return Ok(exec) };
        let columns = projection.iter().map(|&index| {
            let name = self.schema.field(index).name().clone();
            (Arc::new(Column::new(&name, index)) as Arc<dyn PhysicalExpr>, name)
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), exec)?))
    }
}

/// The operator. A partition that no row is wanted of stays, and is empty.
#[derive(Debug)]
pub(crate) struct KeptExec {
    // Not a child: the optimizer would spread its rows over the threads.
    source: Arc<dyn ExecutionPlan>,
    left: Vec<bool>,
    extent: Option<KeyExtent>,
    properties: Arc<PlanProperties>,
    statistics: Arc<Statistics>,
    metrics: ExecutionPlanMetricsSet,
}

impl KeptExec {
    fn new(table: &KeptTable, left: Vec<bool>) -> Result<Self> {
        let batches = table.partitions.iter().zip(&left);
        let batches: Vec<Vec<RecordBatch>> =
            batches.map(|(batches, &left)| if left { batches.clone() } else { Vec::new() }).collect();
        let statistics = compute_record_batch_statistics(&batches, &table.schema, None);
        let source = MemorySourceConfig::try_new_exec(&batches, Arc::clone(&table.schema), None)?;
        let properties = PlanProperties::new(
            table.equivalence.clone(),
            table.partitioning.clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, statistics) = (Arc::new(properties), Arc::new(statistics));
        let (extent, metrics) = (table.extent.clone(), ExecutionPlanMetricsSet::new());
        Ok(Self { source, left, extent, properties, statistics, metrics })
    }

    /// Between which values its keys lie.
    pub(crate) fn extent(&self) -> Option<&KeyExtent> {
        self.extent.as_ref()
    }
}

impl DisplayAs for KeptExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left.iter().filter(|left| **left).count();
        write!(f, "KeptExec: partitions={}, read={left}", self.left.len())
    }
}

impl ExecutionPlan for KeptExec {
    fn name(&self) -> &'static str {
        "KeptExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => plan_err!("KeptExec has no input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition >= self.left.len() {
            return internal_err!("there is no partition {partition} of {}", self.left.len());
        }
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = self.source.execute(partition, context)?;
        let rows = rows.inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(match args.partition() {
            None => Arc::clone(&self.statistics),
            Some(_) => Arc::new(Statistics::new_unknown(&self.schema())),
        })
    }
}
