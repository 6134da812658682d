//! Which dynamic filters are worth their time: each is tried, goes on while it drops enough rows, and rests for a
//! growing number of batches when it does not.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::snapshot_generation;

/// A filter is worth its time when it keeps at most this share of the rows: a lookup in a build side costs about what
/// the join's own does, and half of these are spared then.
const WORTH_KEEPING_AT_MOST: f64 = 0.5;
/// Batches that a filter rests after a first useless try.
const FIRST_REST: u32 = 4;
/// The longest rest: rows of another kind may come later in a file.
const LONGEST_REST: u32 = 256;
/// The generation of a filter that nobody has updated yet: it keeps every row.
const NOT_YET_KNOWN: u64 = 1;

/// The filters of one partition and what is known of them.
pub(super) struct Adaptive {
    trials: Vec<Trial>,
}

/// One filter and how it did.
struct Trial {
    filter: Arc<dyn PhysicalExpr>,
    generation: u64,
    /// The share of rows that it kept when it was last asked.
    kept: f64,
    /// Batches that it does not look at from now on.
    resting: u32,
    next_rest: u32,
}

impl Adaptive {
    pub(super) fn new(filters: &[Arc<dyn PhysicalExpr>]) -> Self {
        Self { trials: filters.iter().map(|filter| Trial::new(Arc::clone(filter))).collect() }
    }

    /// What is left of `batch`, and of these rows those to keep if not all.
    ///
    /// # Errors
    /// Those of the filters' expressions.
    pub(super) fn apply(&mut self, mut batch: RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>)> {
        // The filter that keeps the fewest rows first: the others have less to look at.
        self.trials.sort_by(|one, other| one.kept.total_cmp(&other.kept));
        let mut mask: Option<BooleanArray> = None;
        for trial in &mut self.trials {
            if !trial.is_awake() {
                continue;
            }
            if let Some(mask) = mask.take() {
                batch = filter_record_batch(&batch, &mask)?;
            }
            if batch.num_rows() == 0 {
                break;
            }
            mask = trial.ask(&batch)?;
        }
        Ok((batch, mask))
    }
}

impl Trial {
    fn new(filter: Arc<dyn PhysicalExpr>) -> Self {
        Self { filter, generation: NOT_YET_KNOWN, kept: 1.0, resting: 0, next_rest: FIRST_REST }
    }

    /// Whether the filter looks at the next batch.
    fn is_awake(&mut self) -> bool {
        let generation = snapshot_generation(&self.filter);
        if generation != self.generation {
            self.generation = generation;
            self.resting = 0;
            self.next_rest = FIRST_REST;
        }
        let is_awake = self.resting == 0 && self.generation != NOT_YET_KNOWN;
        self.resting = self.resting.saturating_sub(1);
        is_awake
    }

    /// The rows of a batch that the filter keeps; `None` is all of them.
    fn ask(&mut self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let answer = self.filter.evaluate(batch)?.into_array(batch.num_rows())?;
        let mask = as_boolean_array(&answer)?;
        let kept = mask.true_count();
        self.learn(kept, batch.num_rows());
        Ok((kept < batch.num_rows()).then(|| mask.clone()))
    }

    fn learn(&mut self, kept: usize, rows: usize) {
        self.kept = kept as f64 / rows as f64;
        if self.kept > WORTH_KEEPING_AT_MOST {
            self.resting = self.next_rest;
            self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
        } else {
            self.next_rest = FIRST_REST;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr, lit};

    use super::*;
    use crate::operators::random::Random;

    fn column() -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new("x", 0))
    }

    fn less_than(bound: i64) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(column(), Operator::Lt, lit(bound)))
    }

    fn dynamic() -> Arc<DynamicFilterPhysicalExpr> {
        Arc::new(DynamicFilterPhysicalExpr::new(vec![column()], lit(true)))
    }

    /// A hundred rows, some of them null.
    fn batch(random: &mut Random, highest: u64) -> RecordBatch {
        let value = |random: &mut Random| (random.below(20) > 0).then(|| random.below(highest) as i64);
        let x = Int64Array::from_iter((0..100).map(|_| value(random)));
        RecordBatch::try_from_iter([("x", Arc::new(x) as _)]).unwrap()
    }

    fn rows(batch: &RecordBatch, mask: Option<&BooleanArray>) -> Vec<Option<i64>> {
        let batch = mask.map_or_else(|| batch.clone(), |mask| filter_record_batch(batch, mask).unwrap());
        batch.column(0).as_primitive::<Int64Type>().iter().collect()
    }

    /// Filters and rows change at random. No row that all filters keep is ever lost, and what is asked keeps its word.
    #[test]
    fn no_row_is_lost_whatever_the_filters_learn() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let filters = [dynamic(), dynamic(), dynamic()];
            let mut bounds = [i64::MAX; 3];
            let exprs: Vec<Arc<dyn PhysicalExpr>> = filters.iter().map(|filter| Arc::clone(filter) as _).collect();
            let mut adaptive = Adaptive::new(&exprs);
            let mut dropped = 0;
            for step in 0..300 {
                if random.below(40) == 0 {
                    let which = random.below(3) as usize;
                    bounds[which] = random.below(120) as i64;
                    filters[which].update(less_than(bounds[which])).unwrap();
                }
                let batch = batch(&mut random, [40, 100, 1000][(step / 100) as usize]);
                let all = rows(&batch, None);
                let (left, mask) = adaptive.apply(batch).unwrap();
                let left = rows(&left, mask.as_ref());
                let bound = *bounds.iter().min().unwrap();
                let wanted: Vec<_> = all.iter().copied().filter(|x| x.is_some_and(|x| x < bound)).collect();
                let kept: Vec<_> = left.iter().copied().filter(|x| x.is_some_and(|x| x < bound)).collect();
                assert_eq!(kept, wanted, "seed {seed}, step {step}");
                dropped += all.len() - left.len();
                if bound == i64::MAX {
                    assert_eq!(left, all, "seed {seed}, step {step}: nothing is known yet");
                }
            }
            assert!(dropped > 0, "seed {seed} tests nothing");
        }
    }

    /// The batches of `count` on which the filter was asked: it drops some of the rows of each.
    fn asked(adaptive: &mut Adaptive, random: &mut Random, highest: u64, count: usize) -> Vec<usize> {
        (0..count).filter(|_| adaptive.apply(batch(random, highest)).unwrap().1.is_some()).collect()
    }

    #[test]
    fn a_filter_that_drops_little_rests_longer_and_longer_and_comes_back_when_it_pays() {
        let mut random = Random(7);
        let filter = dynamic();
        let mut adaptive = Adaptive::new(&[Arc::clone(&filter) as _]);
        assert!(asked(&mut adaptive, &mut random, 100, 100).is_empty(), "nothing to ask yet");
        filter.update(less_than(90)).unwrap();
        let first = asked(&mut adaptive, &mut random, 100, 4_000);
        assert_eq!(first[..4], [0, 5, 14, 31], "rests of 4, 8, 16 …");
        let rests: Vec<_> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(rests.iter().max(), Some(&(LONGEST_REST as usize + 1)), "{rests:?}");
        assert!(first.len() < 25, "{} of 4,000", first.len());
        let pays = asked(&mut adaptive, &mut random, 1_000, 1_000);
        assert!(pays[0] <= LONGEST_REST as usize, "{}", pays[0]);
        assert_eq!(pays.len(), 1_000 - pays[0], "from then on for every batch");
        asked(&mut adaptive, &mut random, 100, 1_000);
        filter.update(less_than(20)).unwrap();
        assert_eq!(asked(&mut adaptive, &mut random, 100, 50).len(), 50, "a new version is tried at once");
    }

    #[test]
    fn the_filter_that_drops_most_is_asked_first() {
        let mut random = Random(1);
        let (weak, strong) = (dynamic(), dynamic());
        weak.update(less_than(40)).unwrap();
        strong.update(less_than(2)).unwrap();
        let mut adaptive = Adaptive::new(&[weak as _, Arc::clone(&strong) as _]);
        adaptive.apply(batch(&mut random, 100)).unwrap();
        adaptive.apply(batch(&mut random, 100)).unwrap();
        assert!(Arc::ptr_eq(&adaptive.trials[0].filter, &(strong as Arc<dyn PhysicalExpr>)));
    }
}
