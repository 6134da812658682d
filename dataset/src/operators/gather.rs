//! `OrderedGather`: all partitions as one, the first one first. Wherever rows are counted, this decides which.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, OrderingRequirements};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::{StreamExt, try_unfold};

/// Batches that a partition may be ahead of its turn: enough to keep its thread busy, few enough to hold.
const BATCHES_AHEAD: usize = 2;

/// The operator.
#[derive(Debug)]
pub struct OrderedGatherExec {
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
    /// The order that each partition is to have: the optimizer takes away a sort that nobody asks for.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OrderedGatherExec {
    /// Gathers the partitions of `input`, and stops after `fetch` rows.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Self {
        // One partition of which nothing else is known, as after DataFusion's own gather.
        let properties = Arc::clone(CoalescePartitionsExec::new(Arc::clone(&input)).properties());
        Self { input, fetch, order: None, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Gathers all rows of `input` for an operator that counts them, in the order that each partition has as planned.
    pub(crate) fn counted(input: Arc<dyn ExecutionPlan>) -> Self {
        let order = input.output_ordering().cloned();
        Self { order, ..Self::new(input, None) }
    }

    /// The plan as one partition, for whoever reads it from its first row on.
    pub(crate) fn over(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        match plan.output_partitioning().partition_count() {
            1 => plan,
            _ => Arc::new(Self::new(plan, None)),
        }
    }
}

impl DisplayAs for OrderedGatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fetch {
            Some(fetch) => write!(f, "OrderedGatherExec: fetch={fetch}"),
            None => write!(f, "OrderedGatherExec"),
        }
    }
}

impl ExecutionPlan for OrderedGatherExec {
    fn name(&self) -> &'static str {
        "OrderedGatherExec"
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

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { order: self.order.clone(), ..Self::new(input, self.fetch) })),
            _ => plan_err!("OrderedGatherExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return plan_err!("OrderedGatherExec has one partition");
        }
        // All start at once: below may be operators whose partitions wait for each other, such as joins that share what
        // they learn of their build sides.
        let partitions = 0..self.input.output_partitioning().partition_count();
        let running = partitions.map(|partition| {
            let stream = self.input.execute(partition, Arc::clone(&context))?;
            Ok(spawn_buffered(stream, BATCHES_AHEAD))
        });
        let gather = Gather {
            running: running.collect::<Result<_>>()?,
            left: self.fetch.unwrap_or(usize::MAX),
            baseline: BaselineMetrics::new(&self.metrics, 0),
        };
        let output =
            try_unfold(gather, |mut gather| async move { Ok(gather.batch().await?.map(|batch| (batch, gather))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.fetch {
            Some(_) => CardinalityEffect::LowerEqual,
            None => CardinalityEffect::Equal,
        }
    }
}

/// A gather that runs.
struct Gather {
    /// The partitions that have not ended, in order.
    running: VecDeque<SendableRecordBatchStream>,
    /// Rows that are still wanted.
    left: usize,
    baseline: BaselineMetrics,
}

impl Gather {
    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let Some(first) = self.running.front_mut() else { break };
            let Some(batch) = first.next().await else {
                self.running.pop_front();
                continue;
            };
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(self.left));
            self.left -= batch.num_rows();
            self.baseline.record_output(batch.num_rows());
            return Ok(Some(batch));
        }
        self.running.clear();
        Ok(None)
    }
}
