//! `MapGroups`: a function of the user's over groups. DataFusion brings the rows of a group together, by an exchange
//! and a sort that spills, because the operator asks it to; the operator cuts them into groups and calls the function.

mod cut;

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
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

use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;

use crate::encoding::{Decoder, Encoder, damaged};
use crate::operators::map_batches::{BATCHES, BatchFunction, Calls, Inline, SharedFunction};
use crate::operators::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
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

/// A function over groups, and what it returns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MapGroups {
    columns: GroupColumns,
    function: SharedFunction,
    schema: DFSchemaRef,
    calls: GroupCalls,
}

impl MapGroups {
    pub(crate) fn new(
        columns: GroupColumns,
        function: Arc<dyn BatchFunction>,
        schema: &SchemaRef,
        calls: GroupCalls,
    ) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        Ok(Self { columns, function: SharedFunction(function), schema, calls })
    }
}

impl LogicalOperator<1> for MapGroups {
    const NAME: &'static str = "MapGroups";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapGroups: {}, {}", self.function.0.name(), self.calls)
    }
}

impl EncodedOperator<1> for MapGroups {
    const KIND: &'static str = "map_groups";

    /// The function, what it returns, and what it is called for.
    type Detail = (u32, u32, GroupColumns, GroupCalls);

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        let function = to.function(BATCHES, &self.function.0, BatchFunction::to_bytes)?;
        Ok((function, to.schema(self.schema.as_arrow())?, self.columns.clone(), self.calls))
    }

    fn decode(
        (function, schema, columns, calls): Self::Detail,
        [input]: [&DFSchemaRef; 1],
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let width = input.fields().len();
        if columns.given > width || columns.keys.iter().any(|key| *key >= width) {
            return Err(damaged("groups have a key that is no column"));
        }
        let (function, schema) = (from.function::<dyn BatchFunction>(function)?, from.schema(schema)?);
        Self::new(columns, function, &schema, calls).map_err(from_datafusion)
    }
}

#[async_trait]
impl PlannedOperator<1> for MapGroups {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let ([input], function) = (with.inputs, Arc::clone(&self.function.0));
        Ok(Arc::new(MapGroupsExec::new(input, self.columns.clone(), function, with.schema, self.calls)))
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
