//! `MapGroups`: a function of the user's over groups. DataFusion brings the rows of a group together, by an exchange and
//! a sort that spills, because the operator asks it to; the operator cuts them into groups and calls the function.

mod cut;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, Partitioning, PhysicalExpr,
    PhysicalSortRequirement,
};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;

use crate::encoding::{Decoder, Encoded, Encoder, damaged, one_input};
use crate::operators::map_batches::{BATCHES, BatchFunction, Calls, Inline};
pub(crate) use cut::first_group;
use cut::{Cut, Cutter};

/// How groups are handed to the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupCalls {
    /// Each group whole, in one call.
    Whole,
    /// A group in calls of so many rows, the last of which has fewer. No call has rows of two groups.
    Rows(usize),
}

impl fmt::Display for GroupCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole groups"),
            Self::Rows(rows) => write!(f, "batch_size={rows}"),
        }
    }
}

/// Which columns of the input are keys, and how many of the first the function is given. Keys have one zero and one
/// NaN, so that their sort, their hashes and their comparison agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct GroupColumns {
    pub(crate) keys: Vec<usize>,
    pub(crate) given: usize,
}

/// The logical node.
#[derive(Clone)]
pub(crate) struct MapGroups {
    input: LogicalPlan,
    columns: GroupColumns,
    function: Arc<dyn BatchFunction>,
    schema: DFSchemaRef,
    calls: GroupCalls,
}

impl MapGroups {
    pub(crate) fn new(
        input: LogicalPlan,
        columns: GroupColumns,
        function: Arc<dyn BatchFunction>,
        schema: &SchemaRef,
        calls: GroupCalls,
    ) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        Ok(Self { input, columns, function, schema, calls })
    }
}

impl fmt::Debug for MapGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapGroups").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

// Two calls are the same node when they call the same function object on the same input.
impl PartialEq for MapGroups {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
            && self.input == other.input
            && self.columns == other.columns
            && self.schema == other.schema
            && self.calls == other.calls
    }
}

impl Eq for MapGroups {}

impl PartialOrd for MapGroups {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for MapGroups {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.function).cast::<()>().hash(state);
        self.input.hash(state);
        self.columns.hash(state);
        self.calls.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for MapGroups {
    fn name(&self) -> &'static str {
        "MapGroups"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        // The function may change any column, so that no filter may pass it.
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapGroups: {}, {}", self.function.name(), self.calls)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { input, ..self.clone() }),
            _ => plan_err!("MapGroups has one input"),
        }
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // The function sees every column of its input, whatever of its output is used.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

impl Encoded for MapGroups {
    const KIND: &'static str = "map_groups";

    /// The function, what it returns, and what it is called for.
    type Detail = (u32, u32, GroupColumns, GroupCalls);

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        let function = to.function(BATCHES, &self.function, BatchFunction::to_bytes)?;
        Ok((function, to.schema(self.schema.as_arrow())?, self.columns.clone(), self.calls))
    }

    fn decode(
        (function, schema, columns, calls): Self::Detail,
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let input = one_input(inputs)?;
        let width = input.schema().fields().len();
        if columns.given > width || columns.keys.iter().any(|key| *key >= width) {
            return Err(damaged("groups have a key that is no column"));
        }
        let (function, schema) = (from.function::<dyn BatchFunction>(function)?, from.schema(schema)?);
        Self::new(input, columns, function, &schema, calls).map_err(from_datafusion)
    }
}

/// Plans [`MapGroups`] nodes.
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
        let (Some(node), [input]) = (node.as_any().downcast_ref::<MapGroups>(), physical_inputs) else {
            return Ok(None);
        };
        let (function, schema) = (Arc::clone(&node.function), Arc::clone(node.schema.inner()));
        Ok(Some(Arc::new(MapGroupsExec::new(Arc::clone(input), node.columns.clone(), function, schema, node.calls))))
    }
}

/// The operator.
pub struct MapGroupsExec {
    input: Arc<dyn ExecutionPlan>,
    columns: GroupColumns,
    function: Arc<dyn BatchFunction>,
    calls: GroupCalls,
    properties: Arc<PlanProperties>,
    inline: Inline,
    metrics: ExecutionPlanMetricsSet,
}

impl MapGroupsExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        columns: GroupColumns,
        function: Arc<dyn BatchFunction>,
        schema: SchemaRef,
        calls: GroupCalls,
    ) -> Self {
        let partitions = input.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            input.properties().boundedness,
        );
        let inline = Inline::of(&function);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, columns, function, calls, properties, inline, metrics }
    }

    /// The calls that run on the engine's own threads.
    pub(crate) fn inline(&self) -> &Inline {
        &self.inline
    }

    fn keys(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let schema = self.input.schema();
        let key = |at: &usize| Arc::new(Column::new(schema.field(*at).name(), *at)) as Arc<dyn PhysicalExpr>;
        self.columns.keys.iter().map(key).collect()
    }
}

impl fmt::Debug for MapGroupsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapGroupsExec").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

impl DisplayAs for MapGroupsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys().iter().map(ToString::to_string).collect();
        write!(f, "MapGroupsExec: {}, by=[{}], {}", self.function.name(), keys.join(", "), self.calls)
    }
}

impl ExecutionPlan for MapGroupsExec {
    fn name(&self) -> &'static str {
        "MapGroupsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![match self.keys() {
            keys if keys.is_empty() => Distribution::SinglePartition,
            keys => Distribution::KeyPartitioned(keys),
        }])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let options = Some(SortOptions { descending: false, nulls_first: true });
        let keys = self.keys().into_iter().map(|key| PhysicalSortRequirement::new(key, options));
        vec![LexRequirement::new(keys).map(OrderingRequirements::new)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let (columns, function) = (self.columns.clone(), Arc::clone(&self.function));
                Ok(Arc::new(Self::new(input, columns, function, self.schema(), self.calls)))
            }
            _ => plan_err!("MapGroupsExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("MapGroups[{partition}]"));
        let cut = Cut {
            cutter: Cutter::new(self.columns.clone(), self.calls),
            reservation: consumer.register(context.memory_pool()),
            function: self.function.name().to_string(),
            groups: MetricBuilder::new(&self.metrics).counter("groups", partition),
        };
        let calls = Calls::new(&self.function, self.schema(), partition, &self.inline, &self.metrics);
        Ok(calls.over(cut.over(self.input.execute(partition, context)?)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Unknown
    }
}
