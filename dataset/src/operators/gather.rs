//! `OrderedGather`: all partitions as one, the first one first. Wherever rows are counted, this decides which.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

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
        let gather = Gather {
            input: Arc::clone(&self.input),
            next: 0,
            // A limit is most often met by the first partition: the others start as it turns out that it is not.
            window: if self.fetch.is_some() { 1 } else { usize::MAX },
            running: VecDeque::new(),
            left: self.fetch.unwrap_or(usize::MAX),
            baseline: BaselineMetrics::new(&self.metrics, 0),
            context,
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
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    /// The first partition that has not started.
    next: usize,
    /// How many partitions may run at once.
    window: usize,
    running: VecDeque<SendableRecordBatchStream>,
    /// Rows that are still wanted.
    left: usize,
    baseline: BaselineMetrics,
}

impl Gather {
    async fn batch(&mut self) -> Result<Option<arrow::record_batch::RecordBatch>> {
        while self.left > 0 {
            self.start()?;
            let Some(first) = self.running.front_mut() else { break };
            let Some(batch) = first.next().await else {
                self.running.pop_front();
                self.window = self.window.saturating_mul(2);
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

    fn start(&mut self) -> Result<()> {
        let partitions = self.input.output_partitioning().partition_count();
        let window = self.window.min(self.context.session_config().target_partitions().max(1));
        while self.running.len() < window && self.next < partitions {
            let stream = self.input.execute(self.next, Arc::clone(&self.context))?;
            self.running.push_back(spawn_buffered(stream, BATCHES_AHEAD));
            self.next += 1;
        }
        Ok(())
    }
}
