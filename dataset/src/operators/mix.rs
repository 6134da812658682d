//! `Mix`: rows of several inputs, each drawn by weight, the rows of one input in their order.

mod draws;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::interleave;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, reset_plan_states};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::stream::{self, StreamExt};

use sheaf_connectors::error::from_datafusion;

pub use self::draws::MixStop;
use self::draws::{Draws, Next};
use crate::encoding::{Decoder, Encoded, Encoder, damaged};

/// Batches of each partition of an input that wait for their turn: enough to hide its latency.
const WAITING_BATCHES: usize = 2;

/// How inputs are mixed.
#[derive(Debug, Clone)]
pub(crate) struct How {
    pub(crate) weights: Vec<f64>,
    pub(crate) stop: MixStop,
    pub(crate) seed: u64,
}

impl How {
    fn key(&self) -> (Vec<u64>, MixStop, u64) {
        (self.weights.iter().map(|weight| weight.to_bits()).collect(), self.stop, self.seed)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights={:?}, stop={}, seed={}", self.weights, self.stop, self.seed)
    }
}

/// The logical node.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
    how: How,
}

impl Mix {
    /// A mix of inputs whose columns have the same names and types.
    pub(crate) fn new(inputs: Vec<LogicalPlan>, how: How) -> Result<Self> {
        let Some(first) = inputs.first() else { return plan_err!("Mix has inputs") };
        let fields: Vec<_> = (0..first.schema().fields().len())
            .map(|column| {
                let (qualifier, field) = first.schema().qualified_field(column);
                let nullable = inputs.iter().any(|input| input.schema().field(column).is_nullable());
                let field = Field::clone(field).with_nullable(nullable);
                (qualifier.cloned(), Arc::new(field))
            })
            .collect();
        let schema = DFSchema::new_with_metadata(fields, first.schema().metadata().clone())?;
        Ok(Self { inputs, schema: Arc::new(schema), how })
    }
}

impl PartialEq for Mix {
    fn eq(&self, other: &Self) -> bool {
        self.how.key() == other.how.key() && self.inputs == other.inputs
    }
}

impl Eq for Mix {}

impl PartialOrd for Mix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for Mix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.how.key().hash(state);
        self.inputs.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Mix {
    fn name(&self) -> &'static str {
        "Mix"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mix: {}", self.how)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Self::new(inputs, self.how.clone())
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec(); self.inputs.len()])
    }
}

impl Encoded for Mix {
    const KIND: &'static str = "mix";

    /// The bits of the weights, when it ends, and the seed.
    type Detail = (Vec<u64>, MixStop, u64);

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok(self.how.key())
    }

    fn decode(
        (weights, stop, seed): Self::Detail,
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let width = inputs.first().map(|input| input.schema().fields().len());
        let is_alike = inputs.iter().all(|input| Some(input.schema().fields().len()) == width);
        if weights.len() != inputs.len() || !is_alike {
            return Err(damaged("a mix has inputs of the same columns, each with a weight"));
        }
        let weights = weights.into_iter().map(f64::from_bits).collect();
        Self::new(inputs, How { weights, stop, seed }).map_err(from_datafusion)
    }
}

/// Plans [`Mix`] nodes.
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
        let Some(node) = node.as_any().downcast_ref::<Mix>() else { return Ok(None) };
        let schema = Arc::clone(node.schema.inner());
        Ok(Some(Arc::new(MixExec::new(physical_inputs.to_vec(), schema, node.how.clone()))))
    }
}

/// The operator: one partition, for whose rows come next depends on all that came before.
#[derive(Debug)]
pub struct MixExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    how: How,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MixExec {
    fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef, how: How) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { inputs, how, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for MixExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MixExec: {}", self.how)
    }
}

impl ExecutionPlan for MixExec {
    fn name(&self) -> &'static str {
        "MixExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children, self.schema(), self.how.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let inputs = self.inputs.iter().map(|plan| Input::new(Arc::clone(plan), Arc::clone(&context)));
        let mixed = Mixed {
            schema: self.schema(),
            inputs: inputs.collect(),
            draws: Draws::new(self.how.seed, &self.how.weights, self.how.stop),
            rows,
            ended: false,
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = stream::try_unfold(mixed, |mut mixed| async move {
            let batch = mixed.next().await?;
            Ok::<_, DataFusionError>(batch.map(|batch| (batch, mixed)))
        });
        let counted = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                baseline.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The rows of an input, partition after partition; all are read ahead, a little each.
struct Input {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    partitions: Option<VecDeque<SendableRecordBatchStream>>,
    batch: Option<RecordBatch>,
    row: usize,
    seen: u64,
    passes: u32,
}

impl Input {
    fn new(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Self {
        Self { plan, context, partitions: None, batch: None, row: 0, seen: 0, passes: 0 }
    }

    fn has_row(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| self.row < batch.num_rows())
    }

    /// Whether there is a next batch; then it is at hand.
    async fn fill(&mut self) -> Result<bool> {
        if self.partitions.is_none() {
            self.partitions = Some(self.start()?);
        }
        let Some(partitions) = &mut self.partitions else { return Ok(false) };
        while let Some(partition) = partitions.front_mut() {
            match partition.next().await.transpose()? {
                Some(batch) if batch.num_rows() > 0 => {
                    (self.batch, self.row) = (Some(batch), 0);
                    return Ok(true);
                }
                Some(_) => {}
                None => drop(partitions.pop_front()),
            }
        }
        Ok(false)
    }

    fn start(&self) -> Result<VecDeque<SendableRecordBatchStream>> {
        // A plan runs once: its operators keep what they have done.
        let plan = if self.passes == 0 { Arc::clone(&self.plan) } else { reset_plan_states(Arc::clone(&self.plan))? };
        let partitions = 0..plan.output_partitioning().partition_count();
        let start =
            |partition| Ok(spawn_buffered(plan.execute(partition, Arc::clone(&self.context))?, WAITING_BATCHES));
        partitions.map(start).collect()
    }

    fn begin_again(&mut self) {
        (self.partitions, self.batch) = (None, None);
        self.passes += 1;
    }
}

/// The mix as it is made.
struct Mixed {
    schema: SchemaRef,
    inputs: Vec<Input>,
    draws: Draws,
    rows: usize,
    ended: bool,
}

impl Mixed {
    /// Whether the input that was drawn has a row, at its begin where it begins again.
    async fn find(&mut self, drawn: usize) -> Result<bool> {
        let input = &mut self.inputs[drawn];
        if input.fill().await? {
            return Ok(true);
        }
        match self.draws.ended(drawn, input.seen == 0) {
            Next::End => self.ended = true,
            Next::Draw => {}
            Next::Again => {
                input.begin_again();
                if !input.fill().await? {
                    return exec_err!("an input of a mix that had rows has none when it begins again");
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next batch, or `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(self.rows);
        // The part that has the rows of an input now.
        let mut part_of: Vec<Option<usize>> = vec![None; self.inputs.len()];
        while rows.len() < self.rows && !self.ended {
            let Some(drawn) = self.draws.next() else { break };
            if !self.inputs[drawn].has_row() {
                part_of[drawn] = None;
                if !self.find(drawn).await? {
                    continue;
                }
            }
            let input = &mut self.inputs[drawn];
            let Some(batch) = &input.batch else { continue };
            let part = *part_of[drawn].get_or_insert_with(|| {
                parts.push(batch.clone());
                parts.len() - 1
            });
            rows.push((part, input.row));
            input.row += 1;
            input.seen += 1;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let columns = (0..self.schema.fields().len()).map(|column| {
            let arrays: Vec<&dyn Array> = parts.iter().map(|part| part.column(column).as_ref()).collect();
            interleave(&arrays, &rows)
        });
        let columns = columns.collect::<std::result::Result<_, _>>()?;
        let count = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &count)?))
    }
}

/// Whether columns can be mixed as they are: the same names and types.
pub(crate) fn fit(one: &Schema, other: &Schema) -> bool {
    let kinds = |schema: &Schema| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    kinds(one) == kinds(other)
}
