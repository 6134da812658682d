//! `MapBatches`: the one place where user functions meet data. Arrow batches go to the function, Arrow batches come back.

use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream::{self, StreamExt, TryStreamExt};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::{Error, ErrorKind};

/// Rows of a call when no batch size is given: the cost of a call is spread over many rows, and a few columns
/// of this many rows still fit a core's cache.
const AUTO_BATCH_ROWS: usize = 64 * 1024;

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

/// Calls the function on a thread that may block, so that the engine's threads go on with other partitions.
///
/// # Errors
/// The function's own, and [`ErrorKind::UserFunction`] when it panicked.
pub(crate) async fn call_blocking(
    function: &Arc<dyn BatchFunction>,
    batch: RecordBatch,
    at: BatchPosition,
) -> sheaf_core::Result<RecordBatch> {
    let mut waiting = Waiting { function, at, over: false };
    let called = Arc::clone(function);
    let output = tokio::task::spawn_blocking(move || called.call(batch, at)).await;
    waiting.over = true;
    output.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::UserFunction, format!("{} panicked at {at}: {error}", function.name())))
    })
}

/// Whoever waits for a call: gone before the call is over, it tells the function.
struct Waiting<'a> {
    function: &'a Arc<dyn BatchFunction>,
    at: BatchPosition,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.function.abandoned(self.at);
        }
    }
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
        let exec = MapBatchesExec::new(Arc::clone(input), Arc::clone(&node.function), schema, node.options.clone());
        Ok(Some(Arc::new(exec)))
    }
}

/// The operator: coalesces batches to the asked size and calls the function, partition by partition.
pub struct MapBatchesExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<dyn BatchFunction>,
    options: MapBatchesOptions,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MapBatchesExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        function: Arc<dyn BatchFunction>,
        schema: SchemaRef,
        options: MapBatchesOptions,
    ) -> Self {
        let partitions = input.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            input.properties().boundedness,
        );
        Self { input, function, options, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
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

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                let function = Arc::clone(&self.function);
                Ok(Arc::new(Self::new(input, function, self.schema(), self.options.clone())))
            }
            _ => plan_err!("MapBatchesExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows =
            self.options.batch_size.unwrap_or_else(|| AUTO_BATCH_ROWS.max(context.session_config().batch_size()));
        let input = rebatch(self.input.execute(partition, context)?, rows);
        let call = Call {
            function: Arc::clone(&self.function),
            schema: self.schema(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            time: MetricBuilder::new(&self.metrics).subset_time("function_time", partition),
        };
        let start = BatchPosition { partition, batch: 0, row: 0 };
        let output = stream::try_unfold((input, call, start), |(mut input, call, at)| async move {
            let Some(batch) = input.try_next().await? else {
                call.baseline.done();
                return Ok(None);
            };
            let next = BatchPosition { batch: at.batch + 1, row: at.row + batch.num_rows(), ..at };
            let output = call.run(batch, at).await?;
            Ok::<_, DataFusionError>(Some((output, (input, call, next))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Unknown
    }
}

struct Call {
    function: Arc<dyn BatchFunction>,
    schema: SchemaRef,
    baseline: BaselineMetrics,
    time: Time,
}

impl Call {
    async fn run(&self, batch: RecordBatch, at: BatchPosition) -> Result<RecordBatch> {
        let timer = self.time.timer();
        let output = call_blocking(&self.function, batch, at).await;
        timer.done();
        let output = output.map_err(to_datafusion)?;
        let output = conform(output, &self.schema, self.function.name(), at).map_err(to_datafusion)?;
        self.baseline.record_output(output.num_rows());
        Ok(output)
    }
}

/// Checks a result against the declared schema; nullability and metadata are the declaration's.
fn conform(
    batch: RecordBatch,
    schema: &SchemaRef,
    function: &str,
    at: BatchPosition,
) -> sheaf_core::Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let mismatch = |what: String| {
        Error::new(ErrorKind::TypeMismatch, format!("{function} returned {what} ({at})"))
            .with_hint("every batch has the schema of the first one; give schema= if the first is not typical")
    };
    if batch.num_columns() != schema.fields().len() {
        let names: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        let wanted: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        return Err(mismatch(format!("the columns {names:?} instead of {wanted:?}")));
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    for field in schema.fields() {
        let column =
            batch.column_by_name(field.name()).ok_or_else(|| mismatch(format!("no column {:?}", field.name())))?;
        let fits = column.data_type() == field.data_type() || column.data_type().equals_datatype(field.data_type());
        if fits {
            columns.push(Arc::clone(column));
        } else if column.null_count() == column.len() {
            // A batch without a single value often has no type of its own.
            columns.push(arrow::array::new_null_array(field.data_type(), column.len()));
        } else {
            let (is, wanted) = (column.data_type(), field.data_type());
            return Err(mismatch(format!("column {:?} as {is} instead of {wanted}", field.name())));
        }
    }
    let rows = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
        .map_err(|error| mismatch(format!("a batch that does not fit its schema: {error}")))
}

/// The same rows in batches of exactly `rows` rows, but for the last. Rows that lie in one batch are not copied.
fn rebatch(input: SendableRecordBatchStream, rows: usize) -> SendableRecordBatchStream {
    let schema = input.schema();
    let output =
        stream::try_unfold((input, Gathered::default(), false), move |(mut input, mut gathered, ended)| async move {
            let mut ended = ended;
            while !ended && gathered.rows < rows {
                match input.next().await.transpose()? {
                    Some(batch) => gathered.push(batch),
                    None => ended = true,
                }
            }
            let next = gathered.take(rows)?;
            Ok::<_, DataFusionError>(next.map(|batch| (batch, (input, gathered, ended))))
        });
    Box::pin(RecordBatchStreamAdapter::new(schema, output))
}

/// Batches that wait to be as many rows as a call has.
#[derive(Default)]
struct Gathered {
    batches: VecDeque<RecordBatch>,
    rows: usize,
}

impl Gathered {
    fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.batches.push_back(batch);
        }
    }

    /// The first `rows` rows, or all that there are.
    fn take(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        let mut pieces = Vec::new();
        let mut missing = rows;
        while missing > 0
            && let Some(batch) = self.batches.pop_front()
        {
            let piece = batch.slice(0, missing.min(batch.num_rows()));
            if piece.num_rows() < batch.num_rows() {
                self.batches.push_front(batch.slice(missing, batch.num_rows() - missing));
            }
            missing -= piece.num_rows();
            pieces.push(piece);
        }
        self.rows -= rows - missing;
        match pieces.as_slice() {
            [] => Ok(None),
            [piece] => Ok(Some(piece.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &pieces)?)),
        }
    }
}
