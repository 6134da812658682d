//! `Overlap`: a user's function over runs of ordered rows, each with the rows before and after it.
//!
//! The input comes sorted, on disk where memory is short, or as it is, as one partition; runs of its rows go to the
//! function one after the other, several at once. What is in memory is these runs, and the rows that the next ones look
//! back on.

mod rows;

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, PhysicalSortExpr,
};
use datafusion::physical_plan::distribution_requirements::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, TryStreamExt};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_core::{Error, ErrorKind};

use super::gather::OrderedGatherExec;
use super::map_batches::{BATCHES, BatchFunction, SharedFunction, call_blocking, conform};
use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};
use crate::encoding::{Decoder, Encoder};
use rows::{Rows, Run};

/// How far a run of rows looks back or ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Margin {
    /// So many rows.
    Rows(usize),
    /// So many steps of the column that orders the rows.
    Steps(i64),
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows} rows"),
            Self::Steps(steps) => write!(f, "{steps} steps"),
        }
    }
}

/// How rows are cut into runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// The column that orders the rows; `None` for the order in which they are.
    pub(crate) on: Option<String>,
    pub(crate) before: Margin,
    pub(crate) after: Margin,
    /// Rows of each run but the last, without its margins.
    pub(crate) run: usize,
}

impl Cut {
    /// What orders the rows, for people.
    fn order(&self) -> &str {
        self.on.as_deref().unwrap_or("(order of rows)")
    }
}

/// A function over runs of rows, and what it returns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Overlap {
    function: SharedFunction,
    schema: DFSchemaRef,
    cut: Cut,
}

impl Overlap {
    pub(crate) fn new(function: Arc<dyn BatchFunction>, schema: &SchemaRef, cut: Cut) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        Ok(Self { function: SharedFunction(function), schema, cut })
    }
}

impl LogicalOperator<1> for Overlap {
    const NAME: &'static str = "Overlap";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlap: {}, on={}", self.function.0.name(), self.cut.order())
    }
}

impl EncodedOperator<1> for Overlap {
    const KIND: &'static str = "overlap";

    /// The function, what it returns, and the runs that it is called for.
    type Detail = (u32, u32, Cut);

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        let function = to.function(BATCHES, &self.function.0, BatchFunction::to_bytes)?;
        Ok((function, to.schema(self.schema.as_arrow())?, self.cut.clone()))
    }

    fn decode(
        (function, schema, cut): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let (function, schema) = (from.function::<dyn BatchFunction>(function)?, from.schema(schema)?);
        Self::new(function, &schema, cut).map_err(from_datafusion)
    }
}

#[async_trait]
impl PlannedOperator<1> for Overlap {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = with.inputs;
        let on = self.cut.on.as_ref().map(|on| input.schema().index_of(on)).transpose()?;
        let input: Arc<dyn ExecutionPlan> = match on {
            Some(_) => input,
            None => Arc::new(OrderedGatherExec::counted(input)),
        };
        let function = Arc::clone(&self.function.0);
        Ok(Arc::new(OverlapExec::new(input, function, with.schema, self.cut.clone(), on)))
    }
}

/// The operator.
pub struct OverlapExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<dyn BatchFunction>,
    cut: Cut,
    on: Option<usize>,
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OverlapExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        function: Arc<dyn BatchFunction>,
        schema: SchemaRef,
        cut: Cut,
        on: Option<usize>,
    ) -> Self {
        let key = on.map(|on| {
            let key = Arc::new(PhysicalColumn::new(input.schema().field(on).name(), on));
            PhysicalSortExpr::new(key, SortOptions { descending: false, nulls_first: false })
        });
        let order = LexOrdering::new(key);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            input.properties().boundedness,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, function, cut, on, order, properties, metrics }
    }
}

impl fmt::Debug for OverlapExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlapExec").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

impl DisplayAs for OverlapExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { before, after, run, .. } = &self.cut;
        let (name, on) = (self.function.name(), self.cut.order());
        write!(f, "OverlapExec: {name}, on={on}, before={before}, after={after}, batch_size={run}")
    }
}

impl ExecutionPlan for OverlapExec {
    fn name(&self) -> &'static str {
        "OverlapExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Rows come in order, but the function may make any of them: no order is promised.
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let function = Arc::clone(&self.function);
                Ok(Arc::new(Self::new(input, function, self.schema(), self.cut.clone(), self.on)))
            }
            _ => plan_err!("OverlapExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let reservation = MemoryConsumer::new("OverlapExec").register(context.memory_pool());
        let call = Call {
            function: Arc::clone(&self.function),
            schema: self.schema(),
            memory: Arc::new(reservation.new_empty()),
            baseline: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = Rows::new(input, self.on, self.cut.clone(), reservation);
        let runs = stream::try_unfold(rows, |mut rows| async move { Ok(rows.next().await?.map(|run| (run, rows))) });
        let call = Arc::new(call);
        let outputs = runs.map_ok(move |run| Arc::clone(&call).of(run));
        let outputs = outputs.try_buffered(context.session_config().target_partitions());
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), outputs)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// What all calls share.
struct Call {
    function: Arc<dyn BatchFunction>,
    schema: SchemaRef,
    memory: Arc<MemoryReservation>,
    baseline: BaselineMetrics,
}

impl Call {
    /// What the function makes of the run, without what it made of the margins.
    async fn of(self: Arc<Self>, run: Run) -> Result<arrow::record_batch::RecordBatch> {
        let memory = self.memory.new_empty();
        memory.try_grow(run.batch.get_array_memory_size())?;
        let (given, at) = (run.batch.num_rows(), run.at);
        let output = call_blocking(&self.function, run.batch, at).await.map_err(to_datafusion)?;
        if output.num_rows() != given {
            let (name, rows) = (self.function.name(), output.num_rows());
            let message =
                format!("the function {name:?} of map_overlap was given {given} rows and returned {rows} ({at})");
            return Err(to_datafusion(
                Error::new(ErrorKind::InvalidInput, message)
                    .with_hint("it returns a row for each row it is given, the margins' too: those are cut off"),
            ));
        }
        let output = output.slice(run.skipped, run.kept);
        let output = conform(output, &self.schema, self.function.name(), at).map_err(to_datafusion)?;
        self.baseline.record_output(output.num_rows());
        Ok(output)
    }
}
