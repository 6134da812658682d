//! `BlockOrderExec`: the partitions in another order, and in each the batches that are near each other. Rows stay where
//! they are in their batch, so that it costs next to nothing.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics,
    StatisticsArgs,
};
use futures::stream::{StreamExt, TryStreamExt, try_unfold};

use crate::operators::sample::SplitMix;

/// Batches that wait to be drawn from: enough to part neighbours, few enough to be no burden.
const WAITING_BATCHES: usize = 16;

/// The operator.
#[derive(Debug)]
pub struct BlockOrderExec {
    input: Arc<dyn ExecutionPlan>,
    seed: u64,
    /// The partition of the input that each of the output is.
    places: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl BlockOrderExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, seed: u64) -> Self {
        let places = permutation(input.output_partitioning().partition_count(), seed);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(places.len()),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, seed, places, properties, metrics }
    }
}

/// The numbers below `count` in a random order.
fn permutation(count: usize, seed: u64) -> Vec<usize> {
    let mut dice = SplitMix::new(seed, u64::MAX);
    let mut places: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        places.swap(at, dice.place(at + 1));
    }
    places
}

impl DisplayAs for BlockOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockOrderExec: seed={}", self.seed)
    }
}

impl ExecutionPlan for BlockOrderExec {
    fn name(&self) -> &'static str {
        "BlockOrderExec"
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

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.seed))),
            _ => plan_err!("BlockOrderExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(&place) = self.places.get(partition) else {
            return internal_err!("there is no partition {partition} of {}", self.places.len());
        };
        let input = self.input.execute(place, Arc::clone(&context))?;
        let reservation = MemoryConsumer::new("BlockOrderExec").register(context.memory_pool());
        let draw = Draw {
            input,
            waiting: Vec::new(),
            reservation,
            dice: SplitMix::new(self.seed, place as u64),
            has_ended: false,
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let drawn = try_unfold(draw, Draw::next).inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), drawn)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(super::exec::statistics(inputs, args, &self.schema()))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// The batches of one partition, of which one of those that wait is the next.
struct Draw {
    input: SendableRecordBatchStream,
    waiting: Vec<RecordBatch>,
    reservation: MemoryReservation,
    dice: SplitMix,
    has_ended: bool,
}

impl Draw {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while !self.has_ended && self.waiting.len() < WAITING_BATCHES {
            match self.input.next().await.transpose()? {
                Some(batch) => {
                    let has_room = self.reservation.try_grow(batch.get_array_memory_size()).is_ok();
                    self.waiting.push(batch);
                    // Without room for more, the one that came is drawn at once.
                    if !has_room {
                        return Ok(self.waiting.pop().map(|batch| (batch, self)));
                    }
                }
                None => self.has_ended = true,
            }
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let at = self.dice.place(self.waiting.len());
        let batch = self.waiting.swap_remove(at);
        self.reservation.shrink(batch.get_array_memory_size());
        Ok(Some((batch, self)))
    }
}

#[cfg(test)]
mod tests {
    use super::permutation;

    #[test]
    fn a_permutation_has_every_place_once_and_depends_on_the_seed() {
        let mut sorted = permutation(50, 7);
        assert_eq!(sorted, permutation(50, 7));
        assert_ne!(sorted, permutation(50, 8));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
