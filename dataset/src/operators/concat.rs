//! `ConcatExec`: datasets whose ranges of one key follow one another, as one dataset of ranges. No row is moved or sorted.
//!
//! DataFusion's union, which this stands in place of, forgets how its inputs are partitioned: that no key is on both sides
//! of a border between two datasets takes more than it knows.

mod ranges;

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::{SplitPoint, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr, PhysicalSortExpr,
    RangePartitioning,
};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics,
    StatisticsArgs,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::extent::{Extent, extent, sorted_ranges};
use super::partition::ascending;
use ranges::{Place, Side, joined};

/// The operator.
#[derive(Debug)]
pub struct ConcatExec {
    /// DataFusion's, over the same inputs.
    union: Arc<dyn ExecutionPlan>,
    /// The partitions of the inputs that each partition is made of, one after another.
    places: Arc<Vec<Vec<Place>>>,
    column: usize,
    extent: Extent,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ConcatExec {
    /// In place of a union, where all its inputs are ranges of one column that are known to follow one another.
    pub(crate) fn over(union: &UnionExec) -> Option<Self> {
        let (column, _) = sorted_ranges(union.inputs().first()?.as_ref())?;
        let side = |input: &Arc<dyn ExecutionPlan>| {
            let (key, range) = sorted_ranges(input.as_ref())?;
            let splits = range.split_points().iter().map(|split| split.values().first().cloned());
            let side = Side { splits: splits.collect::<Option<_>>()?, extent: extent(input, column)? };
            (key == column).then_some(side)
        };
        let sides = union.inputs().iter().map(side).collect::<Option<Vec<_>>>()?;
        let schema = union.schema();
        let joined = joined(&sides, schema.fields().get(column)?.data_type())?;
        let key = Arc::new(Column::new(schema.field(column).name(), column)) as Arc<dyn PhysicalExpr>;
        let order = LexOrdering::new([PhysicalSortExpr::new(key, ascending())])?;
        let splits = joined.splits.into_iter().map(|split| SplitPoint::new(vec![split])).collect();
        let range = RangePartitioning::try_new(order.clone(), splits).ok()?;
        let mut equivalence = EquivalenceProperties::new(schema);
        equivalence.add_ordering(order);
        let known = union.properties();
        let properties =
            PlanProperties::new(equivalence, Partitioning::Range(range), known.emission_type, known.boundedness);
        let extent = sides.into_iter().map(|side| side.extent).try_fold(Extent::EMPTY, Extent::and)?;
        Some(Self {
            union: Arc::new(union.clone()),
            places: Arc::new(joined.places),
            column,
            extent,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Between which values those of this column lie, if it is the key.
    pub(crate) fn extent_of(&self, column: usize) -> Option<&Extent> {
        (column == self.column).then_some(&self.extent)
    }
}

impl DisplayAs for ConcatExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConcatExec: {}", self.properties.partitioning)
    }
}

impl ExecutionPlan for ConcatExec {
    fn name(&self) -> &'static str {
        "ConcatExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.union.children()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    /// Each input is sorted by the key, and is to stay so: the optimizer takes away a sort whose order nobody needs.
    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let order = |input: &Arc<dyn ExecutionPlan>| match input.output_partitioning() {
            Partitioning::Range(range) => Some(OrderingRequirements::from(range.ordering().clone())),
            _ => None,
        };
        self.children().into_iter().map(order).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    super::without_expressions!();

    /// The inputs have the same rows as before. Where they have them in other partitions, this is a mere union again.
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let stay = children.len() == self.children().len()
            && children.iter().zip(self.children()).all(|(new, old)| {
                new.output_partitioning() == old.output_partitioning() && sorted_ranges(new.as_ref()).is_some()
            });
        let union = UnionExec::try_new(children)?;
        if !stay {
            return Ok(union);
        }
        Ok(Arc::new(Self {
            union,
            places: Arc::clone(&self.places),
            column: self.column,
            extent: self.extent.clone(),
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(places) = self.places.get(partition).cloned() else {
            return internal_err!("there is no partition {partition} of {}", self.places.len());
        };
        let inputs: Vec<Arc<dyn ExecutionPlan>> = self.children().into_iter().cloned().collect();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::iter(places)
            .map(move |place| inputs[place.input].execute(place.partition, Arc::clone(&context)))
            .try_flatten()
            .inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None); self.children().len()]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match args.partition() {
            None => self.union.statistics_from_inputs(inputs, args),
            Some(_) => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::GreaterEqual
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }
}
