//! `Draw`: exactly so many rows, drawn at random in one pass over the input.
//!
//! Each row has a random number, and the rows with the least numbers are drawn. With replacement a row has many, the
//! times of a Poisson process: of the events of all rows together the first ones are of rows that are drawn evenly and
//! independently. What may still be drawn is held in memory, and counted there: the rows that come out and as many
//! again.

mod drawing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::{self, StreamExt, TryStreamExt};

use drawing::Drawing;
use serde::{Deserialize, Serialize};

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning, keeps_columns};
use crate::encoding::{Decoder, Encoder};

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Draw {
    pub(crate) rows: usize,
    pub(crate) seed: u64,
    /// Whether a row may be drawn more than once.
    pub(crate) replace: bool,
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows={}, seed={}", self.rows, self.seed)?;
        if self.replace { f.write_str(", replace") } else { Ok(()) }
    }
}

impl LogicalOperator<1> for Draw {
    const NAME: &'static str = "Draw";

    keeps_columns!();

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draw: {self}")
    }
}

impl EncodedOperator<1> for Draw {
    const KIND: &'static str = "draw";

    type Detail = Self;

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self> {
        Ok(*self)
    }

    fn decode(draw: Self, _inputs: [&DFSchemaRef; 1], _from: &mut Decoder<'_>) -> sheaf_core::Result<Self> {
        Ok(draw)
    }
}

#[async_trait]
impl PlannedOperator<1> for Draw {
    async fn plan(&self, Planning { inputs: [input], .. }: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(DrawExec::new(input, *self)))
    }
}

/// The operator: one partition, of the rows that were drawn in the order of the input.
#[derive(Debug)]
pub struct DrawExec {
    input: Arc<dyn ExecutionPlan>,
    draw: Draw,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DrawExec {
    fn new(input: Arc<dyn ExecutionPlan>, draw: Draw) -> Self {
        // One partition of which nothing else is known, as after DataFusion's own gather.
        let properties = Arc::clone(CoalescePartitionsExec::new(Arc::clone(&input)).properties());
        Self { input, draw, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for DrawExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrawExec: {}", self.draw)
    }
}

impl ExecutionPlan for DrawExec {
    fn name(&self) -> &'static str {
        "DrawExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // Other partitions would give other rows.
        vec![false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.draw))),
            _ => plan_err!("DrawExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return plan_err!("DrawExec has one partition");
        }
        let baseline = BaselineMetrics::new(&self.metrics, 0);
        let (input, draw, most) = (Arc::clone(&self.input), self.draw, context.session_config().batch_size());
        let output = stream::once(async move { drawn(input, draw, context).await })
            .map_ok(move |drawing| stream::iter(drawing.into_batches(most)))
            .try_flatten()
            .inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.draw.replace { CardinalityEffect::Unknown } else { CardinalityEffect::LowerEqual }
    }
}

/// Runs the partitions of the input, as many at once as the session does, and draws of all.
async fn drawn(input: Arc<dyn ExecutionPlan>, draw: Draw, context: Arc<TaskContext>) -> Result<Drawing> {
    let reservation = MemoryConsumer::new("DrawExec").register(context.memory_pool());
    let drawing = Arc::new(Drawing::try_new(draw, reservation)?);
    // Of no rows there is nothing to find out.
    let partitions = if draw.rows == 0 { 0 } else { input.output_partitioning().partition_count() };
    let at_once = context.session_config().target_partitions().max(1);
    stream::iter(0..partitions)
        .map(|partition| {
            let (input, context) = (Arc::clone(&input), Arc::clone(&context));
            let drawing = Arc::clone(&drawing);
            let passed = SpawnedTask::spawn(async move {
                let mut batches = input.execute(partition, context)?;
                let mut first = 0;
                while let Some(batch) = batches.next().await {
                    let batch = batch?;
                    drawing.pass(partition, first, &batch)?;
                    first += batch.num_rows() as u64;
                }
                Ok::<_, DataFusionError>(())
            });
            async move { passed.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))? }
        })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    Arc::into_inner(drawing).ok_or_else(|| DataFusionError::Internal("a draw that has ended is still shared".into()))
}
