//! `Zip`: the rows of two inputs side by side, the first with the first. Both stream; what is held is a batch of each.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{Fuse, StreamExt, try_unfold};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::Error;

use super::gather::OrderedGatherExec;
use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::encoding::{Decoder, Encoder};

/// Batches that a side may be ahead of the other: enough that both work at once.
const BATCHES_AHEAD: usize = 2;

/// The rows side by side; the columns of the inputs have different names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Zip;

impl LogicalOperator<2> for Zip {
    const NAME: &'static str = "Zip";

    fn schema(&self, [left, right]: [&DFSchemaRef; 2]) -> Result<DFSchemaRef> {
        Ok(Arc::new(left.join(right)?))
    }

    fn needed(&self, columns: &[usize], [left, _]: [&DFSchemaRef; 2]) -> [Vec<usize>; 2] {
        let split = left.fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) = columns.iter().partition(|column| **column < split);
        [left, right.into_iter().map(|column| column - split).collect()]
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zip")
    }
}

impl EncodedOperator<2> for Zip {
    const KIND: &'static str = "zip";

    type Detail = ();

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<()> {
        Ok(())
    }

    fn decode((): (), _inputs: [&DFSchemaRef; 2], _from: &mut Decoder<'_>) -> sheaf_core::Result<Self> {
        Ok(Self)
    }
}

#[async_trait]
impl PlannedOperator<2> for Zip {
    async fn plan(&self, with: Planning<'_, 2>) -> Result<Arc<dyn ExecutionPlan>> {
        let [left, right] = with.inputs.map(|side| Arc::new(OrderedGatherExec::counted(side)));
        Ok(Arc::new(ZipExec::new(left, right, with.schema)))
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
