//! Verbs over partitions: how many there are, which rows are together in one, and in which order.

use std::collections::BinaryHeap;

use arrow::array::ArrayRef;
use arrow::compute::{is_not_null, sort_to_indices, take};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::normalize_cols;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlanProperties;
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::operators::extent::sorted_ranges;
use crate::operators::node::OperatorNode;
use crate::operators::partition::{Layout, Partition, ascending, with_its_equals};
use crate::operators::sample::SplitMix;
use crate::verbs::checks;

/// Rows that are drawn for each partition to find the bounds of ranges: with 400 the largest of 100 partitions has about
/// a sixth more rows than the mean.
const SAMPLED_ROWS: usize = 400;

/// The seed of that sample: the same rows give the same bounds.
const SAMPLE_SEED: u64 = 0x5EED;

/// More partitions than this are a mistake: each takes memory for its channel, its sort and its file.
const MOST_PARTITIONS: usize = 1 << 16;

/// How large partitions are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionSize {
    /// So many partitions.
    Count(usize),
    /// So many rows in each but the last.
    Rows(u64),
    /// About so many bytes in memory in each but the last.
    Bytes(u64),
}

/// How [`Dataset::repartition`] partitions.
#[derive(Debug, Clone, Default)]
pub struct RepartitionOptions {
    /// How many partitions, or how large; by default, with keys, as many as the session runs at once.
    pub size: Option<PartitionSize>,
    /// Rows of equal keys come into one partition.
    pub by: Vec<Expr>,
    /// Whether each partition is sorted by the keys.
    pub sort: bool,
}

/// How [`Dataset::set_index`] finds its ranges.
#[derive(Debug, Clone, Default)]
pub struct SetIndexOptions {
    /// The values at which the second and the following partitions begin; found by a sample when there are none.
    pub divisions: Option<Vec<ScalarValue>>,
    /// How many partitions a sample is to give; by default as many as the session runs at once.
    pub partitions: Option<usize>,
    /// The rows come in the order of the key already.
    pub sorted: bool,
}

impl Dataset {
    /// The same rows in other partitions.
    ///
    /// - A number: rows are dealt in turn, so that all partitions have nearly as many. One partition has all rows, in
    ///   their order.
    /// - A number with keys: rows of equal keys come into one partition, which is remembered: a `groupby`, a join or a
    ///   window by the same keys, in the same order, moves no row again.
    /// - Rows or bytes: partitions of that size, in the order of the rows. The plan runs once now, to count or to
    ///   measure.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a size of zero, keys with rows or bytes, or `sort` without keys;
    /// [`ErrorKind::UnknownColumn`].
    pub async fn repartition(&self, options: RepartitionOptions) -> Result<Self> {
        let RepartitionOptions { size, by, sort } = options;
        match (size, by.is_empty()) {
            (None, true) => Err(Error::invalid("repartition of nothing").with_hint(
                "say how many partitions there are to be, how large they are, or by which keys: \
                 repartition(8), repartition(rows=100_000), repartition(by=\"k\")",
            )),
            (_, true) if sort => Err(Error::invalid("there is no key to sort by")
                .with_hint("name the keys with by=, or sort the rows first: sort(\"k\").repartition(rows=100_000)")),
            (Some(PartitionSize::Count(1)), true) => self.coalesce(1),
            (Some(PartitionSize::Count(partitions)), true) => {
                check_count(partitions)?;
                Ok(self.partitioned(Layout::Dealt { partitions }))
            }
            (Some(PartitionSize::Rows(rows)), true) => self.cut(rows, self.count().await?),
            (Some(PartitionSize::Bytes(bytes)), true) => self.cut_by_bytes(bytes).await,
            (Some(PartitionSize::Count(_)) | None, false) => {
                let partitions = match size {
                    Some(PartitionSize::Count(partitions)) => partitions,
                    _ => self.usual_partitions(),
                };
                check_count(partitions)?;
                let keys = self.resolve(by)?;
                checks::values_of_rows(&keys)?;
                let keys = normalize_cols(keys, self.logical_plan()).map_err(from_datafusion)?;
                Ok(self.partitioned_by(Layout::Hashed { partitions }, keys, sort))
            }
            (Some(PartitionSize::Rows(_) | PartitionSize::Bytes(_)), false) => {
                Err(Error::invalid("rows of equal keys are as many as they are").with_hint(
                    "with by= say how many partitions there are to be, or leave out by= for partitions of one size",
                ))
            }
        }
    }

    /// At most so many partitions: neighbours are put together, one after another. No row moves to another thread, and
    /// their order stays.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none.
    pub fn coalesce(&self, partitions: usize) -> Result<Self> {
        check_count(partitions)?;
        Ok(self.partitioned(Layout::Joined { partitions }))
    }

    /// How many partitions the plan has when it runs.
    ///
    /// # Errors
    /// Everything that is wrong with the plan and could be known before it runs.
    pub async fn num_partitions(&self) -> Result<usize> {
        Ok(self.planned().await?.output_partitioning().partition_count())
    }

    /// Partitions by ranges of a column, each sorted by it; nulls are at the end of the last.
    ///
    /// The ranges begin at the given divisions, or at those that a sample of the column gives: for that the plan runs
    /// once now. They are remembered: a `groupby`, a window, or a join with a dataset of the same divisions moves no row
    /// again, and of a materialized or persisted dataset a filter on the column reads only the partitions that can match.
    /// Of such datasets, [`Dataset::concat`] keeps the ranges where they follow one another. Rows that are so already stay
    /// where they are: with these divisions, or with any where none are asked for.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownColumn`]; [`ErrorKind::TypeMismatch`] for a nested column, or divisions that are not of its
    /// type; [`ErrorKind::InvalidInput`] for divisions that do not ascend. With `sorted`, the run fails where the rows are
    /// not.
    pub async fn set_index(&self, column: &str, options: SetIndexOptions) -> Result<Self> {
        self.check_columns([column])?;
        let key = normalize_cols([col(column)], self.logical_plan()).map_err(from_datafusion)?;
        let schema = self.schema();
        let kind = schema.field_with_name(column).map_err(|error| from_datafusion(error.into()))?.data_type();
        if kind.is_nested() || kind.is_null() {
            return Err(Error::new(ErrorKind::TypeMismatch, format!("{column:?} of type {kind} has no ranges"))
                .with_hint("take a number, a text, a date or a time as the index"));
        }
        let splits = match (options.divisions, options.partitions) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("divisions say how many partitions there are")
                    .with_hint("give divisions= or partitions=, not both"));
            }
            (Some(divisions), None) => {
                let cast = |value: ScalarValue| {
                    let cast = value.cast_to(kind).ok().filter(|cast| !cast.is_null());
                    cast.ok_or_else(|| {
                        Error::new(
                            ErrorKind::TypeMismatch,
                            format!("the division {value} is no {kind}, as {column:?} is"),
                        )
                    })
                };
                divisions.into_iter().map(cast).collect::<Result<Vec<_>>>()?
            }
            (None, None) if self.divisions_by(column).await.is_some_and(|known| !known.is_empty()) => {
                return Ok(self.clone());
            }
            (None, partitions) => {
                let partitions = partitions.unwrap_or_else(|| self.usual_partitions());
                check_count(partitions)?;
                self.sampled_splits(column, partitions).await?
            }
        };
        let splits: Vec<ScalarValue> = splits.into_iter().map(with_its_equals).collect();
        check_count(splits.len() + 1)?;
        if let Some(pair) = splits.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::invalid(format!("the divisions do not ascend: {} is before {}", pair[0], pair[1])));
        }
        if self.divisions_by(column).await.as_ref() == Some(&splits) {
            return Ok(self.clone());
        }
        let layout = Layout::Ranges { splits, in_order: options.sorted };
        Ok(self.partitioned_by(layout, key, !options.sorted))
    }

    /// The values at which the second and the following partitions begin, for a dataset whose rows are partitioned by
    /// ranges of one column.
    ///
    /// # Errors
    /// Everything that is wrong with the plan and could be known before it runs.
    pub async fn divisions(&self) -> Result<Option<Vec<ScalarValue>>> {
        let plan = self.planned().await?;
        let Partitioning::Range(range) = plan.output_partitioning() else { return Ok(None) };
        let splits = range.split_points().iter().map(|split| match split.values() {
            [value] => Some(value.clone()),
            _ => None,
        });
        Ok(splits.collect())
    }

    /// The divisions of a dataset whose partitions are ranges of this column already, each sorted by it. What is wrong
    /// with the plan is left for its run to tell.
    async fn divisions_by(&self, column: &str) -> Option<Vec<ScalarValue>> {
        let plan = self.planned().await.ok()?;
        let (key, range) = sorted_ranges(plan.as_ref())?;
        let splits = range.split_points().iter().map(|split| split.values().first().cloned());
        splits.collect::<Option<_>>().filter(|_| plan.schema().field(key).name() == column)
    }

    /// All rows in a random order, each as likely at every place. What does not fit in memory is on disk meanwhile.
    ///
    /// The same seed gives the same order while the input has the same rows in the same partitions, whatever the
    /// number of threads that run it.
    #[must_use]
    pub fn random_shuffle(&self, seed: u64) -> Self {
        self.partitioned(Layout::Shuffled { seed })
    }

    /// The partitions in a random order, and in each the batches that are near each other; rows stay together as they
    /// are. Much cheaper than [`Dataset::random_shuffle`], and much less random.
    #[must_use]
    pub fn randomize_block_order(&self, seed: u64) -> Self {
        self.partitioned(Layout::BlockOrder { seed })
    }

    fn partitioned(&self, layout: Layout) -> Self {
        self.through_partition(Partition::new(layout))
    }

    fn partitioned_by(&self, layout: Layout, keys: Vec<Expr>, sorted: bool) -> Self {
        self.through_partition(Partition::by(layout, keys, sorted))
    }

    fn through_partition(&self, partition: Partition) -> Self {
        self.of_node(OperatorNode::keeping_columns(partition, self.logical_plan().clone()))
    }

    /// As many partitions as the session runs at once.
    fn usual_partitions(&self) -> usize {
        self.session().state().config().target_partitions()
    }

    fn cut(&self, rows: u64, all: u64) -> Result<Self> {
        if rows == 0 {
            return Err(Error::invalid("a partition of no rows"));
        }
        let partitions = usize::try_from(all.div_ceil(rows).max(1)).unwrap_or(usize::MAX);
        check_count(partitions)?;
        Ok(self.partitioned(Layout::Cut { rows, partitions }))
    }

    async fn cut_by_bytes(&self, bytes: u64) -> Result<Self> {
        if bytes == 0 {
            return Err(Error::invalid("a partition of no bytes"));
        }
        let mut run = self.start().await?;
        let (mut all_rows, mut all_bytes) = (0_u64, 0_u64);
        while let Some(batch) = run.next().await? {
            all_rows += batch.num_rows() as u64;
            let sliced = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
            let sliced = sliced.map(|size| size.unwrap_or(0) as u64).sum::<u64>();
            all_bytes += sliced;
        }
        let rows = u128::from(bytes) * u128::from(all_rows) / u128::from(all_bytes.max(1));
        self.cut(u64::try_from(rows).unwrap_or(u64::MAX).max(1), all_rows)
    }

    /// The values that part the column into so many ranges of about as many rows, as a sample of it says. Values that
    /// are frequent give fewer ranges.
    async fn sampled_splits(&self, column: &str, partitions: usize) -> Result<Vec<ScalarValue>> {
        let most = SAMPLED_ROWS.saturating_mul(partitions);
        // The rows with the least numbers: as good as any, and the same whichever batch comes first.
        let mut drawn: BinaryHeap<Drawn> = BinaryHeap::new();
        let mut places: Vec<u64> = Vec::new();
        let mut run = self.select([col(column)])?.start().await?;
        while let Some((partition, batch)) = run.next_of().await? {
            places.resize(places.len().max(partition + 1), 0);
            let values = batch.column(0);
            let valid = is_not_null(values).map_err(|error| from_datafusion(error.into()))?;
            for row in 0..values.len() {
                let number = SplitMix::at(SAMPLE_SEED ^ partition as u64, places[partition] + row as u64);
                let is_drawn = drawn.len() < most || drawn.peek().is_some_and(|last| number < last.number);
                if !is_drawn || !valid.value(row) {
                    continue;
                }
                let value = ScalarValue::try_from_array(values, row).map_err(from_datafusion)?;
                drawn.push(Drawn { number, value });
                if drawn.len() > most {
                    drawn.pop();
                }
            }
            places[partition] += values.len() as u64;
        }
        let values: Vec<ScalarValue> = drawn.into_iter().map(|drawn| drawn.value).collect();
        quantiles(values, partitions).map_err(from_datafusion)
    }
}

/// A value of the sample, ordered by the number that it was drawn by.
struct Drawn {
    number: u64,
    value: ScalarValue,
}

impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Drawn {}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}

/// The values between as many equal parts, each once.
fn quantiles(values: Vec<ScalarValue>, parts: usize) -> datafusion::error::Result<Vec<ScalarValue>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let values: ArrayRef = ScalarValue::iter_to_array(values)?;
    let sorted = take(&values, &sort_to_indices(&values, Some(ascending()), None)?, None)?;
    let mut splits = Vec::new();
    let least = ScalarValue::try_from_array(&sorted, 0)?;
    for part in 1..parts {
        let split = ScalarValue::try_from_array(&sorted, sorted.len() * part / parts)?;
        // Below the least value there is nothing to put into a partition.
        if splits.last().unwrap_or(&least) < &split {
            splits.push(split);
        }
    }
    Ok(splits)
}

fn check_count(partitions: usize) -> Result<()> {
    match partitions {
        0 => Err(Error::invalid("there is at least one partition, and none was asked for")),
        1..=MOST_PARTITIONS => Ok(()),
        _ => Err(Error::invalid(format!("{partitions} partitions are too many: at most {MOST_PARTITIONS}"))
            .with_hint("make partitions larger, and batches or files of them as small as need be")),
    }
}
