//! `WholeWindow`: aggregates and picked values over whole partitions of sorted rows, as columns beside the rows.
//!
//! DataFusion's operator holds all rows of its input, uncounted, until the last one has come. This one computes while
//! the rows of a partition go by, which wait on disk where memory is short, and puts them out in the order in which
//! they came. The rule `whole_windows` puts it where DataFusion's would stand.

mod calls;
mod stream;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchemaRef, ScalarValue, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_window::nth_value::{NthValue, NthValueKind};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::PlainAggregateWindowExpr;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
    PhysicalSortRequirement, create_physical_sort_exprs,
};
use datafusion::physical_plan::distribution_requirements::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics, StatisticsArgs,
};
use datafusion::physical_planner::create_window_expr_with_name;
use futures::stream::try_unfold;

use crate::encoding::{Decoder, Encoder, Qualified};
use crate::operators::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::operators::persisted::rows::Rows;
use calls::{Call, Place};
use stream::{Open, Waiting, Windowed};

/// The calls: window functions, each with the name of its column, all of these partitions and this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WholeWindow {
    pub(crate) calls: Vec<Expr>,
    pub(crate) partition_by: Vec<Expr>,
    pub(crate) order_by: Vec<SortExpr>,
    /// The columns of the input, and one for each call.
    pub(crate) schema: DFSchemaRef,
}

/// Whether the operator can compute this: the same value for all rows of a partition.
pub(crate) fn is_whole(call: &WindowFunction) -> bool {
    let frame = &call.params.window_frame;
    let is_open = |bound: &WindowFrameBound| match bound {
        // Without an order all rows are equal to the current one.
        WindowFrameBound::CurrentRow => frame.units == WindowFrameUnits::Range && call.params.order_by.is_empty(),
        bound => bound.is_unbounded(),
    };
    let is_known = match &call.fun {
        WindowFunctionDefinition::AggregateUDF(_) => true,
        WindowFunctionDefinition::WindowUDF(function) => {
            function.inner().downcast_ref::<NthValue>().is_some_and(|pick| place(call, pick.kind()).is_some())
        }
    };
    is_known && is_open(&frame.start_bound) && is_open(&frame.end_bound)
}

/// The row whose value a call picks.
fn place(call: &WindowFunction, kind: &NthValueKind) -> Option<Place> {
    match (kind, call.params.args.as_slice()) {
        (NthValueKind::First, [_]) => Some(Place::FromStart(1)),
        (NthValueKind::Last, [_]) => Some(Place::FromEnd(1)),
        (NthValueKind::Nth, [_, Expr::Literal(ScalarValue::Int64(Some(number)), _)]) => {
            let rows = usize::try_from(number.unsigned_abs()).ok()?;
            Some(if *number < 0 { Place::FromEnd(rows) } else { Place::FromStart(rows) })
        }
        _ => None,
    }
}

// Before this node was there, filters on the keys went down and columns that nobody needs went away.
impl LogicalOperator<1> for WholeWindow {
    const NAME: &'static str = "WholeWindow";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn expressions(&self) -> Vec<Expr> {
        let keys = self.partition_by.iter().cloned();
        let order = self.order_by.iter().map(|key| key.expr.clone());
        self.calls.iter().cloned().chain(keys).chain(order).collect()
    }

    fn with_expressions(self, mut exprs: Vec<Expr>) -> Result<Self> {
        let (calls, keys) = (self.calls.len(), self.partition_by.len());
        if exprs.len() != calls + keys + self.order_by.len() {
            return plan_err!("WholeWindow keeps its expressions");
        }
        let order = self.order_by.into_iter().zip(exprs.split_off(calls + keys));
        let order_by = order.map(|(key, expr)| SortExpr { expr, ..key }).collect();
        let partition_by = exprs.split_off(calls);
        Ok(Self { calls: exprs, partition_by, order_by, schema: self.schema })
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<_> = self.calls.iter().map(ToString::to_string).collect();
        write!(f, "WholeWindow: [{}]", calls.join(", "))
    }
}

impl EncodedOperator<1> for WholeWindow {
    const KIND: &'static str = "whole_window";

    /// How many calls and keys there are, the directions of the order, whether nulls are first in each, and the schema.
    type Detail = (usize, usize, Vec<(bool, bool)>, Qualified);

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        let order = self.order_by.iter().map(|key| (key.asc, key.nulls_first)).collect();
        Ok((self.calls.len(), self.partition_by.len(), order, Qualified::encode(&self.schema, to)?))
    }

    fn decode(
        (calls, keys, order, schema): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        // Its expressions take the places of these.
        let place = Expr::Literal(ScalarValue::Null, None);
        let order_by = order.into_iter().map(|(asc, nulls)| SortExpr::new(place.clone(), asc, nulls)).collect();
        let places = |count| vec![place.clone(); count];
        Ok(Self { calls: places(calls), partition_by: places(keys), order_by, schema: schema.decode(from)? })
    }
}

#[async_trait]
impl PlannedOperator<1> for WholeWindow {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let Planning { inputs: [input], columns: [columns], session, context, .. } = with;
        let planned = |expr: &Expr| session.create_physical_expr(expr.clone(), columns);
        let partition_by = self.partition_by.iter().map(planned).collect::<Result<_>>()?;
        let order_by = create_physical_sort_exprs(&self.order_by, columns, session.execution_props(), context)?;
        let calls = self.calls.iter().map(|call| planned_call(call, columns, session, context));
        let calls = calls.collect::<Result<_>>()?;
        Ok(Arc::new(WholeWindowExec::try_new(input, calls, partition_by, order_by)?))
    }
}

fn planned_call(
    call: &Expr,
    schema: &DFSchemaRef,
    session: &dyn Session,
    context: &PhysicalPlanningContext,
) -> Result<Call> {
    let name = call.qualified_name().1;
    let Expr::WindowFunction(mut call) = call.clone().unalias_nested().data else {
        return internal_err!("{call} is no window function");
    };
    // Under another frame DataFusion would take an accumulator that can forget rows.
    call.params.window_frame = WindowFrame::new(None);
    let filter = call.params.filter.take();
    let pick = match &call.fun {
        WindowFunctionDefinition::WindowUDF(function) => function.inner().downcast_ref::<NthValue>(),
        WindowFunctionDefinition::AggregateUDF(_) => None,
    };
    if let Some(place) = pick.and_then(|pick| place(&call, pick.kind())) {
        let [value, ..] = call.params.args.as_slice() else { return internal_err!("{name} has no column") };
        let value = session.create_physical_expr(value.clone(), schema)?;
        let field = value.return_field(schema.as_arrow())?.as_ref().clone().with_name(name).with_nullable(true);
        let ignore_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
        return Ok(Call::Pick { value, place, ignore_nulls, field: Arc::new(field) });
    }
    let windowed = Expr::WindowFunction(call);
    let windowed = create_window_expr_with_name(&windowed, name, schema, session.execution_props(), context)?;
    let Some(aggregate) = windowed.as_any().downcast_ref::<PlainAggregateWindowExpr>() else {
        return internal_err!("{} is no aggregate over a whole partition", windowed.name());
    };
    let filter = filter.map(|filter| session.create_physical_expr(*filter, schema)).transpose()?;
    Ok(Call::Aggregate { function: Arc::new(aggregate.get_aggregate_expr().clone()), filter })
}

/// The operator.
#[derive(Debug)]
pub(crate) struct WholeWindowExec {
    input: Arc<dyn ExecutionPlan>,
    calls: Arc<[Call]>,
    partition_by: Arc<[Arc<dyn PhysicalExpr>]>,
    order_by: Vec<PhysicalSortExpr>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WholeWindowExec {
    fn try_new(
        input: Arc<dyn ExecutionPlan>,
        calls: Arc<[Call]>,
        partition_by: Arc<[Arc<dyn PhysicalExpr>]>,
        order_by: Vec<PhysicalSortExpr>,
    ) -> Result<Self> {
        let fields = input.schema().fields().iter().cloned().chain(calls.iter().map(Call::field)).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new_with_metadata(fields, input.schema().metadata().clone()));
        let equal = EquivalenceProperties::new(schema).extend(input.equivalence_properties().clone())?;
        let partitioning = input.output_partitioning().clone();
        let properties = PlanProperties::new(equal, partitioning, EmissionType::Final, input.boundedness());
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, calls, partition_by, order_by, properties: Arc::new(properties), metrics })
    }

    /// The aggregates that it computes.
    pub(crate) fn aggregates(&self) -> impl Iterator<Item = &AggregateFunctionExpr> {
        self.calls.iter().filter_map(Call::aggregate)
    }

    /// The keys in the order in which the input is sorted by them already, if it is.
    fn keys(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        match self.input.equivalence_properties().find_longest_permutation(&self.partition_by) {
            Ok((_, places)) if places.len() == self.partition_by.len() => {
                places.into_iter().map(|place| Arc::clone(&self.partition_by[place])).collect()
            }
            _ => self.partition_by.to_vec(),
        }
    }
}

impl DisplayAs for WholeWindowExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<String> = self.calls.iter().map(|call| Field::name(&call.field()).clone()).collect();
        write!(f, "WholeWindowExec: [{}]", calls.join(", "))
    }
}

impl ExecutionPlan for WholeWindowExec {
    fn name(&self) -> &'static str {
        "WholeWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![match self.partition_by.to_vec() {
            keys if keys.is_empty() => Distribution::SinglePartition,
            keys => Distribution::KeyPartitioned(keys),
        }])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let keys = self.keys().into_iter().map(|key| PhysicalSortRequirement::new(key, None));
        let order = self.order_by.iter().cloned().map(PhysicalSortRequirement::from);
        vec![LexRequirement::new(keys.chain(order)).map(OrderingRequirements::new)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let (calls, keys) = (Arc::clone(&self.calls), Arc::clone(&self.partition_by));
                Ok(Arc::new(Self::try_new(input, calls, keys, self.order_by.clone())?))
            }
            _ => plan_err!("WholeWindowExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let consumer = MemoryConsumer::new(format!("WholeWindow[{partition}]"));
        let spilled = SpillMetrics::new(&self.metrics, partition);
        let windowed = Windowed {
            open: Open::new(consumer.register(context.memory_pool())),
            waiting: Waiting::new(Rows::counted(input.schema(), 1, &context.runtime_env(), Some(spilled))),
            input,
            schema: self.schema(),
            calls: Arc::clone(&self.calls),
            keys: Arc::clone(&self.partition_by),
            has_ended: false,
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let output = try_unfold((windowed, baseline), |(mut windowed, baseline)| async move {
            let Some(batch) = windowed.next().await? else { return Ok(None) };
            baseline.record_output(batch.num_rows());
            Ok(Some((batch, (windowed, baseline))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let [input] = inputs else { return internal_err!("WholeWindowExec has one input") };
        let mut columns = input.column_statistics.clone();
        columns.resize_with(self.schema().fields().len(), ColumnStatistics::new_unknown);
        let (num_rows, total_byte_size) = (input.num_rows, Precision::Absent);
        Ok(Arc::new(Statistics { num_rows, total_byte_size, column_statistics: columns }))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

#[cfg(test)]
mod tests;
