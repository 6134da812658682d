//! `KeysFilterExec`: drops the rows whose keys no row of another stage has, before they are sent to where both meet.
//!
//! The keys are read first, as a Bloom filter, and told to the operators below by a dynamic filter: it is they who drop
//! rows, as close to their scans as they can, and who let a filter rest that keeps most of them. More keys than are worth
//! it drop nothing.
//!
//! Semi-joins that spare what would be sent in vain: Bernstein and Chiu, «Using Semi-Joins to Solve Relational Queries»,
//! JACM 1981. Filters of one word for each key: Putze, Sanders and Singler, «Cache-, Hash- and Space-Efficient Bloom
//! Filters», WEA 2007.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

/// Rows and bytes of keys at the most: each task reads all of them.
const MOST_KEYS: usize = 4 << 20;
const MOST_BYTES: usize = 64 << 20;
/// Keys for each word of 64 bits: with three bits for each, one row in 200 passes in vain.
const KEYS_PER_WORD: usize = 4;

/// Drops rows by the keys of others.
pub(crate) struct KeysFilterExec {
    input: Arc<dyn ExecutionPlan>,
    /// What has the keys.
    keys: Arc<dyn ExecutionPlan>,
    /// Columns of the keys, and of the input.
    on: Vec<(usize, usize)>,
    filter: Arc<DynamicFilterPhysicalExpr>,
    /// The memory of the keys, once they are there.
    read: Arc<OnceCell<Option<MemoryReservation>>>,
}

impl KeysFilterExec {
    /// Drops rows of `input` for which the columns of no row of `keys` have the same values.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, keys: Arc<dyn ExecutionPlan>, on: Vec<(usize, usize)>) -> Self {
        let schema = input.schema();
        let column = |(_, own): &(usize, usize)| Arc::new(Column::new(schema.field(*own).name(), *own)) as _;
        let filter = Arc::new(DynamicFilterPhysicalExpr::new(on.iter().map(column).collect(), lit(true)));
        Self { input, keys, on, filter, read: Arc::default() }
    }

    /// The rows of which some are dropped.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// The same with another operator for those.
    pub(crate) fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let (keys, on) = (Arc::clone(&self.keys), self.on.clone());
        Self { input, keys, on, filter: Arc::clone(&self.filter), read: Arc::clone(&self.read) }
    }
}

impl fmt::Debug for KeysFilterExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysFilterExec").field("on", &self.on).finish_non_exhaustive()
    }
}

impl DisplayAs for KeysFilterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let columns: Vec<String> =
            self.on.iter().map(|(_, own)| format!("{}@{own}", schema.field(*own).name())).collect();
        write!(f, "KeysFilterExec: columns=[{}]", columns.join(", "))
    }
}

impl ExecutionPlan for KeysFilterExec {
    fn name(&self) -> &'static str {
        "KeysFilterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.keys]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop(), children.is_empty()) {
            (Some(keys), Some(input), true) => Ok(Arc::new(Self { keys, ..self.over(input) })),
            _ => plan_err!("KeysFilterExec has two inputs"),
        }
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(Arc::clone(&self.input), Arc::clone(&self.keys), self.on.clone())))
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let mut input = ChildFilterDescription::from_child(&parent_filters, &self.input)?;
        if matches!(phase, FilterPushdownPhase::Post) {
            input = input.with_self_filter(Arc::clone(&self.filter) as _);
        }
        let keys = ChildFilterDescription::all_unsupported(&parent_filters);
        Ok(FilterDescription::new().with_child(input).with_child(keys))
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_any(result))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (input, keys, on) = (Arc::clone(&self.input), Arc::clone(&self.keys), self.on.clone());
        let (filter, read) = (Arc::clone(&self.filter), Arc::clone(&self.read));
        let rows = stream::once(async move {
            read.get_or_try_init(|| read_keys(&keys, &on, &filter, &context)).await?;
            input.execute(partition, context)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten())))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

/// Reads all keys and tells the filter of them; too many tell it nothing.
async fn read_keys(
    keys: &Arc<dyn ExecutionPlan>,
    on: &[(usize, usize)],
    filter: &DynamicFilterPhysicalExpr,
    context: &Arc<TaskContext>,
) -> Result<Option<MemoryReservation>> {
    let held = MemoryConsumer::new("keys of another stage").register(context.memory_pool());
    let (mut hashes, mut bytes) = (Vec::new(), 0);
    for partition in 0..keys.output_partitioning().partition_count() {
        let mut rows = keys.execute(partition, Arc::clone(context))?;
        while let Some(batch) = rows.next().await.transpose()? {
            let columns: Vec<&ArrayRef> = on.iter().map(|(key, _)| batch.column(*key)).collect();
            for column in &columns {
                bytes += column.to_data().get_slice_memory_size()?;
            }
            let is_much = hashes.len() + batch.num_rows() > MOST_KEYS || bytes > MOST_BYTES;
            if is_much || held.try_grow(batch.num_rows() * size_of::<u64>()).is_err() {
                filter.mark_complete();
                return Ok(None);
            }
            let (own, valid) = hashed(&columns, batch.num_rows())?;
            hashes.extend(own.into_iter().enumerate().filter(|(row, _)| is_valid(&valid, *row)).map(|(_, hash)| hash));
        }
    }
    let columns = filter.children().into_iter().cloned().collect();
    filter.update(Arc::new(InKeys { columns, keys: Arc::new(Bloom::of(&hashes)) }))?;
    filter.mark_complete();
    // Of the hashes the bits are left.
    held.shrink(held.size().saturating_sub(Bloom::bytes_for(hashes.len())));
    Ok(Some(held))
}

/// The hash of each row's key, and which of them have no null in it: those that have are equal to none.
fn hashed(columns: &[&ArrayRef], rows: usize) -> Result<(Vec<u64>, Option<NullBuffer>)> {
    let mut hashes = vec![0; rows];
    create_hashes(columns.iter().copied(), &RandomState::with_seed(0), &mut hashes)?;
    let nulls = columns.iter().map(|column| column.logical_nulls());
    let valid = nulls.fold(None, |all, own| NullBuffer::union(all.as_ref(), own.as_ref()));
    Ok((hashes, valid))
}

fn is_valid(valid: &Option<NullBuffer>, row: usize) -> bool {
    valid.as_ref().is_none_or(|valid| valid.is_valid(row))
}

/// A set of which more seems to be in it than is.
struct Bloom(Vec<u64>);

impl Bloom {
    fn bytes_for(keys: usize) -> usize {
        keys.div_ceil(KEYS_PER_WORD).max(1) * size_of::<u64>()
    }

    fn of(hashes: &[u64]) -> Self {
        let mut words = Self(vec![0; Self::bytes_for(hashes.len()) / size_of::<u64>()]);
        for hash in hashes {
            let (word, bits) = words.place(*hash);
            words.0[word] |= bits;
        }
        words
    }

    /// The word of a hash, by its upper half, and its bits there, by the lower one.
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = ((hash >> 32) * self.0.len() as u64) >> 32;
        (word as usize, 1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63))
    }

    fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        self.0[word] & bits == bits
    }
}

/// Whether a row's key is one of those.
struct InKeys {
    columns: Vec<Arc<dyn PhysicalExpr>>,
    keys: Arc<Bloom>,
}

impl fmt::Debug for InKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "in_keys({})", columns.join(", "))
    }
}

impl PartialEq for InKeys {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && Arc::ptr_eq(&self.keys, &other.keys)
    }
}

impl Eq for InKeys {}

impl Hash for InKeys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.columns.hash(state);
        Arc::as_ptr(&self.keys).hash(state);
    }
}

impl PhysicalExpr for InKeys {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let columns = self.columns.iter().map(|column| column.evaluate(batch)?.into_array(rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let (hashes, valid) = hashed(&columns.iter().collect::<Vec<_>>(), rows)?;
        let may = BooleanBuffer::collect_bool(rows, |row| is_valid(&valid, row) && self.keys.may_have(hashes[row]));
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(may, None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.columns.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, columns: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { columns, keys: Arc::clone(&self.keys) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use sheaf_core::env::Random;

    use super::*;

    #[test]
    fn all_keys_are_found_and_few_others() {
        for count in [0, 1, 3, 1_000, 100_000] {
            let mut random = Random::new(7);
            let keys: Vec<u64> = (0..count).map(|_| random.draw()).collect();
            let bloom = Bloom::of(&keys);
            assert!(keys.iter().all(|key| bloom.may_have(*key)), "{count}");
            let others = (0..10_000).filter(|_| bloom.may_have(random.draw())).count();
            assert!(others < 200, "{others} of 10,000 others are found among {count}");
        }
    }
}
