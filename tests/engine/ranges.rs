//! `concat` of datasets whose ranges follow one another: what is known of the result, and that it is so.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Expr, WindowFunctionDefinition};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning, displayable};
use futures::StreamExt;
use sheaf::dataset::{JoinOptions, JoinType, SetIndexOptions};
use sheaf::expr::functions_aggregate::expr_fn::{count, sum};
use sheaf::expr::{col, lit};
use sheaf::{Dataset, Options, Session};

fn session(threads: usize) -> Session {
    Session::new(Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn wait<T>(dataset: &Dataset, future: impl Future<Output = sheaf::Result<T>>) -> T {
    dataset.session().threads().block_on(future).unwrap()
}

fn physical(dataset: &Dataset) -> Arc<dyn ExecutionPlan> {
    wait(dataset, dataset.physical_plan())
}

fn plan(dataset: &Dataset) -> String {
    displayable(physical(dataset).as_ref()).indent(true).to_string()
}

fn all(dataset: &Dataset) -> RecordBatch {
    concat_batches(&dataset.schema(), &wait(dataset, dataset.collect())).unwrap()
}

/// The first column, as whole numbers.
fn first(dataset: &Dataset) -> Vec<Option<i64>> {
    all(dataset).column(0).as_primitive::<Int64Type>().iter().collect()
}

fn at(divisions: &[i64]) -> SetIndexOptions {
    let divisions = Some(divisions.iter().map(|at| ScalarValue::from(*at)).collect());
    SetIndexOptions { divisions, ..SetIndexOptions::default() }
}

fn indexed(dataset: &Dataset, divisions: &[i64]) -> Dataset {
    wait(dataset, dataset.set_index("k", at(divisions)))
}

/// Kept in memory, or by the session.
fn kept(dataset: &Dataset, persists: bool) -> Dataset {
    if persists { wait(dataset, dataset.persist()) } else { wait(dataset, dataset.materialize()) }
}

/// `k` from the first number to before the second, and `v`, its last digit, in no order.
fn numbers(session: &Session, from: i64, to: i64) -> Dataset {
    let numbers = session.range(from, to).unwrap();
    numbers.select([col("id").alias("k"), (col("id") % lit(10_i64)).alias("v")]).unwrap().random_shuffle(3)
}

fn keys(session: &Session, name: &str, values: ArrayRef) -> Dataset {
    let batch = RecordBatch::try_from_iter_with_nullable([(name, values, true)]).unwrap();
    session.from_batches(batch.schema(), vec![batch]).unwrap()
}

fn ints(session: &Session, values: &[Option<i64>]) -> Dataset {
    keys(session, "k", Arc::new(Int64Array::from(values.to_vec())))
}

fn concat(datasets: &[Dataset]) -> Dataset {
    Dataset::concat(datasets, false).unwrap()
}

fn divisions(dataset: &Dataset) -> Option<Vec<ScalarValue>> {
    wait(dataset, dataset.divisions())
}

/// The divisions of `concat`, as whole numbers.
fn divisions_of(datasets: &[Dataset]) -> Option<Vec<i64>> {
    let whole = |value: ScalarValue| match value {
        ScalarValue::Int64(Some(value)) => value,
        other => panic!("{other:?} is no whole number"),
    };
    Some(divisions(&concat(datasets))?.into_iter().map(whole).collect())
}

/// 0 to 20,000 as three datasets.
fn three(session: &Session, persists: bool) -> [Dataset; 3] {
    [(0, 5_000, 2_000), (5_000, 12_000, 8_000), (12_000, 20_000, 18_000)]
        .map(|(from, to, at)| kept(&indexed(&numbers(session, from, to), &[at]), persists))
}

/// How many rows have the key of a row.
fn rows_of_key() -> Expr {
    let function = WindowFunctionDefinition::AggregateUDF(datafusion::functions_aggregate::count::count_udaf());
    let mut window = WindowFunction::new(function, vec![lit(1)]);
    window.params = WindowFunctionParams { partition_by: vec![col("k")], ..window.params };
    window.into()
}

/// Exchanges and sorts in a plan.
fn moves(dataset: &Dataset) -> usize {
    let plan = plan(dataset);
    ["RepartitionExec", "SortExec", "PartitionExec:"].iter().map(|name| plan.matches(name).count()).sum()
}

/// The first column of each partition.
fn parts(dataset: &Dataset) -> Vec<Vec<Option<i64>>> {
    let (plan, context) = (physical(dataset), dataset.session().context().task_ctx());
    let partitions = 0..plan.output_partitioning().partition_count();
    let streams: Vec<_> = partitions.map(|at| plan.execute(at, Arc::clone(&context)).unwrap()).collect();
    let read = streams.into_iter().map(|stream| async move {
        let batches: Vec<RecordBatch> = stream.map(|batch| batch.unwrap()).collect().await;
        let values = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
        batches.iter().flat_map(values).collect()
    });
    dataset.session().threads().block_on(futures::future::join_all(read))
}

/// Fails where a plan says of the ranges of its first column what its rows are not; whether it says so.
fn is_as_it_says(dataset: &Dataset) -> bool {
    let plan = physical(dataset);
    let Partitioning::Range(range) = plan.output_partitioning() else { return false };
    let is_sorted = plan.equivalence_properties().ordering_satisfy(range.ordering().clone()).unwrap();
    let splits = range.split_points().iter().map(|split| match split.values() {
        [ScalarValue::Int64(Some(value))] => *value,
        other => panic!("{other:?}"),
    });
    let splits: Vec<i64> = splits.collect();
    assert!(splits.is_sorted_by(|a, b| a < b), "{splits:?}");
    let parts = parts(dataset);
    assert_eq!(parts.len(), splits.len() + 1);
    for (at, part) in parts.iter().enumerate() {
        let from = at.checked_sub(1).map_or(i64::MIN, |before| splits[before]);
        let to = splits.get(at).copied().unwrap_or(i64::MAX);
        assert!(part.iter().flatten().all(|key| (from..to).contains(key)), "{at} of {splits:?}: {part:?}");
        assert!(at + 1 == parts.len() || part.iter().all(Option::is_some), "{at} of {splits:?}: {part:?}");
        // Nulls last.
        assert!(!is_sorted || part.iter().map(|key| (key.is_none(), *key)).is_sorted(), "{part:?}");
    }
    is_sorted
}

#[test]
fn what_is_above_ordered_ranges_moves_and_sorts_nothing() {
    let session = session(4);
    for persists in [false, true] {
        let all = concat(&three(&session, persists));
        assert!(is_as_it_says(&all));
        let divisions = divisions(&all).unwrap();
        assert_eq!(divisions, [2_000_i64, 5_000, 8_000, 12_000, 18_000].map(ScalarValue::from));
        let sums = all.groupby([col("k")]).agg([sum(col("v")).alias("s")]).unwrap();
        assert_eq!(moves(&sums), 0, "{}", plan(&sums));
        assert!(plan(&sums).contains("mode=SinglePartitioned"), "{}", plan(&sums));
        assert!(plan(&sums).contains("ordering_mode=Sorted"), "{}", plan(&sums));
        assert_eq!(wait(&sums, sums.count()), 20_000);
        let sorted = all.sort([col("k").sort(true, false)]).unwrap();
        assert_eq!(moves(&sorted), 0, "{}", plan(&sorted));
        assert_eq!(first(&sorted), (0..20_000).map(Some).collect::<Vec<_>>());
        let windowed = all.with_columns([("n".to_string(), rows_of_key())]).unwrap();
        assert_eq!(moves(&windowed), 0, "{}", plan(&windowed));
        assert_eq!(wait(&windowed, windowed.count()), 20_000);
        let other = numbers(&session, 4_000, 6_000);
        let other = other.rename(&BTreeMap::from([("v".to_string(), "w".to_string())])).unwrap();
        let options = SetIndexOptions { divisions: Some(divisions), ..SetIndexOptions::default() };
        let other = kept(&wait(&other, other.set_index("k", options.clone())), persists);
        let joined = all.join(&other, &JoinOptions::on(&["k"], JoinType::Inner)).unwrap();
        assert_eq!(moves(&joined), 0, "{}", plan(&joined));
        assert!(plan(&joined).contains("mode=Partitioned"), "{}", plan(&joined));
        assert_eq!(wait(&joined, joined.count()), 2_000);
        // An index that is there already.
        for options in [SetIndexOptions::default(), options] {
            let again = wait(&all, all.set_index("k", options));
            assert_eq!(plan(&again), plan(&all));
        }
        let fewer = wait(&all, all.set_index("k", at(&[10_000])));
        assert_eq!(moves(&fewer), 1, "{}", plan(&fewer));
        // What is made of it is as well known.
        let again = concat(&[kept(&all, persists), kept(&indexed(&numbers(&session, 30_000, 31_000), &[]), persists)]);
        assert_eq!(wait(&again, again.num_partitions()), 7);
        assert!(is_as_it_says(&again));
    }
    insta::assert_snapshot!(plan(&concat(&three(&session, true))), @r"
    ConcatExec: Range([k@0 ASC NULLS LAST], [(2000), (5000), (8000), (12000), (18000)], 6)
      PersistedExec: partitions=2
      PersistedExec: partitions=2
      PersistedExec: partitions=2
    ");
}

#[test]
fn a_filter_on_the_key_reads_what_can_match() {
    let session = session(2);
    for (persists, name) in [(false, "KeptExec"), (true, "PersistedExec")] {
        let all = concat(&three(&session, persists));
        let few = all.filter(col("k").gt_eq(lit(5_100_i64)).and(col("k").lt(lit(7_000_i64)))).unwrap();
        let plan = plan(&few);
        let counts: Vec<usize> =
            ["read=0", "read=1"].map(|read| plan.matches(&format!("{name}: partitions=2, {read}")).count()).to_vec();
        assert_eq!(counts, [2, 1], "{plan}");
        assert!(is_as_it_says(&few));
        assert_eq!(first(&few), (5_100..7_000).map(Some).collect::<Vec<_>>());
        for (filter, rows) in [
            (col("k").eq(lit(4_999_i64)), 1),
            (col("k").gt(lit(19_999_i64)), 0),
            (col("k").lt(lit(0_i64)), 0),
            (col("v").eq(lit(7_i64)), 2_000),
            (col("k").lt(lit(3_i64)).or(col("k").gt(lit(19_998_i64))), 4),
        ] {
            let left = all.filter(filter.clone()).unwrap();
            assert_eq!(wait(&left, left.count()), rows, "{filter}");
            assert!(is_as_it_says(&left), "{filter}");
        }
    }
    // Nulls are in the last partition, whatever the values are.
    let with_nulls = kept(&indexed(&ints(&session, &[Some(1), None, Some(9)]), &[5]), true);
    let nulls = with_nulls.filter(col("k").is_null().or(col("k").gt(lit(100_i64)))).unwrap();
    assert_eq!(wait(&nulls, nulls.count()), 1);
}

#[test]
fn the_order_of_rows_is_that_of_the_datasets() {
    let session = session(4);
    let all = concat(&three(&session, true));
    assert_eq!(first(&all), (0..20_000).map(Some).collect::<Vec<_>>());
    let limited = all.limit(4_998, Some(4)).unwrap();
    assert_eq!(first(&limited), (4_998..5_002).map(Some).collect::<Vec<_>>());
}

#[test]
fn ranges_are_known_through_columns_and_filters_and_lost_with_the_key() {
    let session = session(4);
    let [low, middle, high] = three(&session, true);
    let odd = low.filter((col("k") % lit(2_i64)).eq(lit(1_i64))).unwrap();
    let named = middle.select([col("k"), (col("v") * lit(2_i64)).alias("v")]).unwrap();
    assert_eq!(
        divisions_of(&[odd.clone(), named.clone(), high.clone()]).unwrap(),
        [2_000, 5_000, 8_000, 12_000, 18_000]
    );
    assert!(is_as_it_says(&concat(&[odd, named, high.clone()])));
    // By name, the columns of the second come in the order of the first.
    let turned = middle.select([col("v"), col("k")]).unwrap();
    let by_name = Dataset::concat(&[low.clone(), turned], true).unwrap();
    assert!(is_as_it_says(&by_name));
    // Another key, a computed one, or none that is known.
    let computed = middle.select([(col("k") + lit(1_i64)).alias("k"), col("v")]).unwrap();
    let other = wait(&middle, middle.set_index("v", SetIndexOptions::default()));
    let plain = numbers(&session, 5_000, 12_000);
    for second in [computed, kept(&other, true), kept(&plain, true), indexed(&plain, &[8_000])] {
        assert_eq!(divisions_of(&[low.clone(), second.clone(), high.clone()]), None, "{}", plan(&second));
        let all = concat(&[low.clone(), second, high.clone()]);
        assert_eq!(groups(&all), counts(&first(&all)));
    }
}

/// The keys of a dataset in their order, and its divisions.
type Given = (Vec<Option<i64>>, Vec<i64>);

/// What it is, the datasets, and the divisions of them together.
type Case = (&'static str, Vec<Given>, Option<Vec<i64>>);

const NULL: Option<i64> = None;

fn some<const N: usize>(values: [i64; N]) -> Vec<Option<i64>> {
    values.map(Some).to_vec()
}

#[test]
fn borders_between_datasets() {
    let session = session(3);
    let cases: Vec<Case> = vec![
        ("in order", vec![(some([1, 4, 6]), vec![5]), (some([10, 12]), vec![11])], Some(vec![5, 10, 11])),
        ("neighbours", vec![(some([1, 9]), vec![]), (some([10]), vec![])], Some(vec![10])),
        ("one value in both", vec![(some([1, 4, 6]), vec![5]), (some([6, 7]), vec![7])], Some(vec![5, 7])),
        ("overlap", vec![(some([1, 6]), vec![5]), (some([5, 7]), vec![6])], None),
        ("within", vec![(some([1, 9]), vec![5]), (some([4, 5]), vec![5])], None),
        ("the other way", vec![(some([10]), vec![]), (some([1]), vec![])], None),
        ("the same", vec![(some([1, 2]), vec![2]), (some([1, 2]), vec![2])], None),
        ("nulls at the end", vec![(some([1]), vec![]), (vec![Some(2), NULL], vec![])], Some(vec![2])),
        ("nulls between", vec![(vec![Some(1), NULL], vec![]), (some([2]), vec![])], None),
        ("nulls in both", vec![(vec![Some(1), NULL], vec![]), (vec![Some(2), NULL], vec![])], None),
        ("nulls, then none", vec![(some([1, 7]), vec![5]), (vec![NULL], vec![3])], Some(vec![5])),
        ("nulls alone", vec![(vec![NULL], vec![3]), (some([1]), vec![])], None),
        ("nulls and nulls", vec![(vec![Some(1), NULL], vec![1]), (vec![NULL], vec![1])], Some(vec![])),
        ("empty between", vec![(some([1, 7]), vec![5]), (vec![], vec![3]), (some([9]), vec![9])], Some(vec![5, 9])),
        ("empty first", vec![(vec![], vec![3]), (some([1, 7]), vec![5])], Some(vec![5])),
        ("empty last", vec![(some([1, 7]), vec![5]), (vec![], vec![3])], Some(vec![5])),
        ("empty after nulls", vec![(vec![Some(1), NULL], vec![]), (vec![], vec![3])], Some(vec![])),
        ("empty", vec![(vec![], vec![3]), (vec![], vec![1, 2])], Some(vec![])),
        ("empty ends", vec![(some([1, 4]), vec![3, 100]), (some([50, 60]), vec![2, 55])], Some(vec![3, 50, 55])),
        ("one value in three", vec![(some([1, 2]), vec![]), (some([2]), vec![]), (some([2, 3]), vec![])], None),
        (
            "a value at each border",
            vec![(some([1, 2]), vec![]), (some([2, 3]), vec![3]), (some([3, 4]), vec![])],
            Some(vec![3]),
        ),
    ];
    for (name, datasets, expected) in cases {
        for persists in [false, true] {
            let made = datasets.iter().map(|(keys, at)| kept(&indexed(&ints(&session, keys), at), persists));
            let made: Vec<Dataset> = made.collect();
            assert_eq!(divisions_of(&made), expected, "{name}");
            let all = concat(&made);
            assert_eq!(is_as_it_says(&all), expected.is_some(), "{name}");
            let keys: Vec<Option<i64>> = datasets.iter().flat_map(|(keys, _)| keys.clone()).collect();
            assert_eq!(first(&all), keys, "{name}: one dataset after another");
            assert_eq!(groups(&all), counts(&keys), "{name}");
        }
    }
}

/// How often each key is there.
fn counts(keys: &[Option<i64>]) -> BTreeMap<Option<i64>, i64> {
    let mut counts = BTreeMap::new();
    keys.iter().for_each(|key| *counts.entry(*key).or_default() += 1);
    counts
}

/// The same, as a group counts them.
fn groups(dataset: &Dataset) -> BTreeMap<Option<i64>, i64> {
    let counted = all(&dataset.groupby([col("k")]).agg([count(lit(1)).alias("n")]).unwrap());
    let keys = counted.column(0).as_primitive::<Int64Type>().iter();
    let groups: BTreeMap<_, _> =
        keys.zip(counted.column(1).as_primitive::<Int64Type>().values().iter().copied()).collect();
    assert_eq!(groups.len(), counted.num_rows(), "a key has two groups");
    groups
}

#[test]
fn keys_of_any_ordered_type() {
    let session = session(3);
    let texts = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let times = |values: [i64; 2]| {
        Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("+01:00")) as ArrayRef
    };
    let decimals = |values: [i128; 2]| {
        Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(20, 3).unwrap()) as ArrayRef
    };
    let floats = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    // With how many groups the two have together.
    for (first, second, partitions, groups) in [
        (texts(&["a", "b"]), texts(&["ba", "c"]), Some(4), 4),
        (texts(&["a", "b"]), texts(&["b", "c"]), Some(3), 3),
        (texts(&["a", "ba"]), texts(&["b", "c"]), None, 4),
        (times([-5, 7]), times([8, 9]), Some(4), 4),
        (decimals([-5, 7]), decimals([8, 900]), Some(4), 4),
        (floats([-1.0, 0.5]), floats([1.0, f64::INFINITY]), Some(4), 4),
        // The two zeros are one key, and NaNs of either sign are, which are at both ends of the order.
        (floats([-1.0, -0.0]), floats([0.0, 1.0]), Some(3), 3),
        (floats([-1.0, 0.0]), floats([-0.0, 1.0]), None, 3),
        (floats([-1.0, f64::NAN]), floats([1.0, 2.0]), None, 4),
        (floats([1.0, 2.0]), floats([3.0, f64::NAN]), None, 4),
    ] {
        let made = [first, second].map(|values| {
            let dataset = keys(&session, "k", values);
            let options = SetIndexOptions { partitions: Some(2), ..SetIndexOptions::default() };
            kept(&wait(&dataset, dataset.set_index("k", options)), true)
        });
        let all = concat(&made);
        assert_eq!(divisions(&all).map(|splits| splits.len() + 1), partitions, "{}", plan(&all));
        let grouped = all.groupby([col("k")]).agg([count(lit(1))]).unwrap();
        assert_eq!(moves(&grouped) == 0, partitions.is_some(), "{}", plan(&grouped));
        assert_eq!(wait(&grouped, grouped.count()), groups, "{}", plan(&grouped));
    }
}

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(to - from).unwrap())).unwrap()
    }
}

/// Datasets most of which follow one another, and their keys.
fn thrown(dice: &mut Dice, session: &Session) -> (Vec<Dataset>, Vec<Option<i64>>) {
    let (mut datasets, mut keys, mut from) = (Vec::new(), Vec::new(), 0);
    let count = dice.between(2, 5);
    for number in 0..count {
        let to = from + dice.between(1, 12);
        let mut own: Vec<Option<i64>> = (0..dice.below(25)).map(|_| Some(dice.between(from, to))).collect();
        if (number + 1 == count && dice.below(2) == 0) || dice.below(12) == 0 {
            own.push(None);
        }
        let mut at: Vec<i64> = (0..dice.below(4)).map(|_| dice.between(from - 3, to + 3)).collect();
        at.sort_unstable();
        at.dedup();
        let dataset = kept(&indexed(&ints(session, &own), &at), dice.below(2) == 0);
        datasets.push(match dice.below(4) {
            0 => {
                own.retain(|key| key.is_some_and(|key| key % 3 > 0));
                dataset.filter((col("k") % lit(3_i64)).gt(lit(0_i64))).unwrap()
            }
            1 => dataset.coalesce(2).unwrap(),
            _ => dataset,
        });
        keys.extend(own);
        // After the last, on it, or now and then before it.
        from = to - [0, 0, 0, 1, 1, 3][usize::try_from(dice.below(6)).unwrap()];
    }
    (datasets, keys)
}

#[test]
fn whatever_is_put_together_the_rows_are_right() {
    let mut known = 0;
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let session = session(usize::try_from(dice.between(1, 5)).unwrap());
        let (datasets, keys) = thrown(&mut dice, &session);
        let all = concat(&datasets);
        let is_known = is_as_it_says(&all);
        known += usize::from(is_known);
        let counts = counts(&keys);
        assert_eq!(groups(&all), counts, "seed {seed}\n{}", plan(&all));
        let mut sorted_keys = keys.clone();
        sorted_keys.sort_by_key(|key| (key.is_none(), *key));
        let sorted = all.sort([col("k").sort(true, false)]).unwrap();
        assert_eq!(first(&sorted), sorted_keys, "seed {seed}\n{}", plan(&sorted));
        let windowed = self::all(&all.with_columns([("n".to_string(), rows_of_key())]).unwrap());
        let numbers = windowed.column(1).as_primitive::<Int64Type>().values().iter();
        assert_eq!(numbers.sum::<i64>(), counts.values().map(|n| n * n).sum::<i64>(), "seed {seed}");
        // With keys that are partitioned alike, where it is known how.
        let other = ints(&session, &(-5..60).step_by(2).flat_map(|key| [Some(key), Some(key)]).collect::<Vec<_>>());
        let other = other.rename(&BTreeMap::from([("k".to_string(), "o".to_string())])).unwrap();
        let options = SetIndexOptions { divisions: divisions(&all), ..SetIndexOptions::default() };
        let other = wait(&other, other.set_index("o", options));
        let on =
            |how| JoinOptions { left_on: vec![col("k")], right_on: vec![col("o")], ..JoinOptions::on(&["k"], how) };
        let matched: i64 =
            counts.iter().filter(|(key, _)| key.is_some_and(|key| key % 2 != 0)).map(|(_, n)| n * 2).sum();
        let inner = all.join(&other, &on(JoinType::Inner)).unwrap();
        assert_eq!(wait(&inner, inner.count()), u64::try_from(matched).unwrap(), "seed {seed}\n{}", plan(&inner));
        if is_known && wait(&all, all.num_partitions()) > 1 {
            assert_eq!(plan(&inner).matches("RepartitionExec: partitioning=Hash").count(), 0, "{}", plan(&inner));
        }
        let key = dice.between(-3, 40);
        let filtered = all.filter(col("k").gt_eq(lit(key))).unwrap();
        let left = keys.iter().filter(|found| found.is_some_and(|found| found >= key)).count();
        assert_eq!(wait(&filtered, filtered.count()), left as u64, "seed {seed}, {key}\n{}", plan(&filtered));
        is_as_it_says(&filtered);
    }
    assert!((15..50).contains(&known), "{known} of 60 were ranges");
}
