//! `PartitionExec`: an exchange that stays in the plan.
//!
//! The rows move through DataFusion's own `RepartitionExec`, which spills what its readers are not ready for, and where
//! asked through its sort. They are inside of this node, where no rule finds them.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{ScalarValue, SplitPoint, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr, PhysicalSortExpr, RangePartitioning,
};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics,
    StatisticsArgs,
};

use super::ascending;
use super::gather::GatherExec;
use super::steps::{Step, StepExec};
use crate::operators::compact::CompactExec;
use crate::operators::map_batches::with_batch_size;

/// How the rows find their partitions.
#[derive(Debug, Clone)]
pub(crate) enum How {
    Dealt(usize),
    Hashed(Vec<Arc<dyn PhysicalExpr>>, usize),
    Ranges { range: RangePartitioning, in_order: bool },
    Cut { rows: u64, partitions: usize },
    Shuffled { seed: u64, partitions: usize },
}

impl How {
    /// Whether the same rows in another order would come into other partitions.
    fn counts_rows(&self) -> bool {
        match self {
            Self::Cut { .. } | Self::Shuffled { .. } | Self::Ranges { in_order: true, .. } => true,
            Self::Dealt(_) | Self::Hashed(_, _) | Self::Ranges { .. } => false,
        }
    }
}

/// The operator.
#[derive(Debug)]
pub struct PartitionExec {
    input: Arc<dyn ExecutionPlan>,
    how: How,
    sort: Option<LexOrdering>,
    /// The order of the input when this was planned, where the order of rows counts.
    order: Option<LexOrdering>,
    /// What does the work, over `input`.
    inner: Arc<dyn ExecutionPlan>,
}

impl PartitionExec {
    /// `input` in these partitions, each sorted by `sort`.
    pub(crate) fn try_new(input: Arc<dyn ExecutionPlan>, how: How, sort: Option<LexOrdering>) -> Result<Self> {
        let order = if how.counts_rows() { input.output_ordering().cloned() } else { None };
        Self::ordered(input, how, sort, order)
    }

    /// Whether what it makes depends on the order of its input's rows.
    pub(crate) fn counts_rows(&self) -> bool {
        self.how.counts_rows()
    }

    fn ordered(
        input: Arc<dyn ExecutionPlan>,
        how: How,
        sort: Option<LexOrdering>,
        order: Option<LexOrdering>,
    ) -> Result<Self> {
        let inner = match &sort {
            Some(sort) => sorted(exchanged(small(Arc::clone(&input)), &how)?, sort.clone()),
            None => exchanged(Arc::clone(&input), &how)?,
        };
        Ok(Self { input, how, sort, order, inner })
    }
}

/// A sort that spills needs room for some batches of its own, beside those on their way to it: this many of all
/// partitions' together fill the memory.
const BATCHES_IN_MEMORY: usize = 64;
/// What a value without a fixed width counts for in that: more than most have.
const TEXT_BYTES: usize = 256;
/// Batches of fewer rows take more time than their rows.
const LEAST_BATCH_ROWS: usize = 256;

impl PartitionExec {
    /// The context with fewer rows in a batch, where little memory or wide rows ask for it.
    fn in_small_batches(&self, context: Arc<TaskContext>) -> Arc<TaskContext> {
        let MemoryLimit::Finite(limit) = context.memory_pool().memory_limit() else { return context };
        let width = |field: &FieldRef| field.data_type().primitive_width().unwrap_or(TEXT_BYTES);
        let row: usize = self.input.schema().fields().iter().map(width).sum();
        // All partitions are read at once, each with a sort.
        let partitions = self.inner.output_partitioning().partition_count();
        let partitions = partitions.max(context.session_config().target_partitions());
        let rows = (limit / partitions / BATCHES_IN_MEMORY / row.max(1)).max(LEAST_BATCH_ROWS);
        match rows < context.session_config().batch_size() {
            true => with_batch_size(&context, rows),
            false => context,
        }
    }
}

/// The plan that moves the rows.
fn exchanged(input: Arc<dyn ExecutionPlan>, how: &How) -> Result<Arc<dyn ExecutionPlan>> {
    match how.clone() {
        How::Dealt(partitions) => {
            let slices = Arc::new(StepExec::new(input, Step::Slices(partitions)));
            exchange(slices, Partitioning::RoundRobinBatch(partitions))
        }
        How::Hashed(keys, partitions) => exchange(input, Partitioning::Hash(keys, partitions)),
        How::Ranges { range, in_order: false } => exchange(input, Partitioning::Range(range)),
        How::Ranges { range, in_order: true } => {
            let gathered = Arc::new(GatherExec::new(input, 1));
            let checked = Arc::new(StepExec::new(gathered, Step::Checks(range.ordering().clone())));
            exchange(checked, Partitioning::Range(range))
        }
        How::Cut { rows, partitions } => {
            let gathered = Arc::new(GatherExec::new(input, 1));
            let numbered: Arc<dyn ExecutionPlan> = Arc::new(StepExec::new(gathered, Step::Numbers));
            let splits = (1..partitions as u64).map(|partition| partition.saturating_mul(rows));
            let range = ranges(&by_last_column(&numbered)?, splits);
            without_last_column(exchange(numbered, range)?)
        }
        How::Shuffled { seed, partitions } => {
            let keyed: Arc<dyn ExecutionPlan> = Arc::new(StepExec::new(small(input), Step::Keys { seed }));
            let order = by_last_column(&keyed)?;
            // Keys are as likely anywhere, so that even ranges of them have as many rows. Sorted by key, the rows are
            // in the same order whatever the number of ranges.
            let split = |partition: usize| ((partition as u128) << u64::BITS) / partitions as u128;
            let range = ranges(&order, (1..partitions).map(|partition| split(partition) as u64));
            without_last_column(sorted(exchange(keyed, range)?, order))
        }
    }
}

/// What an exchange puts out of a batch shares its memory: a sort that holds a few rows of a large one holds all of it.
fn small(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(StepExec::new(input, Step::Small))
}

fn exchange(input: Arc<dyn ExecutionPlan>, partitioning: Partitioning) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(RepartitionExec::try_new(input, partitioning)?))
}

fn sorted(input: Arc<dyn ExecutionPlan>, order: LexOrdering) -> Arc<dyn ExecutionPlan> {
    let sort = SortExec::new(order, CompactExec::around(input)).with_preserve_partitioning(true);
    CompactExec::around(Arc::new(sort))
}

fn ranges(order: &LexOrdering, splits: impl Iterator<Item = u64>) -> Partitioning {
    let splits = splits.map(|split| SplitPoint::new(vec![ScalarValue::UInt64(Some(split))]));
    Partitioning::Range(RangePartitioning::new(order.clone(), splits.collect()))
}

fn by_last_column(plan: &Arc<dyn ExecutionPlan>) -> Result<LexOrdering> {
    let schema = plan.schema();
    let last = schema.fields().iter().enumerate().next_back();
    let last = last.map(|(index, field)| Arc::new(Column::new(field.name(), index)) as Arc<dyn PhysicalExpr>);
    match last.and_then(|column| LexOrdering::new([PhysicalSortExpr::new(column, ascending())])) {
        Some(order) => Ok(order),
        None => plan_err!("a plan without columns has no last one"),
    }
}

fn without_last_column(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let kept = schema.fields().iter().take(schema.fields().len().saturating_sub(1)).enumerate();
    let column = |index: usize, name: &str| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
    let kept: Vec<_> = kept.map(|(index, field)| (column(index, field.name()), field.name().clone())).collect();
    Ok(Arc::new(ProjectionExec::try_new(kept, plan)?))
}

/// What is known of rows that moved: how many they are, and of one partition nothing.
pub(super) fn statistics(inputs: &[Arc<Statistics>], args: &StatisticsArgs, schema: &Schema) -> Arc<Statistics> {
    match (args.partition(), inputs.first()) {
        (None, Some(all)) => Arc::clone(all),
        _ => Arc::new(Statistics::new_unknown(schema)),
    }
}

impl DisplayAs for PartitionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.input.output_partitioning().partition_count();
        match &self.how {
            How::Shuffled { seed, partitions } => {
                write!(f, "PartitionExec: shuffled, seed={seed}, partitions={partitions}, input_partitions={of}")
            }
            How::Cut { rows, partitions } => {
                write!(f, "PartitionExec: rows={rows}, partitions={partitions}, input_partitions={of}")
            }
            _ => write!(f, "PartitionExec: {}, input_partitions={of}", self.inner.output_partitioning()),
        }?;
        match &self.sort {
            Some(sort) => write!(f, ", sort=[{sort}]"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for PartitionExec {
    fn name(&self) -> &'static str {
        "PartitionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    /// The optimizer takes away a sort whose order nobody needs; where rows are counted, it is needed.
    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let (how, sort, order) = (self.how.clone(), self.sort.clone(), self.order.clone());
                Ok(Arc::new(Self::ordered(input, how, sort, order)?))
            }
            _ => plan_err!("PartitionExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let is_sorted = self.sort.is_some() || matches!(self.how, How::Shuffled { .. });
        let context = if is_sorted { self.in_small_batches(context) } else { context };
        self.inner.execute(partition, context)
    }

    /// Those of the last step, and what all of them spilled.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut all = self.inner.metrics().unwrap_or_default();
        let mut below = self.inner.children();
        while let Some(node) = below.pop() {
            if Arc::ptr_eq(node, &self.input) {
                continue;
            }
            let has_rows = all.output_rows().is_some();
            for metric in node.metrics().unwrap_or_default().iter() {
                let is_spill = matches!(
                    metric.value(),
                    MetricValue::SpillCount(_) | MetricValue::SpilledBytes(_) | MetricValue::SpilledRows(_)
                );
                if is_spill || (!has_rows && matches!(metric.value(), MetricValue::OutputRows(_))) {
                    all.push(Arc::clone(metric));
                }
            }
            below.extend(node.children());
        }
        Some(all)
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(statistics(inputs, args, &self.schema()))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
