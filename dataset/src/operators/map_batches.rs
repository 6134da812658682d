//! `MapBatches`: the one place where user functions meet data. Arrow batches go to the function, Arrow batches come
//! back.

mod calls;
mod conform;
mod counts;
mod dead_letters;
mod failures;
mod function;
mod keys;
mod pieces;
pub mod pool;
mod rebatch;
mod running;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::{from_datafusion, to_datafusion};
use sheaf_connectors::stores::Stores;
use sheaf_connectors::write;

use crate::encoding::{Decoder, Encoder};
use crate::operators::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning};

pub(crate) use calls::{Calls, Inline, call_blocking, first_output};
pub(crate) use conform::{conform, values_of};
pub use counts::Counts;
pub(crate) use counts::{FAILED_ROWS, failed_rows};
use dead_letters::{DeadLetters, ORIGINS};
pub(crate) use dead_letters::{dead_letter_options, dead_letter_schema};
use failures::LostRows;
pub use failures::{FailureOptions, OnError};
pub(crate) use function::{BATCHES, SharedFunction};
pub use function::{BatchFunction, BatchPosition, Failure, FailureKind, Outputs, RunStart, TaskOf};
use keys::kept_partitioning;
use rebatch::{CallRows, auto_batch_rows, memory_of_one, rebatch};
use running::{Partition, Running, Slot};

/// Rows of a batch that a scan makes for a function, at the most, whatever the function asks for.
const MOST_SCANNED_ROWS: usize = 1 << 20;

/// How batches are handed to the function, and what is done about those that fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MapBatchesOptions {
    /// Rows of each call but a partition's last; `None` lets Sheaf choose.
    pub batch_size: Option<usize>,
    /// Bytes of each call, about; rows are never cut.
    pub batch_bytes: Option<usize>,
    /// What is done about calls that fail.
    pub failures: FailureOptions,
    /// Whether the function gives the same for the same batch each time, so that work may be done again or not at all.
    pub deterministic: bool,
    /// The function leaves the values of the partition keys in each row as they are, so that what is known of the
    /// partitions stays known. The keys must be among the columns that it returns.
    pub keeps_partitioning: bool,
}

impl Default for MapBatchesOptions {
    fn default() -> Self {
        Self {
            batch_size: None,
            batch_bytes: None,
            failures: FailureOptions::default(),
            deterministic: true,
            keeps_partitioning: false,
        }
    }
}

/// A function over batches, and what it returns.
#[derive(Debug, Clone)]
pub(crate) struct MapBatches {
    function: SharedFunction,
    schema: DFSchemaRef,
    options: MapBatchesOptions,
    stores: Arc<Stores>,
    /// Whether the last columns of the input are where its rows come from, which the function is not given.
    has_origins: bool,
    /// Runs of plans with this node, whatever the plans do with its rows.
    runs: Arc<AtomicUsize>,
}

impl MapBatches {
    pub(crate) fn new(
        function: Arc<dyn BatchFunction>,
        schema: &SchemaRef,
        options: MapBatchesOptions,
        stores: Arc<Stores>,
    ) -> Result<Self> {
        let (function, schema) = (SharedFunction(function), Arc::new(DFSchema::try_from(Arc::clone(schema))?));
        Ok(Self { function, schema, options, stores, has_origins: false, runs: Arc::default() })
    }

    /// The same where the last columns of the input are where its rows come from.
    pub(crate) fn with_origins(self, has_origins: bool) -> Self {
        Self { has_origins, ..self }
    }

    /// The write of rows that are lost, where they are to be written.
    async fn dead_letters(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        state: &dyn Session,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(target) = &self.options.failures.dead_letter else { return Ok(None) };
        let rows = given(&input.schema(), self.has_origins)?;
        let schema = dead_letter_schema(&rows).map_err(to_datafusion)?;
        let nothing = dead_letters::no_letters(&schema)?;
        let plan = write::plan(state, &self.stores, nothing, target, dead_letter_options()).await;
        plan.map(Some).map_err(to_datafusion)
    }

    pub(crate) fn function(&self) -> &Arc<dyn BatchFunction> {
        &self.function.0
    }

    pub(crate) fn options(&self) -> &MapBatchesOptions {
        &self.options
    }

    /// Counts a run; whether it is the second.
    pub(crate) fn runs_again(&self) -> bool {
        self.runs.fetch_add(1, Ordering::Relaxed) == 1
    }
}

impl PartialEq for MapBatches {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.schema == other.schema && self.options == other.options
    }
}

impl Eq for MapBatches {}

impl Hash for MapBatches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
        self.options.hash(state);
    }
}

impl LogicalOperator<1> for MapBatches {
    const NAME: &'static str = "MapBatches";

    fn schema(&self, _inputs: [&DFSchemaRef; 1]) -> Result<DFSchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapBatches: {}", self.function.0.name())
    }
}

impl EncodedOperator<1> for MapBatches {
    const KIND: &'static str = "map_batches";

    /// The function, what it returns, and how it is called.
    type Detail = (u32, u32, MapBatchesOptions, bool);

    fn encode(&self, to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        let function = to.function(BATCHES, &self.function.0, BatchFunction::to_bytes)?;
        Ok((function, to.schema(self.schema.as_arrow())?, self.options.clone(), self.has_origins))
    }

    fn decode(
        (function, schema, options, has_origins): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let (function, schema) = (from.function::<dyn BatchFunction>(function)?, from.schema(schema)?);
        let calls = Self::new(function, &schema, options, Arc::clone(from.stores())).map_err(from_datafusion)?;
        Ok(calls.with_origins(has_origins))
    }
}

#[async_trait]
impl PlannedOperator<1> for MapBatches {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = with.inputs;
        let dead_letters = self.dead_letters(&input, with.session).await?;
        let letters = Letters { plan: dead_letters, has_origins: self.has_origins };
        let (function, options) = (Arc::clone(&self.function.0), self.options.clone());
        Ok(Arc::new(MapBatchesExec::new(input, function, with.schema, options, letters)?))
    }
}

/// Where rows that are lost are written.
#[derive(Clone)]
struct Letters {
    plan: Option<Arc<dyn ExecutionPlan>>,
    /// Whether the input's last columns are where rows come from.
    has_origins: bool,
}

/// The columns that the function is given.
fn given(input: &SchemaRef, has_origins: bool) -> Result<SchemaRef> {
    let columns = input.fields().len() - if has_origins { ORIGINS } else { 0 };
    Ok(Arc::new(input.project(&(0..columns).collect::<Vec<_>>())?))
}

/// The operator: coalesces batches to the asked size and calls the function, partition by partition.
pub struct MapBatchesExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<dyn BatchFunction>,
    options: MapBatchesOptions,
    dead_letters: Letters,
    /// The order of the input when this was planned: the function is to see the rows in it, whoever asks for it above.
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
    inline: Inline,
    running: Slot,
    metrics: ExecutionPlanMetricsSet,
    counts: ExecutionPlanMetricsSet,
}

impl MapBatchesExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        function: Arc<dyn BatchFunction>,
        schema: SchemaRef,
        options: MapBatchesOptions,
        dead_letters: Letters,
    ) -> Result<Self> {
        let known = &input.properties().partitioning;
        let partitioning = match options.keeps_partitioning {
            true => kept_partitioning(known, &schema, function.name())?,
            false => Partitioning::UnknownPartitioning(known.partition_count()),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            partitioning,
            EmissionType::Incremental,
            input.properties().boundedness,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        let (inline, running) = (Inline::of(&function), Slot::default());
        let counts = ExecutionPlanMetricsSet::new();
        let order = input.properties().output_ordering().cloned();
        Ok(Self { input, function, options, dead_letters, order, properties, inline, running, metrics, counts })
    }

    /// What is called.
    pub(crate) fn function(&self) -> &Arc<dyn BatchFunction> {
        &self.function
    }

    /// How.
    pub(crate) fn options(&self) -> &MapBatchesOptions {
        &self.options
    }

    /// The calls that run on the engine's own threads.
    pub(crate) fn inline(&self) -> &Inline {
        &self.inline
    }

    /// The run that this partition is of: the first one to ask begins it.
    fn run(&self, context: &Arc<TaskContext>) -> sheaf_core::Result<Arc<Running>> {
        let mut slot = self.running.lock();
        if let Some(running) = &*slot {
            return Ok(Arc::clone(running));
        }
        let partitions = self.properties.partitioning.partition_count();
        let counts = Arc::new(Counts::new(&self.counts));
        let has_origins = self.dead_letters.has_origins;
        let dead_letters = self.dead_letters.plan.as_ref().map(|plan| DeadLetters::begin(plan, Arc::clone(context)));
        let dead_letters = dead_letters.transpose()?.map(Arc::new);
        let task = context.session_config().get_extension::<TaskOf>().map_or_else(TaskOf::default, |task| *task);
        let start = RunStart { partitions, is_look: false, task, counts: Arc::clone(&counts) };
        let function = begun(&self.function, start)?;
        let to = LostRows { schema: Some(self.schema()), dead_letters: dead_letters.clone(), has_origins };
        let function = self.options.failures.over(function, to, counts);
        let running = Arc::new(Running::new(function, dead_letters, partitions));
        *slot = Some(Arc::clone(&running));
        Ok(running)
    }
}

/// What is called in a run that begins.
fn begun(function: &Arc<dyn BatchFunction>, start: RunStart) -> sheaf_core::Result<Arc<dyn BatchFunction>> {
    Ok(function.begin(start)?.unwrap_or_else(|| Arc::clone(function)))
}

/// The function as it is called once, to see what it returns.
pub(crate) fn looked_at(
    function: &Arc<dyn BatchFunction>,
    options: &MapBatchesOptions,
) -> sheaf_core::Result<Arc<dyn BatchFunction>> {
    let counts = Arc::new(Counts::unread());
    let (task, partitions) = (TaskOf::default(), 1);
    let function = begun(function, RunStart { partitions, is_look: true, task, counts: Arc::clone(&counts) })?;
    Ok(options.failures.over(function, LostRows::default(), counts))
}

impl fmt::Debug for MapBatchesExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBatchesExec").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

impl DisplayAs for MapBatchesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapBatchesExec: {}", self.function.name())?;
        if let Some(rows) = self.options.batch_size {
            write!(f, ", batch_size={rows}")?;
        }
        if let Some(bytes) = self.options.batch_bytes {
            write!(f, ", batch_bytes={bytes}")?;
        }
        match self.options.failures.on_error {
            OnError::Raise => Ok(()),
            OnError::Skip => write!(f, ", on_error=skip"),
            OnError::Null => write!(f, ", on_error=null"),
        }
    }
}

impl ExecutionPlan for MapBatchesExec {
    fn name(&self) -> &'static str {
        "MapBatchesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Rows come in order, but the function may make any of them: no order is promised.
        vec![false]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let (function, dead_letters) = (Arc::clone(&self.function), self.dead_letters.clone());
                let planned = Self::new(input, function, self.schema(), self.options.clone(), dead_letters)?;
                Ok(Arc::new(Self { order: self.order.clone(), ..planned }))
            }
            _ => plan_err!("MapBatchesExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let usual = context.session_config().batch_size();
        let asked = self.options.batch_size;
        let memory = memory_of_one(&context, self.properties.partitioning.partition_count());
        let most = asked.unwrap_or_else(|| auto_batch_rows(&self.input.schema(), memory).max(usual));
        let context = match streams(&self.input) {
            true => with_batch_size(&context, most.clamp(usual, MOST_SCANNED_ROWS.max(usual))),
            false => context,
        };
        let rows = match (asked, self.options.batch_bytes) {
            (Some(rows), _) => CallRows::Exactly(rows),
            (None, Some(bytes)) => CallRows::Bytes(bytes),
            (None, None) => CallRows::About(most),
        };
        let running = self.run(&context).map_err(to_datafusion)?;
        let input = rebatch(self.input.execute(partition, context)?, rows);
        let mut calls = Calls::new(&running.function, self.schema(), partition, &self.inline, &self.metrics);
        calls.partition = Some(Partition::of(&running, &self.running));
        Ok(calls.over(input))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(counts::with_counts(self.metrics.clone_inner(), &self.counts.clone_inner()))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Unknown
    }
}

/// Whether the plan scans, filters and computes, and holds no rows: then its batches may be as large as a call's from
/// the start, and need not be put together by copying them.
fn streams(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_scan = plan.children().is_empty();
    (is_scan || matches!(plan.name(), "FilterExec" | "ProjectionExec" | "CooperativeExec"))
        && plan.children().into_iter().all(streams)
}

pub(crate) fn with_batch_size(context: &TaskContext, rows: usize) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}
