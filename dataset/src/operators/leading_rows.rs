//! `LeadingRowsExec`: leaves out rows that cannot be among the first of their group.
//!
//! A filter `rank() <= k` over a window sorts all rows to keep a few of each group. This node stands below that sort,
//! and below the exchange before it. It remembers the `k` first keys that it has seen of each group: a row behind all of
//! them in order is left out. What comes through may be more than the window and the filter above it keep, never less.
//!
//! It remembers within a bound, and stops where that is reached, where memory is short, or where it leaves out too few
//! rows to be worth its work: then all rows pass.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::BatchCoalescer;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};

/// The most that one partition remembers.
const MOST_BYTES: usize = 64 << 20;
/// After so many rows it looks whether it has left out one in so many of them.
const LOOK_ROWS: usize = 1 << 20;
const LEAST_SHARE: usize = 8;

/// Which rows lead: the first `most` of each group, in an order.
#[derive(Debug, Clone)]
pub struct Leading {
    /// What the rows of a group have in common.
    pub group: Vec<Arc<dyn PhysicalExpr>>,
    /// The order within a group.
    pub order: Vec<PhysicalSortExpr>,
    /// How many rows of a group are wanted, at least 1.
    pub most: usize,
}

/// The operator. It keeps partitions and the order of rows.
#[derive(Debug)]
pub struct LeadingRowsExec {
    input: Arc<dyn ExecutionPlan>,
    leading: Leading,
    metrics: ExecutionPlanMetricsSet,
}

impl LeadingRowsExec {
    /// `input` without rows that are not wanted.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>, leading: Leading) -> Self {
        Self { input, leading, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for LeadingRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leading { group, order, most } = &self.leading;
        let listed = |names: Vec<String>| names.join(", ");
        let group = listed(group.iter().map(ToString::to_string).collect());
        let order = listed(order.iter().map(ToString::to_string).collect());
        write!(f, "LeadingRowsExec: most={most}, group=[{group}], order=[{order}]")
    }
}

impl ExecutionPlan for LeadingRowsExec {
    super::as_its_input!("LeadingRowsExec", input);

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.leading.clone()))),
            _ => plan_err!("LeadingRowsExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let schema = input.schema();
        let held = MemoryConsumer::new(format!("LeadingRows[{partition}]")).register(context.memory_pool());
        let batch_size = context.session_config().batch_size();
        Ok(Box::pin(LeadingStream {
            leaders: Some(Leaders::new(&self.leading, &schema, held)?),
            // What is whole already is handed on as it is.
            coalescer: BatchCoalescer::new(schema, batch_size).with_biggest_coalesce_batch_size(Some(batch_size / 2)),
            input,
            is_over: false,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

struct LeadingStream {
    input: SendableRecordBatchStream,
    /// `None` when all rows pass.
    leaders: Option<Leaders>,
    coalescer: BatchCoalescer,
    is_over: bool,
    metrics: BaselineMetrics,
}

impl LeadingStream {
    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let _timer = self.metrics.elapsed_compute().timer();
        let Some(leaders) = &mut self.leaders else { return Ok(self.coalescer.push_batch(batch)?) };
        let kept = leaders.kept(&batch)?;
        if !leaders.is_worth_it() {
            self.leaders = None;
        }
        Ok(self.coalescer.push_batch_with_filter(batch, &kept)?)
    }
}

impl Stream for LeadingStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(batch) = this.coalescer.next_completed_batch() {
                return this.metrics.record_poll(Poll::Ready(Some(Ok(batch))));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            let taken = match ready!(this.input.poll_next_unpin(context)) {
                Some(batch) => batch.and_then(|batch| this.take(batch)),
                None => {
                    (this.is_over, this.leaders) = (true, None);
                    this.coalescer.finish_buffered_batch().map_err(Into::into)
                }
            };
            if let Err(error) = taken {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl RecordBatchStream for LeadingStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// A key in its order: the first bytes of its row format. Of two keys the smaller never has the larger of these.
type Key = u128;

/// The first keys of each group that has been seen.
struct Leaders {
    leading: Leading,
    groups: Box<dyn GroupValues>,
    numbers: Vec<usize>,
    converter: RowConverter,
    rows: Rows,
    /// The first `most` keys of each group, sorted; the largest key where there are fewer.
    first: Vec<Key>,
    held: MemoryReservation,
    seen: usize,
    left_out: usize,
    is_full: bool,
}

impl Leaders {
    fn new(leading: &Leading, schema: &Schema, held: MemoryReservation) -> Result<Self> {
        let field = |expr: &Arc<dyn PhysicalExpr>| -> Result<Field> {
            Ok(Field::new(expr.to_string(), expr.data_type(schema)?, expr.nullable(schema)?))
        };
        let groups = leading.group.iter().map(field).collect::<Result<Vec<_>>>()?;
        let order =
            leading.order.iter().map(|key| Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options)));
        let converter = RowConverter::new(order.collect::<Result<_>>()?)?;
        Ok(Self {
            leading: leading.clone(),
            groups: new_group_values(Arc::new(Schema::new(groups)), &GroupOrdering::None)?,
            numbers: Vec::new(),
            rows: converter.empty_rows(0, 0),
            converter,
            first: Vec::new(),
            held,
            seen: 0,
            left_out: 0,
            is_full: false,
        })
    }

    /// Which rows of a batch may lead.
    fn kept(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let array =
            |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef> { expr.evaluate(batch)?.into_array(batch.num_rows()) };
        let groups = self.leading.group.iter().map(array).collect::<Result<Vec<_>>>()?;
        let keys = self.leading.order.iter().map(|key| array(&key.expr)).collect::<Result<Vec<_>>>()?;
        self.groups.intern(&groups, &mut self.numbers)?;
        self.rows.clear();
        self.converter.append(&mut self.rows, &keys)?;
        let most = self.leading.most;
        self.first.resize(self.groups.len() * most, Key::MAX);
        let mut left_out = 0;
        let kept = self.numbers.iter().zip(self.rows.iter()).map(|(group, row)| {
            let may_lead = offer(&mut self.first[group * most..][..most], key_of(row.as_ref()));
            left_out += usize::from(!may_lead);
            may_lead
        });
        let kept = BooleanArray::from_iter(kept.map(Some));
        self.seen += batch.num_rows();
        self.left_out += left_out;
        let bytes = self.groups.size() + self.first.capacity() * size_of::<Key>() + self.rows.size();
        self.is_full = bytes > MOST_BYTES || self.held.try_resize(bytes).is_err();
        Ok(kept)
    }

    fn is_worth_it(&mut self) -> bool {
        if self.seen < LOOK_ROWS {
            return !self.is_full;
        }
        let is_worth_it = self.left_out >= self.seen / LEAST_SHARE;
        (self.seen, self.left_out) = (0, 0);
        is_worth_it && !self.is_full
    }
}

fn key_of(row: &[u8]) -> Key {
    let mut key = [0; size_of::<Key>()];
    let known = row.len().min(key.len());
    key[..known].copy_from_slice(&row[..known]);
    Key::from_be_bytes(key)
}

/// Whether a key may be among the first, which it joins then.
fn offer(first: &mut [Key], key: Key) -> bool {
    let Some(last) = first.last() else { return true };
    // Keys alike may differ behind the bytes that are looked at, or be told apart by what comes first.
    if key >= *last {
        return key == *last;
    }
    let place = first.partition_point(|other| *other <= key);
    first[place..].rotate_right(1);
    first[place] = key;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_behind_the_first_is_left_out() {
        let mut first = [Key::MAX; 2];
        let kept = [5, 9, 7, 7, 8, 5, 6, 5].map(|key| offer(&mut first, key));
        assert_eq!(kept, [true, true, true, true, false, true, false, true]);
        assert_eq!(first, [5, 5]);
    }

    #[test]
    fn keys_are_in_the_order_of_their_rows() {
        for (less, more) in [(&b"a"[..], &b"b"[..]), (b"", b"\0\0"), (b"0123456789abcdefX", b"0123456789abcdefY")] {
            assert!(key_of(less) <= key_of(more));
        }
    }
}
