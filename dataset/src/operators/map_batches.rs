//! `MapBatches`: the one place where user functions meet data. Arrow batches go to the function, Arrow batches come back.

mod calls;
mod conform;
mod keys;
mod rebatch;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use calls::{Calls, Inline};
pub(crate) use calls::{abandon, call_blocking};
pub(crate) use conform::values_of;
use keys::kept_partitioning;
use rebatch::{CallRows, auto_batch_rows, memory_of_one, rebatch};

/// Rows of a batch that a scan makes for a function, at the most, whatever the function asks for.
const MOST_SCANNED_ROWS: usize = 1 << 20;

/// A function of the user's over record batches.
///
/// It is called from several threads at once, one for each partition; a call may block.
pub trait BatchFunction: Send + Sync + 'static {
    /// The name that plans, errors and progress print.
    fn name(&self) -> &str;

    /// One call: the batch is rows `row_offset..` of `partition`.
    ///
    /// # Errors
    /// Whatever the function meets; it ends the run and is never retried.
    fn call(&self, batch: RecordBatch, at: BatchPosition) -> sheaf_core::Result<RecordBatch>;

    /// Nobody waits any more for the call that runs at this position: the run failed elsewhere, had rows enough, or
    /// was given up. The call goes on by itself; a function that can be interrupted may do so.
    fn abandoned(&self, _at: BatchPosition) {}
}

/// Where a batch stands in its dataset, for errors and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPosition {
    /// The partition, from 0.
    pub partition: usize,
    /// The batch in the partition, from 0.
    pub batch: usize,
    /// The batch's first row in the partition, from 0.
    pub row: usize,
}

impl fmt::Display for BatchPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, batch {}, row {}", self.partition, self.batch, self.row)
    }
}

/// How batches are handed to the function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MapBatchesOptions {
    /// Rows of each call but a partition's last; `None` lets Sheaf choose.
    pub batch_size: Option<usize>,
    /// The function leaves the values of the partition keys in each row as they are, so that what is known of the
    /// partitions stays known. The keys must be among the columns that it returns.
    pub keeps_partitioning: bool,
}

/// The logical node.
#[derive(Clone)]
pub(crate) struct MapBatches {
    input: LogicalPlan,
    function: Arc<dyn BatchFunction>,
    schema: DFSchemaRef,
    options: MapBatchesOptions,
}

impl MapBatches {
    pub(crate) fn new(
        input: LogicalPlan,
        function: Arc<dyn BatchFunction>,
        schema: &SchemaRef,
        options: MapBatchesOptions,
    ) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        Ok(Self { input, function, schema, options })
    }
}

impl fmt::Debug for MapBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBatches").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

// Two calls are the same node when they call the same function object on the same input.
impl PartialEq for MapBatches {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
            && self.input == other.input
            && self.schema == other.schema
            && self.options == other.options
    }
}

impl Eq for MapBatches {}

impl PartialOrd for MapBatches {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for MapBatches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.function).cast::<()>().hash(state);
        self.input.hash(state);
        self.options.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for MapBatches {
    fn name(&self) -> &'static str {
        "MapBatches"
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
        write!(f, "MapBatches: {}", self.function.name())
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { input, ..self.clone() }),
            _ => plan_err!("MapBatches has one input"),
        }
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // The function sees every column of its input, whatever of its output is used.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// Plans [`MapBatches`] nodes.
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
        let (Some(node), [input]) = (node.as_any().downcast_ref::<MapBatches>(), physical_inputs) else {
            return Ok(None);
        };
        let schema = Arc::clone(node.schema.inner());
        let exec = MapBatchesExec::new(Arc::clone(input), Arc::clone(&node.function), schema, node.options.clone())?;
        Ok(Some(Arc::new(exec)))
    }
}

/// The operator: coalesces batches to the asked size and calls the function, partition by partition.
pub struct MapBatchesExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<dyn BatchFunction>,
    options: MapBatchesOptions,
    properties: Arc<PlanProperties>,
    inline: Inline,
    metrics: ExecutionPlanMetricsSet,
}

impl MapBatchesExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        function: Arc<dyn BatchFunction>,
        schema: SchemaRef,
        options: MapBatchesOptions,
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
        Ok(Self { input, function, options, properties, inline: Inline::default(), metrics })
    }
}

impl fmt::Debug for MapBatchesExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBatchesExec").field("function", &self.function.name()).finish_non_exhaustive()
    }
}

impl DisplayAs for MapBatchesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapBatchesExec: {}", self.function.name())?;
        self.options.batch_size.map_or(Ok(()), |rows| write!(f, ", batch_size={rows}"))
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

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let function = Arc::clone(&self.function);
                Ok(Arc::new(Self::new(input, function, self.schema(), self.options.clone())?))
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
        let rows = asked.map_or(CallRows::About(most), CallRows::Exactly);
        let input = rebatch(self.input.execute(partition, context)?, rows);
        let calls = Calls {
            function: Arc::clone(&self.function),
            schema: self.schema(),
            next: BatchPosition { partition, batch: 0, row: 0 },
            is_short: false,
            inline: Arc::clone(&self.inline),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            time: MetricBuilder::new(&self.metrics).subset_time("function_time", partition),
        };
        Ok(calls.over(input))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
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
