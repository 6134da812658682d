//! `KeptExec`: partitions in memory that are as the user chose them, with what is known of them. What `materialize` makes
//! of a plan whose partitions were chosen.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column as ColumnName, DFSchema, ScalarValue, internal_err, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, RangePartitioning};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::common::compute_record_batch_statistics;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics, StatisticsArgs,
};
use futures::TryStreamExt;

/// Rows in memory, in the partitions of the plan that made them.
#[derive(Debug)]
pub(crate) struct KeptTable {
    schema: SchemaRef,
    partitions: Arc<Vec<Vec<RecordBatch>>>,
    partitioning: Partitioning,
    equivalence: EquivalenceProperties,
    _reservation: MemoryReservation,
}

impl KeptTable {
    /// The batches that each partition of `plan` gave.
    pub(crate) fn new(
        plan: &Arc<dyn ExecutionPlan>,
        partitions: Vec<Vec<RecordBatch>>,
        reservation: MemoryReservation,
    ) -> Self {
        let properties = plan.properties();
        Self {
            schema: plan.schema(),
            partitions: Arc::new(partitions),
            partitioning: properties.partitioning.clone(),
            equivalence: properties.eq_properties.clone(),
            _reservation: reservation,
        }
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
            _reservation: reservation,
        }
    }

    /// The batches of each partition.
    pub(crate) fn partitions(&self) -> &[Vec<RecordBatch>] {
        &self.partitions
    }

    /// Which partitions can have rows that the filters leave.
    fn left(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<bool>> {
        let all = vec![true; self.partitions.len()];
        let (Partitioning::Range(range), Some(filter)) = (&self.partitioning, conjunction(filters.iter().cloned()))
        else {
            return Ok(all);
        };
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&self.schema))?)?;
        let schema = Arc::clone(&self.schema);
        let predicate = PruningPredicateBuilder::new().with_file_schema(schema).try_build(filter)?;
        predicate.prune(&Bounds { range })
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
        let pushed = match &self.partitioning {
            Partitioning::Range(_) => TableProviderFilterPushDown::Inexact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(vec![pushed; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let left = self.left(state, filters)?;
        let exec: Arc<dyn ExecutionPlan> = Arc::new(KeptExec::new(self, left)?);
        let Some(projection) = projection else { return Ok(exec) };
        let columns = projection.iter().map(|&index| {
            let name = self.schema.field(index).name().clone();
            (Arc::new(Column::new(&name, index)) as Arc<dyn PhysicalExpr>, name)
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), exec)?))
    }
}

/// The bounds of the ranges, as statistics of the partitions.
struct Bounds<'a> {
    range: &'a RangePartitioning,
}

impl Bounds<'_> {
    /// The bound at the lower or the upper end of each partition; none where there is no end.
    fn ends(&self, column: &ColumnName, first: isize) -> Option<ArrayRef> {
        let [key] = self.range.ordering().as_ref() else { return None };
        let is_key = key.expr.downcast_ref::<Column>().is_some_and(|key| key.name() == column.name());
        let known = self.range.split_points().first()?.values().first()?;
        if !is_key || key.options.descending {
            return None;
        }
        let none = ScalarValue::try_new_null(&known.data_type()).ok()?;
        let ends = (0..self.num_containers() as isize).map(|partition| {
            let split = usize::try_from(partition + first).ok().and_then(|at| self.range.split_points().get(at));
            split.and_then(|split| split.values().first()).unwrap_or(&none).clone()
        });
        ScalarValue::iter_to_array(ends).ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.ends(column, -1)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.ends(column, 0)
    }

    fn num_containers(&self) -> usize {
        self.range.partition_count()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// The operator. A partition that no row is wanted of stays, and is empty.
#[derive(Debug)]
pub(crate) struct KeptExec {
    // Not a child: the optimizer would spread its rows over the threads.
    source: Arc<dyn ExecutionPlan>,
    left: Vec<bool>,
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
        Ok(Self { source, left, properties, statistics, metrics: ExecutionPlanMetricsSet::new() })
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
