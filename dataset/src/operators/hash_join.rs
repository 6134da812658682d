//! `SpillingHashJoinExec`: a hash join that goes on as a sort-merge join when its build side outgrows the memory
//! limit.
//!
//! DataFusion's hash join keeps its build side in memory. This node runs it unchanged and keeps hold of what the
//! join reads: the batches of the build side (shared with the join, so that they cost nothing) and the probe side's
//! streams. When the join is refused memory before it has read from the probe side, nothing has been put out yet,
//! and both inputs go to a plan that sorts on disk (`fallback`). From the first read of the probe side on, the
//! join is as if this node were not there. It never joins by itself.

mod fallback;
mod heavy;
mod input;
mod key;
mod sides;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{plan_err, resources_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, human_readable_size};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricValue, MetricsSet,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::stream::Stream;
use parking_lot::Mutex;

pub(crate) use fallback::{can_replace as can_fall_back, is_spread};
use input::{FeedExec, HeldInput};

use crate::operators::skew;

/// The metric that counts the partitions which went on as sort-merge joins.
pub const FELL_BACK: &str = "fell_back";

/// The part of the pool's limit that may be held beyond it, for the keys of spilled rows are counted whether there is
/// room or not.
const OVERDRAFT: usize = 32;

/// A hash join that can go on as a sort-merge join.
#[derive(Debug)]
pub struct SpillingHashJoinExec {
    join: Arc<dyn ExecutionPlan>,
    /// Those of the join, but that rows of heavy keys are in any partition.
    properties: Arc<PlanProperties>,
    shared: Arc<Shared>,
    metrics: ExecutionPlanMetricsSet,
}

/// What the partitions of one join share.
#[derive(Debug)]
struct Shared {
    /// The join over inputs that are kept hold of; it writes the metrics of the join that is shown.
    join: HashJoinExec,
    build: Arc<HeldInput>,
    probe: Arc<HeldInput>,
    /// Made when first needed.
    fallback: Mutex<Option<Arc<dyn ExecutionPlan>>>,
}

impl SpillingHashJoinExec {
    /// Wraps `join`, or says `None` when there is no plan that could take its place.
    ///
    /// # Errors
    /// Whatever is wrong with the join.
    pub fn try_new(join: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let paired = skew::paired(join)?;
        let is_dealt = paired.is_some();
        let join = paired.unwrap_or_else(|| Arc::clone(join));
        let Some(hash_join) = join.downcast_ref::<HashJoinExec>().filter(|join| can_fall_back(join)) else {
            return Ok(None);
        };
        let build = Arc::new(HeldInput::new(hash_join.left(), true));
        let probe = Arc::new(HeldInput::new(hash_join.right(), false));
        let fed = hash_join
            .builder()
            .with_new_children(vec![
                Arc::new(FeedExec::new(Arc::clone(&build), None)),
                Arc::new(FeedExec::new(Arc::clone(&probe), Some(Arc::clone(&build)))),
            ])?
            .build()?;
        let properties = match is_dealt {
            true => {
                let partitioning = Partitioning::UnknownPartitioning(join.output_partitioning().partition_count());
                Arc::new(PlanProperties::clone(join.properties()).with_partitioning(partitioning))
            }
            false => Arc::clone(join.properties()),
        };
        Ok(Some(Self {
            properties,
            join,
            shared: Arc::new(Shared { join: fed, build, probe, fallback: Mutex::new(None) }),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

impl Shared {
    /// Whether what went wrong is that the build side does not fit, and both inputs are still at hand.
    fn can_fall_back(&self, partition: usize, error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
            && !self.build.has_failed(self.build.index(partition))
            && !self.probe.was_read(partition)
    }

    fn fall_back(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let plan = {
            let mut fallback = self.fallback.lock();
            match &*fallback {
                Some(plan) => Arc::clone(plan),
                None => Arc::clone(fallback.insert(fallback::plan(&self.join, &self.build, &self.probe)?)),
            }
        };
        plan.execute(partition, context)
    }
}

impl DisplayAs for SpillingHashJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpillingHashJoinExec: over the memory limit=sort-merge join")
    }
}

impl ExecutionPlan for SpillingHashJoinExec {
    fn name(&self) -> &'static str {
        "SpillingHashJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.join]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(join), true) => Ok(match Self::try_new(&join)? {
                Some(node) => Arc::new(node),
                None => join,
            }),
            _ => plan_err!("SpillingHashJoinExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let stream = self.shared.join.execute(partition, Arc::clone(&context))?;
        Ok(Box::pin(JoinStream {
            partition,
            stream,
            fallen_back: false,
            fell_back: MetricBuilder::new(&self.metrics).counter(FELL_BACK, partition),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            shared: Arc::clone(&self.shared),
            context,
        }))
    }

    /// This node's own, and what the operators that took the join's place spilled.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        if let Some(fallback) = &*self.shared.fallback.lock() {
            add_spills(fallback, &mut metrics);
        }
        Some(metrics)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

fn add_spills(plan: &Arc<dyn ExecutionPlan>, metrics: &mut MetricsSet) {
    for metric in plan.metrics().iter().flat_map(MetricsSet::iter) {
        if let MetricValue::SpillCount(_) | MetricValue::SpilledBytes(_) | MetricValue::SpilledRows(_) = metric.value()
        {
            metrics.push(Arc::clone(metric));
        }
    }
    for child in plan.children() {
        add_spills(child, metrics);
    }
}

/// A merge takes the rows of one key back into memory without asking for it: where both sides have too many rows of a
/// key, the memory of other operators is used up, and then the process's.
fn refuse_overdraft(pool: &Arc<dyn MemoryPool>) -> Result<()> {
    match pool.memory_limit() {
        MemoryLimit::Finite(limit) if pool.reserved().saturating_sub(limit) > limit / OVERDRAFT => resources_err!(
            "both sides of a join have more rows of one key than fit in the {} that operators of this session may hold",
            human_readable_size(limit)
        ),
        _ => Ok(()),
    }
}

/// One partition: the hash join's stream, or that of the plan which took its place.
struct JoinStream {
    partition: usize,
    stream: SendableRecordBatchStream,
    fallen_back: bool,
    fell_back: Count,
    baseline: BaselineMetrics,
    shared: Arc<Shared>,
    context: Arc<TaskContext>,
}

impl JoinStream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            let item = ready!(self.stream.as_mut().poll_next(context));
            match item {
                Some(Err(error)) if !self.fallen_back && self.shared.can_fall_back(self.partition, &error) => {
                    log::info!("a hash join goes on as a sort-merge join: {}", error.find_root());
                    let stream = match self.shared.fall_back(self.partition, Arc::clone(&self.context)) {
                        Ok(stream) => stream,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    // The join's stream goes here: other partitions may wait for word from it.
                    self.stream = stream;
                    self.fallen_back = true;
                    self.fell_back.add(1);
                }
                Some(Ok(batch)) if self.fallen_back => {
                    if let Err(error) = refuse_overdraft(self.context.memory_pool()) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    return Poll::Ready(Some(self.as_joined(batch)));
                }
                item => {
                    if item.is_none() && !self.fallen_back {
                        self.release();
                    }
                    return Poll::Ready(item);
                }
            }
        }
    }

    /// The batch with the join's schema, of which a merge knows less: not that a column has no nulls.
    fn as_joined(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let (_, columns, _) = batch.into_parts();
        Ok(RecordBatch::try_new_with_options(self.shared.join.schema(), columns, &options)?)
    }

    /// The inputs go with the join, as they would without this node: their producers stop.
    fn release(&self) {
        self.shared.build.release(self.partition);
        self.shared.probe.release(self.partition);
    }
}

impl Drop for JoinStream {
    fn drop(&mut self) {
        // A whole build side is for all partitions, and each may yet ask for all of both inputs.
        if !self.fallen_back && self.shared.join.mode == PartitionMode::Partitioned {
            self.release();
        }
    }
}

impl Stream for JoinStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.poll(context);
        self.baseline.record_poll(item)
    }
}

impl RecordBatchStream for JoinStream {
    fn schema(&self) -> SchemaRef {
        self.shared.join.schema()
    }
}

#[cfg(test)]
mod tests;
