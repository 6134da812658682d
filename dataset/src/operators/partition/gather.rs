//! `GatherExec`: fewer partitions, of neighbours one after another. No row moves between threads, and their order
//! stays.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, RangePartitioning,
};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics,
    StatisticsArgs,
};
use futures::stream::{self, StreamExt, TryStreamExt};

/// The operator.
#[derive(Debug)]
pub struct GatherExec {
    input: Arc<dyn ExecutionPlan>,
    partitions: usize,
    /// The order that each partition of the input had when this was planned: it stays.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GatherExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, partitions: usize) -> Self {
        let order = input.output_ordering().cloned();
        Self::ordered(input, partitions, order)
    }

    fn ordered(input: Arc<dyn ExecutionPlan>, partitions: usize, order: Option<LexOrdering>) -> Self {
        let partitions = partitions.clamp(1, input.output_partitioning().partition_count().max(1));
        let (partitioning, equivalence) = gathered(&input, partitions);
        let properties = PlanProperties::new(
            equivalence,
            partitioning,
            input.properties().emission_type,
            input.properties().boundedness,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, partitions, order, properties, metrics }
    }

    fn neighbours(&self, partition: usize) -> Range<usize> {
        neighbours(partition, self.partitions, self.input.output_partitioning().partition_count())
    }
}

/// The partitions of the input that become one.
fn neighbours(partition: usize, partitions: usize, of: usize) -> Range<usize> {
    let bound = |partition: usize| of * partition / partitions;
    bound(partition)..bound(partition + 1)
}

/// What is known of the gathered partitions: all that was known if each is one of the input's; else, that ranges which
/// follow one another are a range, and that what is sorted by its key stays so.
fn gathered(input: &Arc<dyn ExecutionPlan>, partitions: usize) -> (Partitioning, EquivalenceProperties) {
    let of = input.output_partitioning().partition_count();
    let mut equivalence = input.equivalence_properties().clone();
    if partitions == of {
        return (input.output_partitioning().clone(), equivalence);
    }
    equivalence.clear_orderings();
    equivalence.clear_per_partition_constants();
    let Partitioning::Range(range) = input.output_partitioning() else {
        return (Partitioning::UnknownPartitioning(partitions), equivalence);
    };
    if input.equivalence_properties().ordering_satisfy(range.ordering().clone()).unwrap_or(false) {
        equivalence.add_ordering(range.ordering().clone());
    }
    let splits = (1..partitions).filter_map(|at| range.split_points().get(neighbours(at, partitions, of).start - 1));
    (Partitioning::Range(RangePartitioning::new(range.ordering().clone(), splits.cloned().collect())), equivalence)
}

impl DisplayAs for GatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.input.output_partitioning().partition_count();
        write!(f, "GatherExec: partitions={}, input_partitions={of}", self.partitions)
    }
}

impl ExecutionPlan for GatherExec {
    fn name(&self) -> &'static str {
        "GatherExec"
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

    /// The optimizer takes away a sort whose order nobody needs; the rows are to keep it all the same.
    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.partitions == self.input.output_partitioning().partition_count()]
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::ordered(input, self.partitions, self.order.clone()))),
            _ => plan_err!("GatherExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = Arc::clone(&self.input);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::iter(self.neighbours(partition))
            .map(move |neighbour| input.execute(neighbour, Arc::clone(&context)))
            .try_flatten()
            .inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
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

#[cfg(test)]
mod tests {
    use super::neighbours;

    #[test]
    fn every_partition_has_one_place() {
        for of in 1..20 {
            for partitions in 1..=of {
                let all: Vec<usize> = (0..partitions).flat_map(|at| neighbours(at, partitions, of)).collect();
                assert_eq!(all, (0..of).collect::<Vec<_>>());
                let sizes = (0..partitions).map(|at| neighbours(at, partitions, of).len());
                assert!(sizes.clone().min() > Some(0) && sizes.max() <= Some(of.div_ceil(partitions)));
            }
        }
    }
}
