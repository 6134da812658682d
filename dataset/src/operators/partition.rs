//! `Partition`: partitions as the user wants them. The logical node and its planner.
//!
//! DataFusion's optimizer takes every exchange out of a plan and puts in those that it needs itself, so that its own
//! `Repartition` is lost. Nodes of other types stay: this one becomes a [`PartitionExec`] or a [`GatherExec`], which say
//! how their rows are partitioned, and `rules/chosen_partitions` sees to it that the plan above keeps that.

mod block_order;
mod exec;
mod gather;
mod steps;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::compute::SortOptions;
use datafusion::common::{DFSchemaRef, ScalarValue, SplitPoint, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, RangePartitioning};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use serde::{Deserialize, Serialize};

pub use block_order::BlockOrderExec;
pub use exec::PartitionExec;
pub use gather::GatherExec;
pub(crate) use steps::{ADDED, place, with_random_keys};

use super::concat::ConcatExec;
use super::draw::DrawExec;
use super::gather::OrderedGatherExec;
use super::mix::MixExec;
use super::node::{EncodedOperator, LogicalOperator, PlannedOperator, Planning, keeps_columns};
use super::row_index::RowIndexExec;
use super::sample::SampleExec;
use crate::encoding::{Decoder, Encoder, read_scalar, scalar};
use exec::How;
use steps::StepExec;

/// How the rows are to be partitioned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// Rows dealt in turn.
    Dealt { partitions: usize },
    /// By the hash of the keys.
    Hashed { partitions: usize },
    /// By ranges of the one key, which begin at these values; with `in_order` the rows come in the key's order.
    Ranges { splits: Vec<ScalarValue>, in_order: bool },
    /// A new partition every so many rows, in the order of the rows.
    Cut { rows: u64, partitions: usize },
    /// Every row at a random place.
    Shuffled { seed: u64 },
    /// Neighbours put together, in the order of the rows.
    Joined { partitions: usize },
    /// The partitions, and near batches in each, in another order.
    BlockOrder { seed: u64 },
}

/// What is partitioned, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    layout: Layout,
    /// Of [`Layout::Hashed`] and [`Layout::Ranges`].
    keys: Vec<Expr>,
    /// The order of the rows in each partition, ascending with nulls last: whether it is by the keys.
    sorted: bool,
}

impl Partition {
    /// Partitions that need no keys.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, keys: Vec::new(), sorted: false }
    }

    /// Partitions by keys, each sorted by them if `sorted`.
    pub(crate) fn by(layout: Layout, keys: Vec<Expr>, sorted: bool) -> Self {
        Self { layout, keys, sorted }
    }
}

impl LogicalOperator<1> for Partition {
    const NAME: &'static str = "Partition";

    keeps_columns!();

    fn commutes_with_filters(&self) -> bool {
        // Where rows or batches are counted, those that are left would come in other partitions or another order.
        !matches!(self.layout, Layout::Cut { .. } | Layout::Shuffled { .. } | Layout::BlockOrder { .. })
    }

    fn expressions(&self) -> Vec<Expr> {
        self.keys.clone()
    }

    fn with_expressions(self, keys: Vec<Expr>) -> Result<Self> {
        Ok(Self { keys, ..self })
    }

    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.layout {
            Layout::Dealt { partitions } => write!(f, "Partition: {partitions} in turn"),
            Layout::Hashed { partitions } => write!(f, "Partition: {partitions} by hash of {keys}"),
            Layout::Ranges { splits, .. } => write!(f, "Partition: {} by ranges of {keys}", splits.len() + 1),
            Layout::Cut { rows, partitions } => write!(f, "Partition: {partitions} of {rows} rows"),
            Layout::Shuffled { seed } => write!(f, "Shuffle: seed={seed}"),
            Layout::Joined { partitions } => write!(f, "Partition: {partitions} of neighbours"),
            Layout::BlockOrder { seed } => write!(f, "BlockOrder: seed={seed}"),
        }?;
        if self.sorted { f.write_str(", sorted") } else { Ok(()) }
    }
}

/// What a [`Partition`] is besides its input and its keys.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    layout: WrittenLayout,
    sorted: bool,
}

#[derive(Serialize, Deserialize)]
enum WrittenLayout {
    Dealt { partitions: usize },
    Hashed { partitions: usize },
    Ranges { splits: Vec<Vec<u8>>, in_order: bool },
    Cut { rows: u64, partitions: usize },
    Shuffled { seed: u64 },
    Joined { partitions: usize },
    BlockOrder { seed: u64 },
}

impl EncodedOperator<1> for Partition {
    const KIND: &'static str = "partition";

    type Detail = Written;

    fn encode(&self, _to: &mut Encoder) -> sheaf_core::Result<Written> {
        let layout = match &self.layout {
            Layout::Dealt { partitions } => WrittenLayout::Dealt { partitions: *partitions },
            Layout::Hashed { partitions } => WrittenLayout::Hashed { partitions: *partitions },
            Layout::Ranges { splits, in_order } => {
                let splits = splits.iter().map(scalar).collect::<sheaf_core::Result<_>>()?;
                WrittenLayout::Ranges { splits, in_order: *in_order }
            }
            Layout::Cut { rows, partitions } => WrittenLayout::Cut { rows: *rows, partitions: *partitions },
            Layout::Shuffled { seed } => WrittenLayout::Shuffled { seed: *seed },
            Layout::Joined { partitions } => WrittenLayout::Joined { partitions: *partitions },
            Layout::BlockOrder { seed } => WrittenLayout::BlockOrder { seed: *seed },
        };
        Ok(Written { layout, sorted: self.sorted })
    }

    fn decode(
        Written { layout, sorted }: Written,
        _inputs: [&DFSchemaRef; 1],
        _from: &mut Decoder<'_>,
    ) -> sheaf_core::Result<Self> {
        let layout = match layout {
            WrittenLayout::Dealt { partitions } => Layout::Dealt { partitions },
            WrittenLayout::Hashed { partitions } => Layout::Hashed { partitions },
            WrittenLayout::Ranges { splits, in_order } => {
                let splits = splits.iter().map(|split| read_scalar(split)).collect::<sheaf_core::Result<_>>()?;
                Layout::Ranges { splits, in_order }
            }
            WrittenLayout::Cut { rows, partitions } => Layout::Cut { rows, partitions },
            WrittenLayout::Shuffled { seed } => Layout::Shuffled { seed },
            WrittenLayout::Joined { partitions } => Layout::Joined { partitions },
            WrittenLayout::BlockOrder { seed } => Layout::BlockOrder { seed },
        };
        Ok(Self { layout, keys: Vec::new(), sorted })
    }
}

#[async_trait]
impl PlannedOperator<1> for Partition {
    async fn plan(&self, with: Planning<'_, 1>) -> Result<Arc<dyn ExecutionPlan>> {
        let ([input], [columns]) = (with.inputs, with.columns);
        let keys = self.keys.iter().map(|key| with.session.create_physical_expr(key.clone(), columns));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let ordering = LexOrdering::new(keys.iter().map(|key| PhysicalSortExpr::new(Arc::clone(key), ascending())));
        let how = match &self.layout {
            Layout::Dealt { partitions } => How::Dealt(*partitions),
            Layout::Hashed { partitions } => How::Hashed(keys, *partitions),
            Layout::Cut { rows, partitions } => How::Cut { rows: *rows, partitions: *partitions },
            Layout::Shuffled { seed } => {
                How::Shuffled { seed: *seed, partitions: with.session.config().target_partitions() }
            }
            Layout::Ranges { splits, in_order } => {
                let Some(ordering) = &ordering else { return plan_err!("partitions by ranges have one key") };
                let splits = splits.iter().map(|split| SplitPoint::new(vec![split.clone()])).collect();
                How::Ranges { range: RangePartitioning::try_new(ordering.clone(), splits)?, in_order: *in_order }
            }
            Layout::Joined { partitions } => return Ok(gathered(&input, *partitions)),
            Layout::BlockOrder { seed } => {
                return Ok(Arc::new(BlockOrderExec::new(input, *seed)));
            }
        };
        let sort = ordering.filter(|_| self.sorted);
        Ok(Arc::new(PartitionExec::try_new(input, how, sort)?))
    }
}

/// `input` in at most this many partitions.
fn gathered(input: &Arc<dyn ExecutionPlan>, partitions: usize) -> Arc<dyn ExecutionPlan> {
    // Also where there are no fewer: that the user chose them is to be kept.
    Arc::new(GatherExec::new(Arc::clone(input), partitions.min(input.output_partitioning().partition_count())))
}

/// The order in which keys are sorted and ranged: nulls are in the last partition, at its end.
pub(crate) fn ascending() -> SortOptions {
    SortOptions { descending: false, nulls_first: false }
}

/// Ranges are by total order, where -0.0 is less than 0.0: a range that begins at one begins at both, for groups and joins
/// know them as one value.
pub(crate) fn with_its_equals(split: ScalarValue) -> ScalarValue {
    match split {
        ScalarValue::Float16(Some(value)) if f32::from(value) == 0.0 && value.is_sign_positive() => {
            ScalarValue::Float16(Some(-value))
        }
        ScalarValue::Float32(Some(0.0)) => ScalarValue::Float32(Some(-0.0)),
        ScalarValue::Float64(Some(0.0)) => ScalarValue::Float64(Some(-0.0)),
        other => other,
    }
}

/// Whether the partitions of this plan are those that the user chose, and not the engine's own.
pub(crate) fn is_chosen(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if makes_chosen(plan) {
        return true;
    }
    let partitions = plan.output_partitioning().partition_count();
    let is_exchange = ["RepartitionExec", "CoalescePartitionsExec", "SortPreservingMergeExec"].contains(&plan.name());
    let children = plan.children();
    !is_exchange
        && children
            .into_iter()
            .any(|child| child.output_partitioning().partition_count() == partitions && is_chosen(child))
}

/// Whether this node makes partitions that the user chose.
pub(crate) fn makes_chosen(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<PartitionExec>().is_some()
        || plan.downcast_ref::<GatherExec>().is_some()
        || plan.downcast_ref::<super::kept::KeptExec>().is_some()
        || plan.downcast_ref::<ConcatExec>().is_some()
        || plan.downcast_ref::<BlockOrderExec>().is_some()
}

/// Whether what this node makes depends on the order of its input's rows, so that these may not be dealt to threads.
pub(crate) fn counts_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<PartitionExec>().is_some_and(PartitionExec::counts_rows)
        || plan.downcast_ref::<GatherExec>().is_some()
        || plan.downcast_ref::<BlockOrderExec>().is_some()
        || plan.downcast_ref::<OrderedGatherExec>().is_some()
        || plan.downcast_ref::<RowIndexExec>().is_some()
        || plan.downcast_ref::<MixExec>().is_some()
        || plan.downcast_ref::<SampleExec>().is_some()
        || plan.downcast_ref::<DrawExec>().is_some()
        || plan.downcast_ref::<StepExec>().is_some_and(StepExec::counts_rows)
}
