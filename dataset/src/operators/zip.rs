//! `Zip`: the rows of two inputs side by side, the first with the first. Both stream; what is held is a batch of each.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream::{Fuse, StreamExt, try_unfold};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::Error;

use super::gather::OrderedGatherExec;
use crate::encoding::{Decoder, Encoded, Encoder, damaged};

/// Batches that a side may be ahead of the other: enough that both work at once.
const BATCHES_AHEAD: usize = 2;

/// The logical node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Zip {
    left: LogicalPlan,
    right: LogicalPlan,
    schema: DFSchemaRef,
}

impl Zip {
    /// Inputs whose columns have different names.
    pub(crate) fn new(left: LogicalPlan, right: LogicalPlan) -> Result<Self> {
        let schema: DFSchema = left.schema().join(right.schema())?;
        Ok(Self { left, right, schema: Arc::new(schema) })
    }
}

impl PartialOrd for Zip {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Zip {
    fn name(&self) -> &'static str {
        "Zip"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        // A row that is left out on one side would leave its partner to another.
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zip")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.pop(), inputs.is_empty()) {
            (Some(right), Some(left), true) => Self::new(left, right),
            _ => plan_err!("Zip has two inputs"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let columns = self.left.schema().fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) = output_columns.iter().partition(|column| **column < columns);
        Some(vec![left, right.into_iter().map(|column| column - columns).collect()])
    }
}

impl Encoded for Zip {
    const KIND: &'static str = "zip";

    type Detail = ();

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<()> {
        Ok(())
    }

    fn decode(
        (): (),
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let [left, right] = <[LogicalPlan; 2]>::try_from(inputs).map_err(|_| damaged("Zip has two inputs"))?;
        Self::new(left, right).map_err(from_datafusion)
    }
}

/// Plans [`Zip`] nodes.
pub(crate) struct Planner;

#[async_trait]
impl ExtensionPlanner for Planner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session_state: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [left, right]) = (node.as_any().downcast_ref::<Zip>(), physical_inputs) else {
            return Ok(None);
        };
        let gathered = |side: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
            Arc::new(OrderedGatherExec::counted(Arc::clone(side)))
        };
        Ok(Some(Arc::new(ZipExec::new(gathered(left), gathered(right), Arc::clone(node.schema.inner())))))
    }
}

/// The operator. Each side is gathered below it.
#[derive(Debug)]
pub struct ZipExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ZipExec {
    fn new(left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            left.properties().boundedness,
        );
        Self { left, right, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for ZipExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZipExec")
    }
}

impl ExecutionPlan for ZipExec {
    fn name(&self) -> &'static str {
        "ZipExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop(), children.is_empty()) {
            (Some(right), Some(left), true) => Ok(Arc::new(Self::new(left, right, self.schema()))),
            _ => plan_err!("ZipExec has two inputs"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let side = |plan: &Arc<dyn ExecutionPlan>| -> Result<Side> {
            let rows = plan.execute(partition, Arc::clone(&context))?;
            Ok(Side { rows: spawn_buffered(rows, BATCHES_AHEAD).fuse(), batch: None, seen: 0 })
        };
        let zipped = Zipped {
            left: side(&self.left)?,
            right: side(&self.right)?,
            schema: self.schema(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = try_unfold(zipped, |mut zipped| async move { Ok(zipped.next().await?.map(|rows| (rows, zipped))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A side that is read.
struct Side {
    rows: Fuse<SendableRecordBatchStream>,
    /// Rows that have no partner yet.
    batch: Option<RecordBatch>,
    seen: u64,
}

impl Side {
    /// How many rows are there before the next batch is needed; none at the end.
    async fn ready(&mut self) -> Result<usize> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            let Some(batch) = self.rows.next().await else {
                self.batch = None;
                return Ok(0);
            };
            let batch = batch?;
            self.seen += batch.num_rows() as u64;
            self.batch = Some(batch);
        }
        Ok(self.batch.as_ref().map_or(0, RecordBatch::num_rows))
    }

    /// The next rows, which are there.
    fn take(&mut self, rows: usize) -> Option<RecordBatch> {
        let batch = self.batch.take()?;
        self.batch = Some(batch.slice(rows, batch.num_rows() - rows));
        Some(batch.slice(0, rows))
    }

    /// All rows that there are in all.
    async fn count(&mut self) -> Result<u64> {
        while let Some(batch) = self.rows.next().await {
            self.seen += batch?.num_rows() as u64;
        }
        Ok(self.seen)
    }
}

/// A zip that runs.
struct Zipped {
    left: Side,
    right: Side,
    schema: SchemaRef,
    baseline: BaselineMetrics,
}

impl Zipped {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.left.ready().await?.min(self.right.ready().await?);
        if rows == 0 {
            return self.end().await.map(|()| None);
        }
        let (Some(left), Some(right)) = (self.left.take(rows), self.right.take(rows)) else { return Ok(None) };
        let columns = left.columns().iter().chain(right.columns()).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        self.baseline.record_output(rows);
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }

    /// One side is at its end: the other is to be so too.
    async fn end(&mut self) -> Result<()> {
        let (left, right) = (self.left.count().await?, self.right.count().await?);
        if left == right {
            return Ok(());
        }
        let error = Error::invalid(format!("zip of {left} rows with {right}"))
            .with_hint("both sides need as many rows: limit the longer one, or join on with_row_index()");
        Err(to_datafusion(error))
    }
}
