//! `Sample`: each row with a given probability, or as often as chance has it; the same rows for the same seed and
//! partitions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_arrays};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning, keeps_columns};
use crate::encoding::{Decoder, Encoder};

/// What is drawn of each row: with what probability it is there, or with `replace` how often on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) fraction: f64,
    pub(crate) seed: u64,
    pub(crate) replace: bool,
}

impl Sample {
    fn key(self) -> (u64, u64, bool) {
        (self.fraction.to_bits(), self.seed, self.replace)
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Sample {}

impl Hash for Sample {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fraction={}, seed={}", self.fraction, self.seed)?;
        if self.replace { f.write_str(", replace") } else { Ok(()) }
    }
}

impl LogicalOperator<1> for Sample {
    const NAME: &'static str = "Sample";

    keeps_columns!();

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample: {self}")
    }
}

impl EncodedOperator<1> for Sample {
    const KIND: &'static str = "sample";

    /// The bits of the fraction, the seed, and whether rows are drawn more than once.
    type Detail = (u64, u64, bool);

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Self::Detail> {
        Ok(self.key())
    }

    fn decode(
        (fraction, seed, replace): Self::Detail,
        _inputs: [&DFSchemaRef; 1],
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        Ok(Self { fraction: f64::from_bits(fraction), seed, replace })
    }
}

#[async_trait]
impl PlannedOperator<1> for Sample {
    async fn plan(&self, Planning { inputs: [input], .. }: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SampleExec::new(input, *self)))
    }
}

/// The operator.
#[derive(Debug)]
pub struct SampleExec {
    input: Arc<dyn ExecutionPlan>,
    sample: Sample,
    metrics: ExecutionPlanMetricsSet,
}

impl SampleExec {
    fn new(input: Arc<dyn ExecutionPlan>, sample: Sample) -> Self {
        Self { input, sample, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for SampleExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SampleExec: {}", self.sample)
    }
}

impl ExecutionPlan for SampleExec {
    super::as_its_input!("SampleExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.sample))),
            _ => plan_err!("SampleExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let most = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let Sample { fraction, seed, replace } = self.sample;
        let mut dice = SplitMix::new(seed, partition as u64);
        if replace {
            let output = input
                .map_ok(move |batch| {
                    let baseline = baseline.clone();
                    let repeated = repeated(&mut dice, fraction, batch.num_rows());
                    let pieces: Vec<UInt32Array> = repeated.chunks(most).map(|rows| rows.to_vec().into()).collect();
                    stream::iter(pieces).map(move |rows| taken(&batch, &rows, &baseline))
                })
                .try_flatten();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)));
        }
        let output = input.map(move |batch| {
            let batch = batch?;
            let keep: BooleanArray = (0..batch.num_rows()).map(|_| Some(dice.unit() < fraction)).collect();
            let batch = filter_record_batch(&batch, &keep).map_err(DataFusionError::from)?;
            baseline.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.sample.replace { CardinalityEffect::Unknown } else { CardinalityEffect::LowerEqual }
    }
}

/// The rows of a batch, each as often as it is drawn.
fn repeated(dice: &mut SplitMix, fraction: f64, rows: usize) -> Vec<u32> {
    let mut repeated = Vec::with_capacity((rows as f64 * fraction) as usize);
    for row in 0..rows as u32 {
        repeated.extend(std::iter::repeat_n(row, dice.poisson(fraction)));
    }
    repeated
}

fn taken(batch: &RecordBatch, rows: &UInt32Array, baseline: &BaselineMetrics) -> Result<RecordBatch> {
    baseline.record_output(rows.len());
    rows_at(batch, rows)
}

/// The rows at these indices, as often as they are there. Unlike arrow's `take_record_batch`, also of batches that have
/// rows and no columns.
pub(crate) fn rows_at(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch> {
    let columns = take_arrays(batch.columns(), rows, None)?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(DataFusionError::from)
}

/// `SplitMix64` (Steele, Lea and Flood, «Fast splittable pseudorandom number generators», OOPSLA 2014).
#[derive(Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        mixer.next();
        mixer
    }

    /// The number at this place of the sequence of this seed. Numbers of two places of a sequence differ.
    pub(crate) fn at(seed: u64, place: u64) -> u64 {
        mixed(mixed(seed).wrapping_add(place.wrapping_mul(GAMMA)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mixed(self.0)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A place in a list of this length, which is not empty.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number in [0, 1), from the upper 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The time until the next of events that come one in a unit of time on average.
    pub(crate) fn wait(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// How many of such events come before `time`.
    fn poisson(&mut self, time: f64) -> usize {
        let mut now = self.wait();
        let mut events = 0;
        while now < time {
            now += self.wait();
            events += 1;
        }
        events
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A permutation of the numbers of 64 bits.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
