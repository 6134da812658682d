//! `RouterExec`: below the exchange of one side of a join, waits until it is agreed which keys are heavy. On the build
//! side it then repeats each row of such a key, once for each partition: dealt out in turn, each has one.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};

use super::heavy::{Agreement, Decision, columns, hashes};
use super::{HEAVY_KEYS, Side};

/// Waits for the agreement, and repeats heavy rows of the build side.
#[derive(Debug)]
pub(super) struct RouterExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<PhysicalExprRef>,
    partitions: usize,
    side: Side,
    agreement: Arc<Agreement>,
    metrics: ExecutionPlanMetricsSet,
}

impl RouterExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<PhysicalExprRef>,
        partitions: usize,
        side: Side,
        agreement: Arc<Agreement>,
    ) -> Self {
        Self { input, keys, partitions, side, agreement, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn probe(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(context))?;
        self.agreement.bring(partition, input, context)?;
        let agreement = Arc::clone(&self.agreement);
        let batch_size = context.session_config().batch_size();
        let rows = async move {
            let decision = agreement.decided(batch_size).await?;
            Ok(agreement.begun(partition, &decision)?.stream())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten_stream())))
    }

    fn build(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(context))?;
        let agreement = Arc::clone(&self.agreement);
        let batch_size = context.session_config().batch_size();
        let heavy_keys = (partition == 0).then(|| MetricBuilder::new(&self.metrics).global_counter(HEAVY_KEYS));
        let (keys, partitions, skips_nulls) = (self.keys.clone(), self.partitions, !self.agreement.nulls_match);
        let rows = async move {
            let decision = agreement.decided(batch_size).await?;
            if let Some(heavy_keys) = heavy_keys {
                heavy_keys.add(decision.heavy_keys());
            }
            let repeat = Repeat { keys, partitions, skips_nulls, batch_size, decision };
            Ok(input.map(move |batch| repeat.repeated(batch?)).try_flatten())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten_stream())))
    }
}

/// What is done with the batches of the build side.
struct Repeat {
    keys: Vec<PhysicalExprRef>,
    partitions: usize,
    /// Whether a row with a null among its keys meets no other.
    skips_nulls: bool,
    batch_size: usize,
    decision: Arc<Decision>,
}

impl Repeat {
    /// The batch, in pieces of about a batch's size, if it has heavy rows.
    fn repeated(&self, batch: RecordBatch) -> Result<impl stream::Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let pieces = self.pieces(&batch)?;
        let whole = pieces.is_none().then(|| batch.clone());
        let pieces = pieces.into_iter().flatten().map(move |rows| Ok(take_record_batch(&batch, &rows)?));
        Ok(stream::iter(whole.into_iter().map(Ok).chain(pieces)))
    }

    /// Which rows each piece has; `None` for all rows of the batch, once.
    fn pieces(&self, batch: &RecordBatch) -> Result<Option<Vec<UInt32Array>>> {
        if self.decision.heavy_keys() == 0 {
            return Ok(None);
        }
        let keys = columns(&self.keys, batch)?;
        let hashes = hashes(&keys, batch.num_rows())?;
        let repeats = |row: usize| {
            self.decision.is_heavy(hashes[row]) && !(self.skips_nulls && keys.iter().any(|key| key.is_null(row)))
        };
        let (mut pieces, mut piece, mut has_heavy) = (Vec::new(), Vec::new(), false);
        for row in 0..batch.num_rows() {
            let is_repeated = repeats(row);
            has_heavy |= is_repeated;
            // All of them in one piece, one behind the other: so each goes to a partition of its own.
            piece.extend(std::iter::repeat_n(row as u32, if is_repeated { self.partitions } else { 1 }));
            if piece.len() >= self.batch_size {
                pieces.push(UInt32Array::from(std::mem::take(&mut piece)));
            }
        }
        pieces.push(UInt32Array::from(piece));
        Ok(has_heavy.then_some(pieces))
    }
}

impl DisplayAs for RouterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouterExec")
    }
}

impl ExecutionPlan for RouterExec {
    crate::operators::as_its_input!("RouterExec", input);

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("what two sides of a join have agreed on is not for other inputs")
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.side {
            Side::Build => self.build(partition, &context),
            Side::Probe => self.probe(partition, &context),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
